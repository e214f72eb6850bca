// One collection: its rows in the store, and the index over them.
#ifndef CAIRN_INDEX_COLLECTION_H_
#define CAIRN_INDEX_COLLECTION_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "chunking/chunkers/chunker.h"
#include "chunking/document.h"
#include "index/cancellation.h"
#include "index/chunk_ids.h"
#include "index/collection_rows.h"
#include "index/filter.h"
#include "index/index_options.h"
#include "index/maintenance.h"
#include "index/query_threads.h"
#include "index/row_store.h"
#include "index/rows.h"
#include "index/segment/segment.h"
#include "index/segment/segment_builder.h"
#include "index/segment/segment_files.h"
#include "index/tail.h"
#include "index/term_dictionary.h"
#include "index/work_control.h"

namespace cairn::index {

class KvBlobs;

// The analysed terms of one chunk or query, distinct, in order of first occurrence. One string
// holds all their bytes: a chunk has a hundred terms, and an allocation for each would cost more
// than the rest of ingestion.
struct TermBag {
  struct Entry {
    uint32_t offset = 0;  // Into bytes.
    uint32_t size = 0;
    uint32_t count = 0;
  };
  std::string bytes;
  std::vector<Entry> entries;
  uint32_t length = 0;  // Terms with repetitions.

  std::string_view term(const Entry& e) const {
    return std::string_view(bytes).substr(e.offset, e.size);
  }
};

// A document with everything that takes time already done, ready to be written.
struct PreparedDocument {
  struct Chunk {
    chunking::Chunk chunk;
    TermBag terms;
    std::vector<float> vector;  // Unit length [dim]; empty when the text has no known token.
  };
  chunking::Document document;
  std::string content_hash;  // ContentHash(document)
  std::vector<Chunk> chunks;
  // 0: the chunks get new ids. Else they have these ids in another collection already, which are
  // higher than all that this one has ever had (Collection::EndOfChunks).
  ChunkId first_chunk = 0;
};

// 16 bytes over everything in a document that a reader of it could notice.
std::string ContentHash(const chunking::Document& document);

enum class WriteOutcome : uint8_t { kCreated, kReplaced, kUnchanged };

// The ids of a document's chunks: [first, first + count).
struct ChunkRange {
  ChunkId first = 0;  // 0 where there are none.
  uint32_t count = 0;
};
inline ChunkRange RangeOf(ChunkId first, uint32_t count) { return {count == 0 ? 0 : first, count}; }

struct ScoredChunk {
  ChunkId chunk = 0;
  ChunkId document = 0;  // The first chunk of its document, which identifies that.
  float score = 0;
};

struct CandidateQuery {
  const TermBag* terms = nullptr;  // Null or empty: no lexical search.
  absl::Span<const float> vector;  // Unit length [dim]; empty: no vector search.
  const Filter* filter = nullptr;  // On document metadata.
  size_t lexical_k = 100;
  size_t vector_k = 100;
  // Also fill Candidates::lexical_cosines.
  bool cosines_of_lexical = false;
  // Search every vector, not the graph.
  bool exact_vectors = false;
  Bm25Parameters bm25;
  // The search ends soon, with Cancelled, when it says so. May be null.
  const Cancellation* cancellation = nullptr;
};

// Best first; ties by ascending chunk id.
struct Candidates {
  std::vector<ScoredChunk> lexical;  // BM25
  std::vector<ScoredChunk> vector;   // Cosine, exact in float32.
  // Where asked for: the exact cosine of each chunk of `lexical`, NaN without a vector. Fusion
  // needs it: to take a chunk that the vector search ranks just below its cut-off as unrelated
  // costs more quality than any choice of weights wins.
  std::vector<float> lexical_cosines;
};

struct CollectionStats {
  uint64_t documents = 0;
  uint64_t chunks = 0;
  uint64_t terms = 0;         // Distinct terms ever seen.
  uint64_t total_length = 0;  // Terms of all live chunks, with repetitions.
  uint64_t memory_bytes = 0;  // Of the index, estimated, without mapped files.
  uint64_t mapped_bytes = 0;  // Of its segment files.
  uint64_t segments = 0;
  uint64_t tail_chunks = 0;  // In no segment yet.
  uint64_t dead_chunks = 0;  // In segments still, but deleted.
  uint64_t epoch = 0;        // Of the manifest.
};

// What collections of one store share. All must outlive them.
struct CollectionContext {
  RowStore* store = nullptr;
  ChunkIds* ids = nullptr;
  SegmentFiles* files = nullptr;
  KvBlobs* kv_blobs = nullptr;
  RateLimiter* limiter = nullptr;
  Maintenance* maintenance = nullptr;  // Null where nothing is to be built (a reader).
  QueryThreads* threads = nullptr;
  const IndexOptions* options = nullptr;
};

// A collection's index consists of parts, each with a range of chunk ids: segments, tails that wait
// to be sealed, and at the end the tail that grows. Segments are built in the background from parts
// that no longer grow, and take their place in one step.
//
// Thread-safe. Writers take turns; queries run beside each other and beside builds, and wait only
// while a committed batch, or a new segment, is taken into the list of parts.
class Collection : public MaintenanceClient, public std::enable_shared_from_this<Collection> {
 public:
  // Opens the segments, and reads the rows that none of them covers into memory: a missing or
  // damaged segment is put aside and its range served from memory until it is built anew. DataLoss
  // naming the row when one is damaged.
  static absl::StatusOr<std::shared_ptr<Collection>> Load(const CollectionContext& context,
                                                          std::string name,
                                                          const CollectionRow& row);
  ~Collection() override;

