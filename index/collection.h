// One collection: its rows in the store, and the in-memory index over them.
#ifndef CAIRN_INDEX_COLLECTION_H_
#define CAIRN_INDEX_COLLECTION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "chunking/chunkers/chunker.h"
#include "chunking/document.h"
#include "index/chunk_ids.h"
#include "index/collection_rows.h"
#include "index/filter.h"
#include "index/row_store.h"
#include "index/rows.h"
#include "index/tail.h"

namespace cairn::index {

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
};

// 16 bytes over everything in a document that a reader of it could notice.
std::string ContentHash(const chunking::Document& document);

enum class WriteOutcome : uint8_t { kCreated, kReplaced, kUnchanged };

struct ScoredChunk {
  ChunkId chunk = 0;
  DocumentIndex document = 0;
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
  Bm25Parameters bm25;
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
  uint64_t memory_bytes = 0;  // Of the in-memory index, estimated.
};

// Thread-safe. Writers take turns; queries run beside each other and wait only while a committed
// batch is taken into the in-memory index. Store and ids must outlive the collection.
class Collection {
 public:
  // Reads the collection's index rows into memory. DataLoss naming the row when one is damaged.
  static absl::StatusOr<std::unique_ptr<Collection>> Load(RowStore* store, ChunkIds* ids,
                                                          std::string name,
                                                          const CollectionRow& row,
                                                          VectorEncoding encoding);
  ~Collection();

  const std::string& name() const { return name_; }
  CollectionId id() const { return row_.id; }
  const CollectionSettings& settings() const { return row_.settings; }

  CollectionRows RowsAt(const RowSnapshot* snapshot) const { return {store_, row_.id, snapshot}; }

  // True when the document is stored with this content hash: writing it again would change nothing.
  bool IsCurrent(std::string_view document_id, std::string_view content_hash) const;

  // Writes the documents in one durable batch (more than one where an id repeats: the later
  // document replaces the earlier). On return they are on disk and searchable. On an error those
  // with an outcome are, and none of the others.
  absl::Status Upsert(absl::Span<const PreparedDocument> documents,
                      std::vector<WriteOutcome>* outcomes);

  // Deletes durably, each document whole, in batches of bounded size; deleted[i] tells whether
  // ids[i] existed and is gone, also on an error.
  absl::Status Delete(absl::Span<const std::string> ids, std::vector<bool>* deleted);

  // Runs `drop`, which deletes the collection's rows, with writers kept out. When it succeeds every
  // later write is refused.
  absl::Status Retire(absl::FunctionRef<absl::Status()> drop);

  CollectionStats Stats() const;

  // Keeps the index still for a query: a writer waits while a View lives, so hold it briefly.
  class ABSL_SCOPED_LOCKABLE View {
   public:
    explicit View(const Collection& collection) ABSL_SHARED_LOCK_FUNCTION(collection.mutex_);
    ~View() ABSL_UNLOCK_FUNCTION();
    View(const View&) = delete;
    View& operator=(const View&) = delete;

    absl::StatusOr<Candidates> Search(const CandidateQuery& query) const;
    const std::string& DocumentId(DocumentIndex document) const;

    // The rows exactly as the index has them, whatever is being committed meanwhile. May be kept
    // when the View is gone.
    const std::shared_ptr<const RowSnapshot>& snapshot() const { return snapshot_; }

   private:
    // `vector` holds cosines found already.
    absl::Status FillCosines(absl::Span<const float> query, absl::Span<const ScoredSlot> lexical,
                             absl::Span<const ScoredSlot> vector,
                             std::vector<float>* cosines) const;
    absl::Status ReadVectors(absl::Span<const Slot> slots, absl::Span<float> out) const;

    const Collection& collection_;
    std::shared_ptr<const RowSnapshot> snapshot_;
  };

 private:
  struct Staged;  // One batch between its rows and its place in memory; collection_write.cc.

  Collection(RowStore* store, ChunkIds* ids, std::string name, const CollectionRow& row,
             VectorEncoding encoding);
  absl::Status UpsertDistinct(absl::Span<const PreparedDocument* const> documents,
                              std::vector<WriteOutcome>* outcomes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  absl::Status StageDocument(const PreparedDocument& prepared, ChunkId first_chunk,
                             Staged* staged) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  absl::Status StageRemoval(DocumentIndex document, Staged* staged) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  // Commits the batch and takes it into memory.
  absl::Status CommitStaged(Staged staged) ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  // Gives the memory of dead slots back by reading the rows again. A failure is no loss.
  void ReclaimIfMostlyDead() ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);

  RowStore* const store_;
  ChunkIds* const ids_;
  const std::string name_;
  const CollectionRow row_;
  const VectorEncoding encoding_;

  // Held by the one writer at work, before mutex_.
  absl::Mutex write_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  bool retired_ ABSL_GUARDED_BY(write_mutex_) = false;
  mutable absl::Mutex mutex_;
  std::unique_ptr<Tail> tail_ ABSL_GUARDED_BY(mutex_);
  // While a batch is committed and not yet in the tail: the rows from before it.
  std::shared_ptr<const RowSnapshot> before_commit_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_COLLECTION_H_
