// A store: one directory, its collections, and its health.
#ifndef CAIRN_INDEX_STORE_H_
#define CAIRN_INDEX_STORE_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "index/chunk_ids.h"
#include "index/collection.h"
#include "index/index_options.h"
#include "index/kv_blobs.h"
#include "index/maintenance.h"
#include "index/query_threads.h"
#include "index/reembedding.h"
#include "index/row_store.h"
#include "index/segment/rate_limiter.h"
#include "index/segment/segment_files.h"
#include "index/store_snapshot.h"
#include "index/verify.h"

namespace cairn::index {

// What a collection's owner says of it (NotesRow). Any bytes.
struct CollectionRemarks {
  std::string description;
  std::map<std::string, std::string> labels;
};

struct StoreOptions {
  RowStoreOptions rows;
  IndexOptions index;
  size_t query_threads = 0;  // At work at once, callers included; 0: one a core.
  // What time it is, for the notes of collections; empty: the system's clock.
  std::function<absl::Time()> now;
};

// Thread-safe. Errors as RowStore's.
class Store {
 public:
  static absl::StatusOr<std::unique_ptr<Store>> Open(const std::string& directory,
                                                     const StoreOptions& options);
  // Stops what is being built: nothing is lost, it is begun again at the next opening.
  ~Store();

  // A collection that exists, read into memory at its first use. NotFound otherwise.
  absl::StatusOr<std::shared_ptr<Collection>> Find(std::string_view name);

  // The collection's settings without reading it into memory. NotFound.
  absl::StatusOr<CollectionRow> Describe(std::string_view name) const;

  // Creates a collection. AlreadyExists; InvalidArgument for a bad name (letters, digits, "._-", at
  // most 128 bytes, not starting with a dot).
  absl::StatusOr<std::shared_ptr<Collection>> Create(std::string_view name,
                                                     const CollectionSettings& settings,
                                                     const CollectionRemarks& remarks = {});

  // What was noted of a collection; empty, without times, where nothing was. NotFound without the
  // collection.
  absl::StatusOr<NotesRow> Notes(std::string_view name) const;
  // Replaces the remarks, durably. NotFound.
  absl::Status SetRemarks(std::string_view name, const CollectionRemarks& remarks);

  // Deletes a collection with all its rows. Queries in progress on it end as they began.
  // FailedPrecondition while a Reembedding of it lives.
  absl::Status Drop(std::string_view name);

  // Begins to give a collection the vectors of another model, or goes on where an earlier attempt,
  // perhaps of another process, was ended. NotFound without the collection; FailedPrecondition,
  // naming both models, while it is being given those of a third, and where one is at work already.
  // `model` is what to call the model in messages. The store must outlive the object.
  absl::StatusOr<std::unique_ptr<Reembedding>> Reembed(std::string_view name,
                                                       const std::string& fingerprint, uint32_t dim,
                                                       const std::string& model);
  // The re-embedding that was begun and not ended. NotFound.
  absl::StatusOr<ReembeddingRow> DescribeReembedding(std::string_view name) const;
  // Gives it up, and deletes what there is of it. NotFound; FailedPrecondition while one is at
  // work.
  absl::Status AbandonReembedding(std::string_view name);

  // Names, ascending: at most `limit` of those after `after` (exclusive) that begin with `prefix`.
  absl::StatusOr<std::vector<std::string>> List(
      std::string_view prefix = {}, std::string_view after = {},
      size_t limit = std::numeric_limits<size_t>::max()) const;

  // Copies the store, as it is at one moment, into a new directory (store_snapshot.h). Queries and
  // writes go on.
  absl::Status Snapshot(const std::string& destination, const SnapshotOptions& options = {});

  // VerifyStore, with the segments held in place.
  absl::Status Verify(bool deep, absl::FunctionRef<void(const std::string& problem)> on_problem,
                      VerifyReport* report) {
    return Verify({deep, {}, nullptr, {}}, on_problem, report);
  }
  absl::Status Verify(const VerifyOptions& options,
                      absl::FunctionRef<void(const std::string& problem)> on_problem,
                      VerifyReport* report);

  RowStore& rows() const { return *rows_; }
  KvBlobs& kv_blobs() { return kv_blobs_; }
  // Of rows, segments and KV blobs.
  uint64_t DiskBytes() const { return rows_->DiskBytes() + files_.DiskBytes() + kv_blobs_.bytes(); }

 private:
  friend class Reembedding;

  // A collection in use. `mutex` is held while it is read into memory, so that those who ask for
  // the same collection wait and nobody else does.
  struct Entry {
    absl::Mutex mutex;
    std::shared_ptr<Collection> collection ABSL_GUARDED_BY(mutex);
    bool dropped ABSL_GUARDED_BY(mutex) = false;
  };

  Store(std::unique_ptr<RowStore> rows, const CountersRow& counters, const StoreOptions& options);
  CollectionContext Context();
  absl::StatusOr<ManifestRow> ReadManifest(CollectionId collection) const;
  // Of a collection that is there.
  absl::StatusOr<NotesRow> ReadNotes(CollectionId collection) const;
  int64_t NowMs() const;
  // Deletes segment files that no manifest names.
  void CleanSegments() const;
  // Deletes notes of collections that are gone. A failure costs nothing but their bytes.
  void CleanNotes();
  // What KvBlobs::Clean does, and the counts of blobs. A failure costs nothing but their bytes.
  void CleanKvBlobs();
  // Commits a batch that also deletes everything of the collection.
  absl::Status CommitDrop(CollectionId collection, RowBatch batch);
  // Collection::Retire, and remembers it.
  absl::Status Retire(const std::shared_ptr<Collection>& collection, const std::string& reason,
                      absl::FunctionRef<absl::Status()> drop) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Deletes rows and files of a collection that is not in memory, together with what is in `batch`.
  absl::Status DropUnloaded(CollectionId collection, RowBatch batch);

  // A re-embedding's second collection, once it was in memory.
  struct Successor {
    std::shared_ptr<Collection> collection;
    bool in_use = false;  // By a Reembedding.
  };
  // store_reembedding.cc
  absl::StatusOr<ReembeddingRow> ClaimReembedding(const Collection& source,
                                                  const std::string& fingerprint, uint32_t dim,
                                                  const std::string& model)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Abandon(std::string_view name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsReembedding(std::string_view name) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::unique_ptr<RowStore> rows_;
  const IndexOptions options_;
  const std::function<absl::Time()> now_;
  ChunkIds ids_;
  SegmentFiles files_;
  KvBlobs kv_blobs_;
  RateLimiter limiter_;
  QueryThreads threads_;
  std::unique_ptr<Maintenance> maintenance_;  // Null for a reader.
  // Held while collections are created and dropped; before any Entry's.
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, std::shared_ptr<Entry>> entries_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, Successor> successors_ ABSL_GUARDED_BY(mutex_);
  // Dropped and replaced ones that somebody may still hold.
  std::vector<std::weak_ptr<Collection>> retired_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_STORE_H_