  const std::string& name() const { return name_; }
  CollectionId id() const { return row_.id; }
  const CollectionSettings& settings() const { return row_.settings; }

  CollectionRows RowsAt(const RowSnapshot* snapshot) const {
    return {context_.store, row_.id, snapshot};
  }

  // The chunks of the document when it is stored with this content hash: writing it again would
  // change nothing.
  absl::StatusOr<std::optional<ChunkRange>> FindCurrent(std::string_view document_id,
                                                        std::string_view content_hash) const;

  // Writes the documents in one durable batch (more than one where an id repeats: the later
  // document replaces the earlier). On return they are on disk and searchable. On an error those
  // with an outcome are, and none of the others. Waits while too much is yet to be sealed; when
  // `cancellation` (may be null) says so meanwhile, ends with Cancelled and writes nothing.
  // `chunks`, if not null, receives the chunks of each document that has an outcome.
  absl::Status Upsert(absl::Span<const PreparedDocument> documents,
                      std::vector<WriteOutcome>* outcomes,
                      std::vector<ChunkRange>* chunks = nullptr,
                      const Cancellation* cancellation = nullptr);

  // Deletes durably, each document whole, in batches of bounded size; deleted[i] tells whether
  // ids[i] existed and is gone, also on an error.
  absl::Status Delete(absl::Span<const std::string> ids, std::vector<bool>* deleted);

  // One more than the highest chunk id that a chunk here has had since the collection was opened,
  // and than any that it has.
  ChunkId EndOfChunks() const;

  // Runs `drop`, which deletes the collection's rows, with writers kept out. When it succeeds every
  // later write is refused with `reason`, and the segment files are deleted. Queries on the
  // collection go on with what it held.
  absl::Status Retire(const absl::Status& reason, absl::FunctionRef<absl::Status()> drop);

  // The store is about to be closed: lets go of the rows that a retired collection kept for its
  // queries.
  void ReleaseRows();

  // While one lives writers wait, and the rows stay as they are. Building goes on.
  class WritePause {
   public:
    explicit WritePause(Collection* collection);
    ~WritePause();
    WritePause(const WritePause&) = delete;
    WritePause& operator=(const WritePause&) = delete;

   private:
    Collection* const collection_;
  };

  CollectionStats Stats() const;

  // While one lives, writes go to sorted table files instead of the log, in large batches, tails
  // become large segments at once, and nothing is merged.
  class BulkLoad {
   public:
    explicit BulkLoad(Collection* collection);
    ~BulkLoad();
    BulkLoad(const BulkLoad&) = delete;
    BulkLoad& operator=(const BulkLoad&) = delete;

