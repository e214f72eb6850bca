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
#include "index/row_store.h"

namespace cairn::index {

struct StoreOptions {
  RowStoreOptions rows;
  VectorEncoding vector_encoding = VectorEncoding::kInt8;  // Of vectors held in memory.
};

// Thread-safe. Errors as RowStore's.
class Store {
 public:
  static absl::StatusOr<std::unique_ptr<Store>> Open(const std::string& directory,
                                                     const StoreOptions& options);

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

  RowStore& rows() { return *rows_; }

 private:
  // A collection in use. `mutex` is held while it is read into memory, so that those who ask for
  // the same collection wait and nobody else does.
  struct Entry {
    absl::Mutex mutex;
    std::shared_ptr<Collection> collection ABSL_GUARDED_BY(mutex);
    bool dropped ABSL_GUARDED_BY(mutex) = false;
  };

  Store(std::unique_ptr<RowStore> rows, const CountersRow& counters, VectorEncoding encoding);

  const std::unique_ptr<RowStore> rows_;
  const VectorEncoding encoding_;
  ChunkIds ids_;
  // Held while collections are created and dropped; before any Entry's.
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, std::shared_ptr<Entry>> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_STORE_H_
