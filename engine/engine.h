// cairn's public API: documents in; ranked, cited passages and answers out.
//
//   absl::StatusOr<std::unique_ptr<cairn::Engine>> engine =
//       cairn::Engine::Open("my.store", {.create_if_missing = true});
//   cairn::IngestOptions ingest;
//   (*engine)->IngestPaths({"manuals/"}, ingest);
//   cairn::SearchRequest request;
//   request.query = "how do I hold a package back?";
//   absl::StatusOr<cairn::SearchResponse> found = (*engine)->Search(request);
//   for (const cairn::SearchHit& hit : found->hits) std::cout << hit.document_id << hit.text;
//
// All byte offsets (spans, citations) refer to the document's normalised text (Engine::Get).
#ifndef CAIRN_ENGINE_ENGINE_H_
#define CAIRN_ENGINE_ENGINE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "chunking/metadata.h"
#include "engine/ask.h"
#include "engine/kv_reuse.h"
#include "engine/search_request.h"

namespace cairn {

struct EngineOptions {
  bool create_if_missing = false;
  // Opens beside another process that writes; sees what was committed when it opened.
  bool read_only = false;
  // Directory of an embedding model, static or an encoder (config.json, model.safetensors,
  // tokenizer.json); empty: the model compiled into the library.
  std::string embedder;
  // Directory of a cross-encoder that reorders what a search finds; empty: none.
  std::string reranker;
  // Writing stops, with a clear error, when less than this is free on the store's disk.
  uint64_t min_free_bytes = uint64_t{128} << 20;
  // Chunks kept in memory before they are sealed into a segment file; 0: 32,768.
  size_t seal_chunks = 0;
  // Language model that writes answers: a GGUF file or the directory of a Hugging Face model (see
  // docs/formats/models.md); empty: answers quote sentences.
  std::string generator;
  size_t generator_threads = 0;  // 0: one for each core.
  size_t generator_context = 0;  // Most tokens of prompt and answer together; 0: the model's own.
  KvReuseOptions kv;
};

// ---------------------------------------------------------------------------------- ingestion

// How a collection cuts and reads its documents. Fixed when the collection is created; a value
// given for an existing collection must agree with it.
struct CollectionOptions {
  std::optional<std::string> chunker;      // "structure" (default), "sentence", "fixed"
  std::optional<uint32_t> chunk_tokens;    // 512, less where the embedder reads less.
  std::optional<uint32_t> overlap_tokens;  // 0; "fixed" only
  std::optional<std::string> analyzer;     // "english"
  // How vectors are searched in segments of more than a few thousand chunks: "hnsw" (default),
  // "flat" (exact), "ivf-pq" (for collections larger than memory).
  std::optional<std::string> vector_index;
  // How they are stored for that: "int8" (default), "bfloat16", "float32". Results are always
  // scored in float32.
  std::optional<std::string> vector_encoding;
};

// A record or file that was skipped, or a duplicate that replaced its predecessor.
struct IngestIssue {
  std::string source;  // File, or "-".
  uint64_t line = 0;   // 1-based; 0: the whole source.
  std::string reason;
};

struct IngestProgress {
  uint64_t bytes_read = 0;
  uint64_t bytes_total = 0;  // 0 while unknown (standard input).
  uint64_t documents = 0;    // Durable.
};

struct IngestReport;

// What became of one document of a stream.
struct IngestOutcome {
  enum class Kind : uint8_t { kCreated, kReplaced, kUnchanged, kRefused };
  uint64_t sequence = 0;  // Of the document in the stream, from 1.
  std::string document_id;
  Kind kind = Kind::kRefused;
  uint64_t first_chunk = 0;  // Its chunks have the ids from this one on; 0: none.
  uint32_t chunk_count = 0;
  std::string reason;  // kRefused: why.
};

struct IngestOptions {
  std::string collection = "default";
  CollectionOptions create;
  Metadata metadata;  // Added to every document; wins over the document's own.
  // "auto", "text", "markdown", "html", "jsonl", "trec"
  std::string format = "auto";
  bool strict = false;  // Stop at the first issue. What was acknowledged before stays.
  // For a large initial load: documents become durable in batches of tens of MB and are sealed into
  // large segments at once, nothing is written twice. Run again it continues where it stopped.
  bool bulk = false;
  int threads = 0;  // Workers that chunk and embed, at most 1,024; 0: one per core.
  size_t max_document_bytes = size_t{64} << 20;
  // Called from one thread at a time, not necessarily the caller's.
  std::function<void(const IngestIssue&)> on_issue;
  std::function<void(const IngestProgress&)> on_progress;
  // A document's rows are on disk: no crash loses it from here on.
  std::function<void(const std::string& document_id)> on_durable;
  // IngestStream only. Called in the order of the documents, once for each, when it is durable or
  // refused and all before it are.
  std::function<void(const IngestOutcome&)> on_outcome;
  // Asked many times a second, by a thread of its own; true ends the ingestion with Cancelled.
  // Work on its way is dropped; what is durable stays.
  std::function<bool()> is_cancelled;
  // Workers run at a low scheduling priority (nice), so that searches come first.
  bool background = false;
  // Filled in on return, after an error too: then it tells what is stored nevertheless.
  IngestReport* report = nullptr;
};

struct IngestReport {
  uint64_t created = 0;
  uint64_t replaced = 0;
  uint64_t unchanged = 0;
  uint64_t issues = 0;
  uint64_t chunks = 0;       // Written.
  uint64_t bytes = 0;        // Read.
  uint64_t embed_calls = 0;  // Of the model, for the chunks.
  // Share of the time of all workers that they spent in the model, 0 to 1.
  double embed_busy = 0;
};

// A document handed over in memory. `text` is UTF-8 of the named format. All strings are UTF-8
// without NUL. One that breaks a limit is skipped, and is an issue.
struct InputDocument {
  std::string id;     // 1 to 1,024 bytes, no control characters.
  std::string title;  // At most 4,096 bytes. Empty: what an HTML or Markdown text says it is.
  std::string text;
  // Names of 1 to 1,024 bytes, finite numbers, 64 KiB in all.
  Metadata metadata;
  std::string source_uri;       // At most 8,192 bytes.
  std::string format = "text";  // "text", "markdown", "html"
};

// Gives the next document; nullopt: there are no more. May block: what it gave before becomes
// durable meanwhile. An error stops the ingestion and is returned.
using DocumentSource = std::function<absl::StatusOr<std::optional<InputDocument>>()>;

// What a text is to a search: models that were trained so embed the two kinds differently.
enum class TextUse : uint8_t { kQuery, kPassage };

// ---------------------------------------------------------------------------------- the rest

// What its owner says of a collection; kept with it, of no meaning to the engine.
struct CollectionNotes {
  std::string description;  // UTF-8 without NUL, at most 4,096 bytes.
  // At most 64. Names of 1 to 63 bytes of [a-z0-9_.-]; values of at most 255 bytes of UTF-8 without
  // NUL.
  std::map<std::string, std::string> labels;
};

struct StoredChunk {
  uint64_t id = 0;
  size_t begin = 0;
  size_t end = 0;
  uint32_t tokens = 0;
  std::vector<std::string> headings;
};

struct StoredDocument {
  std::string id;
  std::string title;
  std::string text;  // Normalised.
  std::string source_uri;
  std::string media_type;
  Metadata metadata;
  std::vector<StoredChunk> chunks;
};

// What a list tells of a document.
struct DocumentSummary {
  std::string id;
  std::string title;
  std::string source_uri;
  std::string media_type;
  Metadata metadata;
  uint64_t text_bytes = 0;   // Of the normalised text.
  uint32_t chunk_count = 0;  // Chunks first_chunk .. first_chunk + chunk_count - 1.
  uint64_t first_chunk = 0;
};

struct DocumentPage {
  std::vector<DocumentSummary> documents;  // By id, in byte order.
  // What to pass as `after` for the next page. Beyond the last of `documents` where others were
  // looked at that do not match.
  std::string next_after;
  bool complete = false;  // Nothing comes after `next_after`.
};

struct ReembedProgress {
  uint64_t documents = 0;  // Done, by earlier runs too.
  uint64_t total = 0;
};

struct ReembedOptions {
  std::string collection = "default";
  std::string embedder;  // As EngineOptions::embedder.
  int threads = 0;       // At most 1,024; 0: one per core.
  // Called on the caller's thread.
  std::function<void(const ReembedProgress&)> on_progress;
  // When it becomes true, the call ends soon, with Cancelled. May be null.
  const std::atomic<bool>* cancel = nullptr;
};

struct ReembedReport {
  bool changed = false;    // False: the collection has this model's vectors already.
  uint64_t resumed = 0;    // Documents that earlier runs had done.
  uint64_t documents = 0;  // Written by this one.
  uint64_t chunks = 0;     // Embedded by it.
};

// A re-embedding that was begun and is not complete.
struct ReembeddingInfo {
  std::string model;  // As it was called when it was begun.
  std::string embedder_fingerprint;
  uint32_t dim = 0;
  uint64_t documents = 0;  // Done.
};

struct CollectionInfo {
  std::string name;
  std::string chunker;
  uint32_t chunk_tokens = 0;
  uint32_t overlap_tokens = 0;
  std::string analyzer;
  std::string embedder_fingerprint;
  uint32_t dim = 0;
  uint64_t documents = 0;
  uint64_t chunks = 0;
  uint64_t terms = 0;
  double average_terms = 0;   // Per chunk.
  uint64_t memory_bytes = 0;  // Of the index, without mapped files.
  uint64_t mapped_bytes = 0;  // Of its segment files, which the system pages in as they are used.
  uint64_t segments = 0;
  uint64_t tail_chunks = 0;  // In memory only, not in a segment yet.
  uint64_t dead_chunks = 0;  // Deleted, but still in segments until those are merged.
  std::string vector_index;
  std::string vector_encoding;
  std::optional<ReembeddingInfo> reembedding;
  CollectionNotes notes;
  // Unix milliseconds; 0: not known, as of collections made before this was kept.
  int64_t create_time_ms = 0;
  int64_t update_time_ms = 0;  // Of the notes.
};

struct StoreInfo {
  std::string uuid;
  uint64_t disk_bytes = 0;
  std::vector<CollectionInfo> collections;
};

// How far long work is. Units go with the stage: "segments" are chunks to be indexed (Compact,
// Reindex), segment files (Verify, Snapshot); "tables" bytes of table files; "rows" rows (Verify).
struct MaintenanceProgress {
  std::string stage;
  uint64_t done = 0;
  uint64_t total = 0;  // 0: not known.
};

struct MaintenanceOptions {
  std::string collection;  // Compact, Reindex, Verify: only this one; empty: all.
  // Called on the caller's thread.
  std::function<void(const MaintenanceProgress&)> on_progress;
  // When it becomes true, the call ends soon, with Cancelled, and the store is sound. May be null.
  const std::atomic<bool>* cancel = nullptr;
};

struct VerifyResult {
  uint64_t collections = 0;
  uint64_t documents = 0;
  uint64_t chunks = 0;
  uint64_t vectors = 0;
  uint64_t terms = 0;
  uint64_t segments = 0;
  std::vector<std::string> problems;  // Empty: the store is sound. At most 1,000 are kept.
  uint64_t problem_count = 0;
};

// One open store. Thread-safe: any number of searches beside one ingestion (ingestions into one
// collection take turns batch by batch).
//
// Errors are absl::Status: NotFound (store, collection, document), InvalidArgument (a request or
// filter; the message points at the place), FailedPrecondition (store locked, newer format,
// collection made with other settings), ResourceExhausted (disk full), DataLoss (damage), Cancelled
// (where the caller said so).
class Engine {
 public:
  static absl::StatusOr<std::unique_ptr<Engine>> Open(const std::string& store_directory,
                                                      const EngineOptions& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Reads files, directories (recursively, symbolic links not followed) and "-" (standard input).
  // Text, Markdown, HTML, JSONL (BEIR) and TREC SGML, by content and extension. A document's id is
  // its own, or its path. Upserts: unchanged documents cost a hash, nothing else; so a job that was
  // stopped goes on where it was when run again.
  // An error's message ends with the number of documents stored before it.
  absl::StatusOr<IngestReport> IngestPaths(absl::Span<const std::string> paths,
                                           const IngestOptions& options);
  absl::StatusOr<IngestReport> IngestDocuments(absl::Span<const InputDocument> documents,
                                               const IngestOptions& options);
  // Takes documents one after the other from `next`, which is called on this thread, and reports
  // each to options.on_outcome. Whatever ends the stream early (an error of `next`, is_cancelled)
  // drops what is on its way at once; what is durable stays, and has been reported by then. In
  // strict mode the documents before the first refused one are written, and it is the last one
  // reported. Memory is bounded: documents are asked for as room becomes free.
  absl::StatusOr<IngestReport> IngestStream(const DocumentSource& next,
                                            const IngestOptions& options);
  // InvalidArgument when an ingestion into a new collection would be refused for its options. Needs
  // no store, so that a mistake need not leave an empty one behind.
  static absl::Status CheckOptions(const IngestOptions& options);

  absl::StatusOr<SearchResponse> Search(const SearchRequest& request) const;
  // Extractive: the sentences of the best passages that answer best, each with its citation.
  // Generated: what the language model writes from the best passages, each citation of which has
  // been checked (docs/answers.md). InvalidArgument also for a question that leaves no room in the
  // model's context; FailedPrecondition for a generated answer without a model.
  absl::StatusOr<AskResponse> Ask(const AskRequest& request) const;

  // The vectors [embedder_dim()] of the texts, of unit length; all zeros for a text without any
  // known token. What is too long for the model is cut. InvalidArgument, naming the text, for one
  // longer than 1 MiB or not UTF-8.
  absl::StatusOr<std::vector<std::vector<float>>> Embed(absl::Span<const std::string> texts,
                                                        TextUse use) const;
  // How well each passage answers the query: higher is better, only scores of one query compare.
  // FailedPrecondition without a reranker; InvalidArgument as Embed; Cancelled, soon, when
  // `is_cancelled` (optional, asked often, by several threads at once) says so.
  absl::StatusOr<std::vector<float>> Rerank(const std::string& query,
                                            absl::Span<const std::string> passages,
                                            const std::function<bool()>& is_cancelled = {}) const;
  // Collections with another fingerprint can only be searched lexically.
  const std::string& embedder_fingerprint() const;
  size_t embedder_dim() const;
  bool has_reranker() const;
  bool has_generator() const;

  absl::StatusOr<StoredDocument> Get(std::string_view collection, std::string_view id) const;
  // Ids in byte order after `after` (exclusive), at most `limit`, that match the filter.
  absl::StatusOr<std::vector<std::string>> List(std::string_view collection, std::string_view after,
                                                size_t limit, std::string_view filter) const;
  // The same with what their rows say of them. Looks at `max_scanned` documents at most, matching
  // or not, so that a filter that matches few costs no more than a page of others does.
  // InvalidArgument for `max_scanned` 0, which would never come to an end.
  absl::StatusOr<DocumentPage> ListDocuments(
      std::string_view collection, std::string_view after, size_t limit, std::string_view filter,
      size_t max_scanned = std::numeric_limits<size_t>::max()) const;

  // Makes an empty collection for the engine's embedder. AlreadyExists; InvalidArgument for a bad
  // name, options or notes. An ingestion makes the collection that it names, if there is none.
  absl::StatusOr<CollectionInfo> CreateCollection(std::string_view name,
                                                  const CollectionOptions& options,
                                                  const CollectionNotes& notes);
  // Reads the collection's index into memory if nothing has yet.
  absl::StatusOr<CollectionInfo> DescribeCollection(std::string_view name) const;
  // Replaces the notes, durably. InvalidArgument.
  absl::Status SetCollectionNotes(std::string_view name, const CollectionNotes& notes);
  // Names of the collections, ascending.
  absl::StatusOr<std::vector<std::string>> ListCollections() const;
  // At most `limit` of those after `after` (exclusive) that begin with `prefix`.
  absl::StatusOr<std::vector<std::string>> ListCollections(std::string_view prefix,
                                                           std::string_view after,
                                                           size_t limit) const;
  // deleted[i]: ids[i] existed. Durable on return, and seen by the next search.
  absl::StatusOr<std::vector<bool>> Delete(std::string_view collection,
                                           absl::Span<const std::string> ids);
  // Deletes it with all its documents, in one durable step: whatever happens it is there whole or
  // gone. Takes milliseconds, however large it is, and longer only where a batch is being written
  // to it, or built from it: builds are stopped, batches waited for. Searches at work on it end as
  // they began. Segment files go at once; the room of the rows comes back when the table files are
  // compacted, sooner or later in the background, or by Compact. Until it returns other requests
  // that begin wait. A re-embedding that is not complete goes first, in a step of its own;
  // FailedPrecondition while Reembed runs.
  absl::Status DeleteCollection(std::string_view collection);

  // Replaces the vectors of a collection by those of another model. Searches and ingestion go on
  // with the old ones until it is complete; then, in one step, the collection is the other model's,
  // and this engine searches it lexically only unless it was opened with that model. Whatever ends
  // it before then leaves the collection as it was, and the next call goes on where it was. Chunks
  // and their ids stay. FailedPrecondition, naming both, while another model is on its way.
  absl::StatusOr<ReembedReport> Reembed(const ReembedOptions& options);
  // Gives up one that is not complete. NotFound; FailedPrecondition while Reembed runs.
  absl::Status AbortReembedding(std::string_view collection);

  // Computes, with the generator, the keys and values of all chunks of a collection that have none
  // yet; each is durable as it comes, so that what was stopped goes on where it was. Answers and
  // ingestion go on, and share the generator. FailedPrecondition without a generator, with
  // EngineOptions::kv off, or where its gates do not hold; ResourceExhausted (disk full).
  absl::StatusOr<KvBuildReport> BuildKv(const KvBuildOptions& options);
  // Runs the gates (engine/kv/reuse_gates.h), or returns what they gave when they ran on this model
  // for this store. FailedPrecondition without a generator.
  absl::StatusOr<std::vector<ReuseGateResult>> CheckReuse();
  // FailedPrecondition, as the next two, with EngineOptions::kv off. NotFound.
  absl::StatusOr<KvInfo> DescribeKv(std::string_view collection) const;
  // Reads every blob; bad ones are dropped where the store may be written.
  absl::StatusOr<KvVerifyResult> VerifyKv();
  // Deletes what is worth the least, until `bytes` are gone; how many went.
  absl::StatusOr<uint64_t> EvictKv(uint64_t bytes);

  absl::StatusOr<StoreInfo> Stats() const;
  // Checks every row, and that the segments are those that belong to them; `deep` reads the
  // segments through and compares them with the rows. Of one collection, that and nothing shared:
  // not the table files as such, not what belongs to no collection.
  absl::StatusOr<VerifyResult> Verify(bool deep = false,
                                      const MaintenanceOptions& options = {}) const;

  // Waits until every full tail of the collection is sealed into a segment. An error tells why one
  // cannot be (a full disk); nothing is lost by that.
  absl::Status AwaitSeals(std::string_view collection);
  // Makes one segment of each collection, without deleted chunks, and compacts the rows. The
  // fastest to search; takes as long as building the index once. Searches and ingestion go on. Of
  // one collection, its segment only: the rows are everybody's. Cancelled, it leaves done what was
  // done, collection by collection.
  absl::Status Compact(const MaintenanceOptions& options = {});
  // Builds every segment anew from rows alone. Searches go on, ingestion into the collection that
  // is being rebuilt waits. Cancelled, it leaves the segments that there were.
  absl::Status Reindex(const MaintenanceOptions& options = {});
  // Copies the store as it is at one moment into `destination`, which must not exist or be empty.
  // Files that never change are shared (hard links) where the file system allows it. Searches and
  // ingestion go on. Cancelled, it leaves nothing behind. InvalidArgument for one collection only.
  absl::Status Snapshot(const std::string& destination, const MaintenanceOptions& options = {});
  // Makes a new store at `store_directory` (must not exist, or be empty) from a snapshot, which
  // stays independent of it.
  static absl::Status Restore(const std::string& snapshot, const std::string& store_directory);

 private:
  struct Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The version of the library, e.g. "0.1.0".
std::string_view Version();

}  // namespace cairn

#endif  // CAIRN_ENGINE_ENGINE_H_