    // Seals what is in memory and waits for it. The first error of a job that failed: what was
    // written is safe nevertheless.
    absl::Status Finish();

   private:
    Collection* const collection_;
  };

  // Waits until every tail that is full is sealed and, where segments have become many, until they
  // are merged. The error tells why a tail cannot be sealed: one that failed before is tried again
  // first. NotFound when the collection is dropped.
  absl::Status AwaitSeals();
  // Waits until there is nothing to be sealed or merged; errors as AwaitSeals.
  absl::Status AwaitIdle();

  // Makes one segment of everything, without dead chunks. Queries and writes go on. NotFound when
  // the collection is dropped; Cancelled, leaving all as it was, when `control` says so.
  absl::Status Compact(const WorkControl& control = {});
  // Builds all segments anew, from rows alone. Queries go on, writers wait. Errors as Compact's.
  absl::Status Reindex(const WorkControl& control = {});

  // One seal or merge, if one is due.
  Outcome RunJob(const std::atomic<bool>& cancel) override;

  // Keeps the index still for a query: a writer waits while a View lives, so hold it briefly.
  class ABSL_SCOPED_LOCKABLE View {
   public:
    explicit View(const Collection& collection) ABSL_SHARED_LOCK_FUNCTION(collection.mutex_);
    ~View() ABSL_UNLOCK_FUNCTION();
    View(const View&) = delete;
    View& operator=(const View&) = delete;

    absl::StatusOr<Candidates> Search(const CandidateQuery& query) const;
    // The id of the document with this first chunk, which a search just returned.
    std::string DocumentId(ChunkId document) const;

    // The rows exactly as the index has them, whatever is being committed meanwhile. May be kept
    // when the View is gone.
    const std::shared_ptr<const RowSnapshot>& snapshot() const { return snapshot_; }

   private:
    friend class CandidateSearch;
    const Collection& collection_;
    std::shared_ptr<const RowSnapshot> snapshot_;
  };

 private:
  friend class CandidateSearch;

  // A part and what is being done with it.
  struct Entry {
    std::shared_ptr<Part> part;
    std::shared_ptr<Segment> segment;  // `part`, where it is one.
    bool busy = false;                 // A job works on it.
    // Jobs that failed with it, one after the other, and when to try again.
    int failures = 0;
    absl::Time retry_at = absl::InfinitePast();
  };
  struct Staged;  // One batch between its rows and its place in memory; collection_write.cc.
  struct Job;     // collection_jobs.cc

  Collection(const CollectionContext& context, std::string name, const CollectionRow& row);

