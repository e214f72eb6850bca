// A store: one directory, its collections, and its health.
#ifndef CAIRN_INDEX_STORE_H_
#define CAIRN_INDEX_STORE_H_

#include <cstdint>
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
#include "index/chunk_ids.h"
#include "index/collection.h"
#include "index/index_options.h"
#include "index/maintenance.h"
#include "index/query_threads.h"
#include "index/row_store.h"
#include "index/segment/rate_limiter.h"
#include "index/segment/segment_files.h"
#include "index/verify.h"

namespace cairn::index {

struct StoreOptions {
  RowStoreOptions rows;
  IndexOptions index;
  size_t query_threads = 0;  // At work at once, callers included; 0: one a core.
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
                                                     const CollectionSettings& settings);

  // Deletes a collection with all its rows. Queries in progress on it end as they began.
  absl::Status Drop(std::string_view name);

  // Names, ascending.
  absl::StatusOr<std::vector<std::string>> List() const;

  // Copies the store, as it is at one moment, into a new directory (store_snapshot.h). Queries and
  // writes go on.
  absl::Status Snapshot(const std::string& destination);

  // VerifyStore, with the segments held in place.
  absl::Status Verify(bool deep, absl::FunctionRef<void(const std::string& problem)> on_problem,
                      VerifyReport* report);

  RowStore& rows() { return *rows_; }
  // Of rows and segments.
  uint64_t DiskBytes() const { return rows_->DiskBytes() + files_.DiskBytes(); }

 private:
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
  // Deletes segment files that no manifest names.
  void CleanSegments() const;

  const std::unique_ptr<RowStore> rows_;
  const IndexOptions options_;
  ChunkIds ids_;
  SegmentFiles files_;
  RateLimiter limiter_;
  QueryThreads threads_;
  std::unique_ptr<Maintenance> maintenance_;  // Null for a reader.
  // Held while collections are created and dropped; before any Entry's.
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, std::shared_ptr<Entry>> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_STORE_H_
