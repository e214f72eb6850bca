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
// Creates store/FORMAT durably with a fresh random uuid, which it returns.
absl::StatusOr<std::string> CreateFormat(const std::string& directory);

}  // namespace cairn::index

#endif  // CAIRN_INDEX_STORE_FILES_H_
