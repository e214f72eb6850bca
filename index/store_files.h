// The small files beside the database: FORMAT and LOCK.
#ifndef CAIRN_INDEX_STORE_FILES_H_
#define CAIRN_INDEX_STORE_FILES_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace cairn::index {

// A flock on store/LOCK, exclusive but for AcquireShared, for as long as the object lives. The
// kernel drops it when the process ends, however it ends.
class StoreLock {
 public:
  // FailedPrecondition when another process (or another object in this one) holds it.
  static absl::StatusOr<std::unique_ptr<StoreLock>> Acquire(const std::string& directory);
  // Keeps writers away, but not others that do the same; writes nothing. Null where there is no
  // LOCK to hold, and so no writer.
  static absl::StatusOr<std::unique_ptr<StoreLock>> AcquireShared(const std::string& directory);
  ~StoreLock();
  StoreLock(const StoreLock&) = delete;
  StoreLock& operator=(const StoreLock&) = delete;

 private:
  explicit StoreLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

// The format that this program writes, and the oldest one that it reads.
inline constexpr int kStoreFormat = 2;
inline constexpr int kOldestStoreFormat = 1;

// What FORMAT says.
struct StoreFormat {
  int number = kStoreFormat;
  std::string uuid;  // 32 characters
};

// FORMAT as bytes, and back. FailedPrecondition for a newer format, DataLoss for anything that is
// not a FORMAT file.
std::string EncodeFormat(const StoreFormat& format);
absl::StatusOr<StoreFormat> DecodeFormat(std::string_view bytes);

// Reads store/FORMAT. NotFound without one.
absl::StatusOr<StoreFormat> ReadFormat(const std::string& directory);

// Makes the directory with its parents, durably. FailedPrecondition when it holds something that is
// not an interrupted creation: a store is not to be mixed into somebody's files by a mistyped path.
// DataLoss when it holds a database whose FORMAT is gone.
absl::Status CreateStoreDirectory(const std::string& directory);

// Creation, under the lock: BeginFormat writes store/FORMAT.new with a fresh random uuid, which it
// returns; then the database is made; FinishFormat renames it to FORMAT. So FORMAT exists only with
// a complete database, and FORMAT.new without FORMAT marks a creation that stopped halfway.
absl::StatusOr<std::string> BeginFormat(const std::string& directory);
absl::Status FinishFormat(const std::string& directory);

// Under the lock, beside a database that is as `format` says: makes FORMAT say so, durably and
// never half, by way of FORMAT.next (FORMAT.new would speak of a creation).
absl::Status WriteFormat(const std::string& directory, const StoreFormat& format);

}  // namespace cairn::index

#endif  // CAIRN_INDEX_STORE_FILES_H_
