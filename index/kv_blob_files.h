// The folder kv/ of a store: immutable files of keys and values (docs/formats/kv-blob.md).
#ifndef CAIRN_INDEX_KV_BLOB_FILES_H_
#define CAIRN_INDEX_KV_BLOB_FILES_H_

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"

namespace cairn::index {

inline constexpr size_t kKvBlobAlignment = 4096;
inline constexpr size_t kMaxKvExtents = 4096;
inline constexpr size_t kMaxKvMetadataBytes = size_t{64} << 10;

// What a blob is found by: a keyed hash of all that its bytes depend on.
struct KvBlobName {
  std::array<uint8_t, 32> bytes{};

  std::string Hex() const;
  static std::optional<KvBlobName> FromHex(std::string_view hex);
  static std::optional<KvBlobName> FromView(std::string_view bytes);  // 32 of them.
  std::string_view view() const {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  friend auto operator<=>(const KvBlobName&, const KvBlobName&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const KvBlobName& name) {
    return H::combine(std::move(h), name.bytes);
  }
};

// A blob file that is open: its head was checked, its extents were not. Thread-safe; stays readable
// when the file is deleted.
class KvBlobFile {
 public:
  // NotFound, DataLoss (not a blob of this name, whole), FailedPrecondition (a newer version),
  // Unavailable (cannot be read). Whatever bytes: they are checked before anything is allocated.
  static absl::StatusOr<std::unique_ptr<KvBlobFile>> Open(const std::string& path,
                                                          const KvBlobName& name);
  // The same of an open file, whose descriptor it takes over; `path` is for messages.
  static absl::StatusOr<std::unique_ptr<KvBlobFile>> Adopt(int descriptor, std::string path,
                                                           const KvBlobName& name);
  ~KvBlobFile();
  KvBlobFile(const KvBlobFile&) = delete;
  KvBlobFile& operator=(const KvBlobFile&) = delete;

  std::string_view metadata() const { return metadata_; }
  size_t extents() const { return extents_.size(); }
  uint64_t extent_bytes(size_t extent) const { return extents_[extent].bytes; }
  uint64_t file_bytes() const { return file_bytes_; }

  // Fills `to`, of extent_bytes(extent), and checks it. DataLoss where the bytes are not those that
  // were written; Unavailable where they cannot be read.
  absl::Status Read(size_t extent, absl::Span<std::byte> to) const;
  // That the kernel may begin to read it.
  void WillNeed(size_t extent) const;

 private:
  struct Extent {
    uint64_t offset = 0;
    uint64_t bytes = 0;
    std::array<uint8_t, 16> checksum{};
  };
  KvBlobFile(std::string path, int descriptor);
  absl::Status ReadHead(const KvBlobName& name, uint64_t actual_bytes);

  const std::string path_;
  const int descriptor_;
  std::string metadata_;
  std::vector<Extent> extents_;
  uint64_t file_bytes_ = 0;
};

// Size of the file of a blob.
uint64_t KvBlobFileBytes(size_t metadata_bytes, absl::Span<const uint64_t> extent_bytes);

// Names, writes, finds and deletes blob files. Thread-safe. What is done about one blob, its file
// and its rows, is done under a Claim of its name.
class KvBlobFiles {
 public:
  explicit KvBlobFiles(const std::string& store_directory);

  // kv/ab/ab….kv
  std::string Path(const KvBlobName& name) const;

  // The sole right to change blobs. Waits for others who have it.
  class Claim {
   public:
    Claim(KvBlobFiles* files, absl::Span<const KvBlobName> names);
    Claim(KvBlobFiles* files, const KvBlobName& name) : Claim(files, absl::MakeSpan(&name, 1)) {}
    ~Claim();
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;

   private:
    KvBlobFiles* const files_;
    std::vector<KvBlobName> names_;
  };

  // Writes a blob, in place of one that may be there: on disk, by its name, on return, or not there
  // at all. ResourceExhausted (disk full), Unavailable, InvalidArgument (limits of the format).
  absl::Status Write(const KvBlobName& name, std::string_view metadata,
                     absl::Span<const absl::Span<const std::byte>> extents);
  absl::StatusOr<std::unique_ptr<KvBlobFile>> Open(const KvBlobName& name) const;
  // Size of the file, 0 where there is none.
  uint64_t FileBytes(const KvBlobName& name) const;
  // Deletes it; later, while a Hold lives, unless it was written again by then. `counted`: what it
  // had when it was written, should somebody else have deleted or cut it since; 0: what it has.
  void Remove(const KvBlobName& name, uint64_t counted = 0);

  // Calls on_blob for each file that has the name of a blob. Deletes, where asked to, what a crash
  // left of writing: only while nobody writes.
  void ForEach(bool delete_temporary,
               absl::FunctionRef<void(const KvBlobName& name, uint64_t bytes)> on_blob) const;

  // Files and their bytes, without those that are to be deleted. Begins with what it is told.
  void SetCounts(uint64_t blobs, uint64_t bytes);
  uint64_t blobs() const;
  uint64_t bytes() const;

  // While one lives no file disappears: a snapshot is being taken.
  class Hold {
   public:
    explicit Hold(KvBlobFiles* files);
    ~Hold();
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

   private:
    KvBlobFiles* const files_;
  };

 private:
  absl::Status Prepare(const std::string& folder) const;
  bool NoneClaimed(const std::vector<KvBlobName>& names) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string store_directory_;
  const std::string directory_;
  mutable absl::Mutex mutex_;
  absl::flat_hash_set<KvBlobName> claimed_ ABSL_GUARDED_BY(mutex_);
  int holds_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_set<KvBlobName> to_remove_ ABSL_GUARDED_BY(mutex_);
  uint64_t blobs_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_KV_BLOB_FILES_H_
