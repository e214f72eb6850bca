#include "index/kv_blob_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "index/durable_files.h"
#include "index/kv_blob_layout.h"

namespace cairn::index {
namespace {

constexpr char kSuffix[] = ".kv";
constexpr char kTemporarySuffix[] = ".kv.tmp";

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

template <typename T>
void StoreAt(T value, char* to) {
  std::memcpy(to, &value, sizeof value);
}

absl::Status WriteAt(int descriptor, const std::string& path, uint64_t offset, const void* bytes,
                     size_t size) {
  const char* from = static_cast<const char*>(bytes);
  while (size > 0) {
    const ssize_t n = ::pwrite(descriptor, from, size, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus("cannot write", path);
    from += n;
    offset += static_cast<uint64_t>(n);
    size -= static_cast<size_t>(n);
  }
  return absl::OkStatus();
}

struct PlacedExtent {
  uint64_t offset;
  absl::Span<const std::byte> bytes;
};

std::string MakeHead(const KvBlobName& name, std::string_view metadata,
                     absl::Span<const PlacedExtent> extents) {
  std::string head(KvHeadBytes(extents.size(), metadata.size()), '\0');
  char* to = head.data();
  std::memcpy(to, kKvMagic, sizeof kKvMagic);
  StoreAt(kKvVersion, to + 8);
  StoreAt(static_cast<uint32_t>(extents.size()), to + 12);
  StoreAt(static_cast<uint32_t>(metadata.size()), to + 16);
  StoreAt(uint64_t{extents.back().offset + extents.back().bytes.size()}, to + 24);
  std::memcpy(to + 32, name.bytes.data(), name.bytes.size());
  to += kKvHeaderBytes;
  for (const PlacedExtent& extent : extents) {
    StoreAt(extent.offset, to);
    StoreAt(uint64_t{extent.bytes.size()}, to + 8);
    const KvChecksum checksum = KvChecksumOf(extent.bytes.data(), extent.bytes.size());
    std::memcpy(to + 16, checksum.data(), checksum.size());
    to += kKvExtentEntryBytes;
  }
  if (!metadata.empty()) std::memcpy(to, metadata.data(), metadata.size());
  const size_t hashed = head.size() - sizeof(KvChecksum);
  const KvChecksum checksum = KvChecksumOf(head.data(), hashed);
  std::memcpy(head.data() + hashed, checksum.data(), checksum.size());
  return head;
}

// A new file, whose bytes (not its name) are on disk on return.
absl::Status WriteBlob(const std::string& path, std::string_view head,
                       absl::Span<const PlacedExtent> extents) {
  const Descriptor fd(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (fd.get() < 0) return ErrnoStatus("cannot create", path);
  absl::Status s = WriteAt(fd.get(), path, 0, head.data(), head.size());
  for (size_t i = 0; i < extents.size() && s.ok(); ++i) {
    // What lies between was never written, and so is zero.
    s = WriteAt(fd.get(), path, extents[i].offset, extents[i].bytes.data(),
                extents[i].bytes.size());
  }
  if (!s.ok()) return s;
  if (::fsync(fd.get()) != 0) return ErrnoStatus("cannot sync", path);
  return absl::OkStatus();
}

uint64_t SizeOf(const std::string& path) {
  struct stat info;
  if (::lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return 0;
  return static_cast<uint64_t>(info.st_size);
}

}  // namespace

std::string KvBlobName::Hex() const {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * bytes.size());
  for (uint8_t b : bytes) {
    hex.push_back(kDigits[b >> 4]);
    hex.push_back(kDigits[b & 15]);
  }
  return hex;
}

std::optional<KvBlobName> KvBlobName::FromHex(std::string_view hex) {
  KvBlobName name;
  if (hex.size() != 2 * name.bytes.size()) return std::nullopt;
  for (size_t i = 0; i < name.bytes.size(); ++i) {
    const int high = HexDigit(hex[2 * i]), low = HexDigit(hex[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    name.bytes[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return name;
}

std::optional<KvBlobName> KvBlobName::FromView(std::string_view bytes) {
  KvBlobName name;
  if (bytes.size() != name.bytes.size()) return std::nullopt;
  std::memcpy(name.bytes.data(), bytes.data(), bytes.size());
  return name;
}

uint64_t KvBlobFileBytes(size_t metadata_bytes, absl::Span<const uint64_t> extent_bytes) {
  uint64_t end = KvHeadBytes(extent_bytes.size(), metadata_bytes);
  for (uint64_t bytes : extent_bytes) end = KvAlign(end) + bytes;
  return end;
}

KvBlobFiles::KvBlobFiles(const std::string& store_directory)
    : store_directory_(store_directory), directory_(store_directory + "/kv") {}

std::string KvBlobFiles::Path(const KvBlobName& name) const {
  const std::string hex = name.Hex();
  return absl::StrCat(directory_, "/", hex.substr(0, 2), "/", hex, kSuffix);
}

absl::Status KvBlobFiles::Prepare(const std::string& folder) const {
  for (const auto& [path, parent] :
       {std::pair(directory_, store_directory_), std::pair(folder, directory_)}) {
    if (::mkdir(path.c_str(), 0755) == 0) {
      if (absl::Status s = SyncDirectory(parent); !s.ok()) return s;
    } else if (errno != EEXIST) {
      return ErrnoStatus("cannot create", path);
    }
  }
  return absl::OkStatus();
}

absl::Status KvBlobFiles::Write(const KvBlobName& name, std::string_view metadata,
                                absl::Span<const absl::Span<const std::byte>> extents) {
  if (extents.empty() || extents.size() > kMaxKvExtents || metadata.size() > kMaxKvMetadataBytes) {
    return absl::InvalidArgumentError("a KV blob beyond the limits of its format");
  }
  std::vector<PlacedExtent> placed;
  uint64_t end = KvHeadBytes(extents.size(), metadata.size());
  for (absl::Span<const std::byte> bytes : extents) {
    if (bytes.empty()) return absl::InvalidArgumentError("a KV blob with an empty extent");
    placed.push_back({KvAlign(end), bytes});
    end = placed.back().offset + bytes.size();
  }
  const std::string path = Path(name);
  const std::string temporary =
      absl::StrCat(path.substr(0, path.size() - strlen(kSuffix)), kTemporarySuffix);
  const std::string folder = path.substr(0, path.rfind('/'));
  if (absl::Status s = Prepare(folder); !s.ok()) return s;
  absl::Status s = WriteBlob(temporary, MakeHead(name, metadata, placed), placed);
  if (!s.ok()) {
    ::unlink(temporary.c_str());
    return s;
  }
  const uint64_t replaced = SizeOf(path);
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    s = ErrnoStatus("cannot rename to", path);
    ::unlink(temporary.c_str());
    return s;
  }
  {
    absl::MutexLock lock(&mutex_);
    const bool counted = replaced > 0 && to_remove_.erase(name) == 0;
    bytes_ += end - (counted ? replaced : 0);
    blobs_ += counted ? 0 : 1;
  }
  s = SyncDirectory(folder);
  if (!s.ok()) Remove(name);
  return s;
}

absl::StatusOr<std::unique_ptr<KvBlobFile>> KvBlobFiles::Open(const KvBlobName& name) const {
  return KvBlobFile::Open(Path(name), name);
}

uint64_t KvBlobFiles::FileBytes(const KvBlobName& name) const { return SizeOf(Path(name)); }

void KvBlobFiles::Remove(const KvBlobName& name, uint64_t counted) {
  const std::string path = Path(name);
  const uint64_t bytes = counted > 0 ? counted : SizeOf(path);
  {
    absl::MutexLock lock(&mutex_);
    if (bytes == 0 || to_remove_.contains(name)) return;
    bytes_ -= std::min(bytes_, bytes);
    blobs_ -= std::min<uint64_t>(blobs_, 1);
    if (holds_ > 0) {
      to_remove_.insert(name);
      return;
    }
  }
  ::unlink(path.c_str());  // Should it stay, the next open deletes it.
}

void KvBlobFiles::ForEach(
    bool delete_temporary,
    absl::FunctionRef<void(const KvBlobName& name, uint64_t bytes)> on_blob) const {
  ForEachEntry(directory_, [&](const std::string& folder, const std::string&) {
    ForEachEntry(folder, [&](const std::string& path, const std::string& file) {
      if (absl::EndsWith(file, kTemporarySuffix)) {
        if (delete_temporary) ::unlink(path.c_str());
        return;
      }
      if (!absl::EndsWith(file, kSuffix)) return;
      const auto name =
          KvBlobName::FromHex(std::string_view(file).substr(0, file.size() - strlen(kSuffix)));
      // One in the wrong folder is not found by anybody.
      if (name.has_value() && Path(*name) == path) on_blob(*name, SizeOf(path));
    });
  });
}

void KvBlobFiles::SetCounts(uint64_t blobs, uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  blobs_ = blobs;
  bytes_ = bytes;
}

uint64_t KvBlobFiles::blobs() const {
  absl::MutexLock lock(&mutex_);
  return blobs_;
}

uint64_t KvBlobFiles::bytes() const {
  absl::MutexLock lock(&mutex_);
  return bytes_;
}

bool KvBlobFiles::NoneClaimed(const std::vector<KvBlobName>& names) const {
  return std::none_of(names.begin(), names.end(),
                      [this](const KvBlobName& name)
                          ABSL_NO_THREAD_SAFETY_ANALYSIS { return claimed_.contains(name); });
}

KvBlobFiles::Claim::Claim(KvBlobFiles* files, absl::Span<const KvBlobName> names)
    : files_(files), names_(names.begin(), names.end()) {
  absl::MutexLock lock(&files_->mutex_);
  // All or none, so that two who want the same names never wait for each other.
  struct Wanted {
    KvBlobFiles* files;
    const std::vector<KvBlobName>* names;
  } wanted = {files_, &names_};
  files_->mutex_.Await(absl::Condition(
      +[](Wanted* w) ABSL_NO_THREAD_SAFETY_ANALYSIS { return w->files->NoneClaimed(*w->names); },
      &wanted));
  files_->claimed_.insert(names_.begin(), names_.end());
}

KvBlobFiles::Claim::~Claim() {
  absl::MutexLock lock(&files_->mutex_);
  for (const KvBlobName& name : names_) files_->claimed_.erase(name);
}

KvBlobFiles::Hold::Hold(KvBlobFiles* files) : files_(files) {
  absl::MutexLock lock(&files_->mutex_);
  ++files_->holds_;
}

KvBlobFiles::Hold::~Hold() {
  // The names are claimed while files are deleted: one of them may be being written again.
  absl::flat_hash_set<KvBlobName> names;
  {
    absl::MutexLock lock(&files_->mutex_);
    if (--files_->holds_ > 0) return;
    names = files_->to_remove_;
  }
  for (const KvBlobName& name : names) {
    const Claim claim(files_, name);
    {
      absl::MutexLock lock(&files_->mutex_);
      if (files_->holds_ > 0 || files_->to_remove_.erase(name) == 0) continue;
    }
    ::unlink(files_->Path(name).c_str());
  }
}

}  // namespace cairn::index
