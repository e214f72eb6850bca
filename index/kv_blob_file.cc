// Reading one blob file.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "index/durable_files.h"
#include "index/kv_blob_files.h"
#include "index/kv_blob_layout.h"

namespace cairn::index {
namespace {

template <typename T>
T Load(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// All of [offset, offset + size).
absl::Status ReadAt(int descriptor, const std::string& path, uint64_t offset, size_t size,
                    char* to) {
  while (size > 0) {
    const ssize_t n = ::pread(descriptor, to, size, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      // Unlike what it is elsewhere, an error of the device is one of this blob alone.
      return absl::UnavailableError(ErrnoStatus("cannot read", path).message());
    }
    if (n == 0) return absl::DataLossError(absl::StrCat(path, " has become shorter"));
    to += n;
    offset += static_cast<uint64_t>(n);
    size -= static_cast<size_t>(n);
  }
  return absl::OkStatus();
}

}  // namespace

KvChecksum KvChecksumOf(const void* bytes, size_t size) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes, size));
  KvChecksum checksum;
  std::memcpy(checksum.data(), canonical.digest, checksum.size());
  return checksum;
}

KvBlobFile::KvBlobFile(std::string path, int descriptor)
    : path_(std::move(path)), descriptor_(descriptor) {}

KvBlobFile::~KvBlobFile() { ::close(descriptor_); }

absl::StatusOr<std::unique_ptr<KvBlobFile>> KvBlobFile::Open(const std::string& path,
                                                             const KvBlobName& name) {
  // O_NONBLOCK: opening a pipe would wait for somebody at its other end.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (descriptor < 0) return ErrnoStatus("cannot open", path);
  return Adopt(descriptor, path, name);
}

absl::StatusOr<std::unique_ptr<KvBlobFile>> KvBlobFile::Adopt(int descriptor, std::string path,
                                                              const KvBlobName& name) {
  std::unique_ptr<KvBlobFile> file(new KvBlobFile(std::move(path), descriptor));
  struct stat info;
  if (::fstat(descriptor, &info) != 0) return ErrnoStatus("cannot inspect", file->path_);
  if (!S_ISREG(info.st_mode)) {
    return absl::DataLossError(absl::StrCat(file->path_, " is no regular file"));
  }
  absl::Status s = file->ReadHead(name, static_cast<uint64_t>(info.st_size));
  if (!s.ok()) return s;
  return file;
}

absl::Status KvBlobFile::ReadHead(const KvBlobName& name, uint64_t actual_bytes) {
  const auto damaged = [this](absl::string_view how) {
    return absl::DataLossError(absl::StrCat(path_, " is damaged: ", how));
  };
  char header[kKvHeaderBytes];
  if (actual_bytes < sizeof header) return damaged("shorter than its header");
  absl::Status s = ReadAt(descriptor_, path_, 0, sizeof header, header);
  if (!s.ok()) return s;
  if (std::memcmp(header, kKvMagic, sizeof kKvMagic) != 0) return damaged("not a KV blob");
  const auto version = Load<uint32_t>(header + 8);
  if (version > kKvVersion) {
    return absl::FailedPreconditionError(absl::StrCat(path_, " has version ", version,
                                                      " of the format; this program reads ",
                                                      kKvVersion, ": use a newer one"));
  }
  if (version != kKvVersion) return damaged("no version of the format");
  const auto count = Load<uint32_t>(header + 12);
  const auto metadata_bytes = Load<uint32_t>(header + 16);
  file_bytes_ = Load<uint64_t>(header + 24);
  if (count == 0 || count > kMaxKvExtents || metadata_bytes > kMaxKvMetadataBytes ||
      Load<uint32_t>(header + 20) != 0) {
    return damaged("sizes out of range");
  }
  const uint64_t head_bytes = KvHeadBytes(count, metadata_bytes);
  if (file_bytes_ != actual_bytes || head_bytes > actual_bytes) return damaged("its size");
  if (std::memcmp(header + 32, name.bytes.data(), name.bytes.size()) != 0) {
    return damaged("another blob's file");
  }
  std::string head(head_bytes, '\0');
  s = ReadAt(descriptor_, path_, 0, head.size(), head.data());
  if (!s.ok()) return s;
  const size_t hashed = head.size() - sizeof(KvChecksum);
  const KvChecksum checksum = KvChecksumOf(head.data(), hashed);
  // The header once more: it was read twice.
  if (std::memcmp(checksum.data(), head.data() + hashed, checksum.size()) != 0 ||
      std::memcmp(header, head.data(), sizeof header) != 0) {
    return damaged("the checksum of its head");
  }
  extents_.resize(count);
  uint64_t end = head_bytes;
  const char* entry = head.data() + kKvHeaderBytes;
  for (Extent& extent : extents_) {
    extent.offset = Load<uint64_t>(entry);
    extent.bytes = Load<uint64_t>(entry + 8);
    std::memcpy(extent.checksum.data(), entry + 16, extent.checksum.size());
    entry += kKvExtentEntryBytes;
    // No sum here is beyond twice a file's size, and that is below 2^63.
    if (extent.offset != KvAlign(end) || extent.offset > file_bytes_ || extent.bytes == 0 ||
        extent.bytes > file_bytes_ - extent.offset) {
      return damaged("the place of an extent");
    }
    end = extent.offset + extent.bytes;
  }
  if (end != file_bytes_) return damaged("bytes after its last extent");
  metadata_.assign(entry, metadata_bytes);
  return absl::OkStatus();
}

absl::Status KvBlobFile::Read(size_t extent, absl::Span<std::byte> to) const {
  if (extent >= extents_.size() || to.size() != extents_[extent].bytes) {
    return absl::InternalError("no such extent of a KV blob, or one of another size");
  }
  const Extent& wanted = extents_[extent];
  absl::Status s =
      ReadAt(descriptor_, path_, wanted.offset, to.size(), reinterpret_cast<char*>(to.data()));
  if (!s.ok()) return s;
  if (KvChecksumOf(to.data(), to.size()) == wanted.checksum) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(path_, " is damaged: the checksum of extent ", extent));
}

void KvBlobFile::WillNeed(size_t extent) const {
  if (extent >= extents_.size()) return;
  ::posix_fadvise(descriptor_, static_cast<off_t>(extents_[extent].offset),
                  static_cast<off_t>(extents_[extent].bytes), POSIX_FADV_WILLNEED);
}

}  // namespace cairn::index
