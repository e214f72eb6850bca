// The small files beside the database: FORMAT and LOCK.
#ifndef CAIRN_INDEX_STORE_FILES_H_
#define CAIRN_INDEX_STORE_FILES_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace cairn::index {

// Exclusive flock on store/LOCK for as long as the object lives. The kernel drops it when the
// process ends, however it ends.
class StoreLock {
 public:
  // FailedPrecondition when another process (or another object in this one) holds it.
  static absl::StatusOr<std::unique_ptr<StoreLock>> Acquire(const std::string& directory);
  ~StoreLock();
  StoreLock(const StoreLock&) = delete;
  StoreLock& operator=(const StoreLock&) = delete;

 private:
  explicit StoreLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

// FORMAT as bytes, and back to the store's uuid. FailedPrecondition for a newer format, DataLoss
// for anything that is not a FORMAT file.
std::string EncodeFormat(std::string_view uuid);
absl::StatusOr<std::string> DecodeFormat(std::string_view bytes);

// Reads store/FORMAT: the uuid; NotFound without one.
absl::StatusOr<std::string> ReadFormat(const std::string& directory);

// Makes the directory with its parents, durably. FailedPrecondition when it holds something that is
// not an interrupted creation: a store is not to be mixed into somebody's files by a mistyped path.
// DataLoss when it holds a database whose FORMAT is gone.
absl::Status CreateStoreDirectory(const std::string& directory);

// Creation, under the lock: BeginFormat writes store/FORMAT.new with a fresh random uuid, which it
// returns; then the database is made; FinishFormat renames it to FORMAT. So FORMAT exists only with
// a complete database, and FORMAT.new without FORMAT marks a creation that stopped halfway.
absl::StatusOr<std::string> BeginFormat(const std::string& directory);
absl::Status FinishFormat(const std::string& directory);

}  // namespace cairn::index

#endif  // CAIRN_INDEX_STORE_FILES_H_
