// The KV blobs of a store: files, and the rows that say which there are and for which chunks.
#ifndef CAIRN_INDEX_KV_BLOBS_H_
#define CAIRN_INDEX_KV_BLOBS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "index/kv_blob_files.h"
#include "index/kv_rows.h"
#include "index/row_batch.h"
#include "index/row_store.h"

namespace cairn::index {

// A chunk that uses a blob. Chunk 0: none; the blob then stays until its collection is dropped.
struct KvReference {
  ChunkId chunk = 0;
  KvConfigurationHash configuration{};  // Not all zero.
  // Other chunks of whose text there are traces in the blob: it goes as soon as one of them does.
  std::vector<ChunkId> seen = {};
};

// New figures of a blob's use.
struct KvUse {
  CollectionId collection = 0;
  KvBlobName name;
  double uses = 0;
  int64_t last_use_ms = 0;
  double priority = 0;
};

// Blobs have names of 32 bytes that are as good as random; how they come about is the caller's
// business, but for the secret that keys them. Rows decide: a blob without them is none, and its
// file goes. Thread-safe; no lock is held while files are read or written.
//
// Errors as RowStore's.
class KvBlobs {
 public:
  // `min_free_bytes`: what is to stay free on the disk, so that rows can be written.
  KvBlobs(RowStore* rows, uint64_t min_free_bytes);

  // Deletes what a crash, or a program that knows nothing of blobs, left behind: see the format's
  // page. `live`: all collections. Before anything else happens to the store.
  absl::Status Clean(absl::Span<const CollectionId> live);
  // Blobs that Clean deleted though chunks had them: their file, or their row, was not what it was.
  uint64_t damaged_at_opening() const { return damaged_at_opening_; }

  // Takes stock of the files, as Clean does besides.
  void Count();

  // What a collection's names are keyed with; random, and made at the first call. NotFound without
  // the collection; FailedPrecondition where it is to be made in a store opened read-only.
  absl::StatusOr<KvSecret> Secret(CollectionId collection);

  // Stores a blob for a chunk, durably; in place of one of that name, which keeps its references.
  // row.bytes is filled in. NotFound when a chunk, or the collection, is gone; ResourceExhausted
  // (disk full); InvalidArgument (beyond the limits of the format). Nothing is stored then.
  absl::Status Put(CollectionId collection, const KvBlobName& name, KvBlobRow row,
                   const KvReference& reference, std::string_view metadata,
                   absl::Span<const absl::Span<const std::byte>> extents);
  // Gives a blob a further chunk. NotFound without the blob, or when the chunk is gone.
  absl::Status AddReference(CollectionId collection, const KvBlobName& name,
                            const KvReference& reference);

  // NotFound without the blob.
  absl::StatusOr<KvBlobRow> Find(CollectionId collection, const KvBlobName& name) const;
  absl::StatusOr<std::unique_ptr<KvBlobFile>> Open(const KvBlobName& name) const {
    return files_.Open(name);
  }
  // Names and configurations of the chunk's blobs.
  absl::Status OfChunk(CollectionId collection, ChunkId chunk,
                       std::vector<std::pair<KvBlobName, KvConfigurationHash>>* blobs) const;
  // Every blob, by collection and name, as they are when it begins. Damaged rows are left out.
  absl::Status ForEach(
      absl::FunctionRef<void(CollectionId collection, const KvBlobName& name, const KvBlobRow& row)>
          on_blob) const;

  // Deletes a blob with all its rows and its file.
  absl::Status Remove(CollectionId collection, const KvBlobName& name);
  // Of blobs that there are still.
  absl::Status RecordUses(absl::Span<const KvUse> uses);

  // Has `observer` told of every blob that is removed, for whatever reason, right after its rows
  // are; on the thread that removes it. It must be quick, and call nothing here. Empty: nobody is
  // told; none is being told any more on return.
  void Observe(std::function<void(const KvBlobName& name)> observer);

  uint64_t blobs() const { return files_.blobs(); }
  uint64_t bytes() const { return files_.bytes(); }
  bool read_only() const { return rows_->read_only(); }
  KvBlobFiles& files() { return files_; }

  // A change of rows that takes chunks, or whole collections, away. From its making until the rows
  // are committed no blob is stored, so that none is stored for a chunk that is going.
  class Removal {
   public:
    explicit Removal(KvBlobs* blobs);
    // Deletes the blobs that nothing refers to any longer, if the rows were committed. Should it
    // fail, the next opening of the store does.
    ~Removal();
    Removal(const Removal&) = delete;
    Removal& operator=(const Removal&) = delete;

    // Adds the deletion of what [begin, end) have to the batch that deletes these chunks.
    absl::Status AddChunks(CollectionId collection, ChunkId begin, ChunkId end, RowBatch* batch);
    // Makes out which files go with a collection; AddDrop deletes their rows.
    absl::Status AddCollection(CollectionId collection);
    // Adds copies of a collection's rows, for one that takes its place.
    absl::Status AddMove(CollectionId from, CollectionId to, RowBatch* batch);
    // The batch is on disk.
    void Committed();

   private:
    KvBlobs* const blobs_;
    bool held_ = true;
    bool committed_ = false;
    // That may have lost their last chunk.
    std::vector<std::pair<CollectionId, KvBlobName>> released_;
    std::vector<KvBlobName> dropped_;
  };

 private:
  // The right to commit rows about blobs; while one lives no Removal begins.
  class Commitment {
   public:
    explicit Commitment(KvBlobs* blobs);
    ~Commitment();
    Commitment(const Commitment&) = delete;
    Commitment& operator=(const Commitment&) = delete;

   private:
    KvBlobs* const blobs_;
  };

  // NotFound when a chunk that the blob is for, or has seen, is gone. Under a Commitment.
  absl::Status CheckAlive(CollectionId collection, const KvReference& reference) const;
  absl::Status CheckAlive(CollectionId collection, ChunkId chunk) const;
  absl::Status CheckFreeSpace(uint64_t bytes) const;
  // Whether the name of a collection's row has this id.
  absl::StatusOr<bool> IsCollection(CollectionId collection) const;
  // Adds the deletion of all rows of a blob.
  absl::Status AddRemoval(CollectionId collection, const KvBlobName& name, RowBatch* batch) const;
  absl::StatusOr<bool> HasReferences(CollectionId collection, const KvBlobName& name) const;
  // Deletes the file of a blob whose rows are gone, under a Claim.
  void RemoveFile(const KvBlobName& name, uint64_t counted = 0);
  void RemoveUnreferenced(CollectionId collection, absl::Span<const KvBlobName> names);

  RowStore* const rows_;
  const uint64_t min_free_bytes_;
  KvBlobFiles files_;
  uint64_t damaged_at_opening_ = 0;
  absl::Mutex mutex_;
  int removals_ ABSL_GUARDED_BY(mutex_) = 0;
  int commitments_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Mutex observer_mutex_;
  std::function<void(const KvBlobName& name)> observer_ ABSL_GUARDED_BY(observer_mutex_);
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_KV_BLOBS_H_