  // collection.cc
  absl::Status LoadParts() ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_, mutex_);
  void BeginActive(ChunkId covered) ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_, mutex_);
  // Reads the rows of a range into tails, and adds them.
  absl::Status LoadTails(ChunkId begin, ChunkId end)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_, mutex_);
  // Fills in the keys of those that take nothing out of any part.
  absl::Status LoadTombstones(std::vector<std::string>* stale)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_, mutex_);
  std::shared_ptr<Tail> NewTail(ChunkId begin) const;
  Tail& active() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return static_cast<Tail&>(*parts_.back().part);
  }
  const Tail& active() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return static_cast<const Tail&>(*parts_.back().part);
  }
  // The part that answers for the chunk.
  Part* FindPart(ChunkId chunk) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  // collection_write.cc
  absl::Status UpsertDistinct(absl::Span<const PreparedDocument* const> documents,
                              std::vector<WriteOutcome>* outcomes, std::vector<ChunkRange>* chunks)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  absl::Status StageDocument(const PreparedDocument& prepared, ChunkId first_chunk,
                             Staged* staged) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  absl::Status StageRemoval(std::string_view id, const DocumentRow& row, Staged* staged) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  // Commits the batch and takes it into memory.
  absl::Status CommitStaged(Staged staged) ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  // Of documents that bring their chunk ids.
  absl::Status CheckChunkIds(absl::Span<const PreparedDocument* const> documents) const;
  bool MayWrite() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_) {
    return write_pauses_ == 0 || retired_;
  }
  // Waits until nothing holds writers up. The reason why nothing can be written any more.
  absl::Status AwaitWriting(const Cancellation* cancellation)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);

  // collection_jobs.cc, collection_rebuild.cc
  // Ends the growing tail, when it has any slots, and begins another.
  void FreezeActive() ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_) ABSL_LOCKS_EXCLUDED(mutex_);
  void FreezeIfFull() ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_) ABSL_LOCKS_EXCLUDED(mutex_);
  void NotifyMaintenance();
  absl::Status AwaitRoom(const Cancellation* cancellation) ABSL_LOCKS_EXCLUDED(mutex_);
  size_t WaitingTails() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  // Whether there is no use in waiting for builds.
  bool NothingRuns() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  bool HasRoom() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  bool NoneWaits() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  bool MayClaimAll() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  bool MayPause() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  bool MayFreeze() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  // Waits until `ready`, or until the control says that nobody wants it any more: Cancelled.
  absl::Status AwaitUnlessStopped(bool (Collection::*ready)() const, const WorkControl& control)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Ends the growing tail for a compaction. Cancelled.
  absl::Status FreezeForCompaction(const WorkControl& control)
      ABSL_LOCKS_EXCLUDED(write_mutex_, mutex_);
  bool NothingDue() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  // The job to do next, if any: entries [first, first + count).
  bool PickJob(size_t* first, size_t* count) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  bool PickMerge(size_t* first, size_t* count) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  std::shared_ptr<Job> ClaimJob(size_t first, size_t count) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Frees the inputs of a job that ended so; after a failure they are tried again later.
  void ReleaseJob(const Job& job, const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status RunClaimed(Job* job, const WorkControl& control);
  absl::Status CommitJob(Job* job, const SegmentRow& row, std::shared_ptr<Segment> segment)
      ABSL_LOCKS_EXCLUDED(write_mutex_);
  // Takes chunks that were deleted since a job began out of its result.
  absl::Status ApplyTombstones(Part* part) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  ManifestRow ManifestWith(const Job& job, const SegmentRow* row) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  absl::Status ReindexPaused(const WorkControl& control)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  absl::Status CheckSpace(const std::vector<SegmentBuildInput>& inputs) const;
  SegmentBuildOptions BuildOptions() const;

  const CollectionContext context_;
  const std::string name_;
  const CollectionRow row_;
  std::unique_ptr<TermDictionary> terms_;

  // Held by the one writer at work, before mutex_.
  mutable absl::Mutex write_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  bool retired_ ABSL_GUARDED_BY(write_mutex_) = false;
  absl::Status retired_because_ ABSL_GUARDED_BY(write_mutex_);
  int write_pauses_ ABSL_GUARDED_BY(write_mutex_) = 0;
  // Ends a rebuild that a caller waits for: the collection is about to be dropped.
  std::atomic<bool> stop_rebuilds_{false};

  mutable absl::Mutex mutex_;
  // Ascending, disjoint ranges; the last one is the tail that grows. Changed under both locks.
  std::vector<Entry> parts_ ABSL_GUARDED_BY(mutex_);
  uint64_t epoch_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t next_file_ ABSL_GUARDED_BY(mutex_) = 1;
  int jobs_ ABSL_GUARDED_BY(mutex_) = 0;  // Claimed and not yet at their end.
  int bulk_loads_ ABSL_GUARDED_BY(mutex_) = 0;
  int compactions_ ABSL_GUARDED_BY(mutex_) = 0;  // While positive nothing is merged.
  bool paused_ ABSL_GUARDED_BY(mutex_) = false;  // Nothing is built.
  int freezes_ ABSL_GUARDED_BY(mutex_) = 0;      // Compactions about to end the growing tail.
  // Compactions that wait for the jobs at work: none begins meanwhile.
  int waiting_compactions_ ABSL_GUARDED_BY(mutex_) = 0;
  bool dropped_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status seal_status_ ABSL_GUARDED_BY(mutex_);  // Why the last tail could not be sealed.
  // While a batch is committed and not yet in memory: the rows from before it.
  std::shared_ptr<const RowSnapshot> before_commit_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_COLLECTION_H_
