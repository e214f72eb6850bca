#include "index/segment/section_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "index/segment/rate_limiter.h"

namespace cairn::index {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr char kMagic[8] = {'C', 'A', 'I', 'R', 'N', 'S', 'E', 'G'};
constexpr uint32_t kVersion = 1;
constexpr size_t kHeaderBytes = 64;
constexpr size_t kHashBytes = 16;
constexpr size_t kBufferBytes = size_t{1} << 20;
constexpr uint32_t kMaxSections = 256;

// Before the hash, at the end of the file.
struct Footer {
  uint64_t table_offset = 0;
  uint32_t sections = 0;
  uint32_t version = kVersion;
  char magic[8] = {};
};
static_assert(sizeof(Footer) == 24);

struct TableEntry {
  uint32_t section = 0;
  uint32_t reserved = 0;
  uint64_t offset = 0;
  uint64_t bytes = 0;
};
static_assert(sizeof(TableEntry) == 24);

constexpr size_t kTrailerBytes = sizeof(Footer) + kHashBytes;

absl::Status SectionErrno(const std::string& what, const std::string& path) {
  const int error = errno;
  const std::string message = absl::StrCat(what, " ", path, ": ", std::strerror(error));
  if (error == ENOENT) return absl::NotFoundError(message);
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
    return absl::ResourceExhaustedError(message);
  }
  return absl::UnavailableError(message);
}

struct FreeState {
  void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
};

std::array<uint8_t, 16> Canonical(XXH128_hash_t hash) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  std::array<uint8_t, 16> out;
  std::memcpy(out.data(), canonical.digest, out.size());
  return out;
}

}  // namespace

struct SectionWriter::Hasher {
  std::unique_ptr<XXH3_state_t, FreeState> state{XXH3_createState()};
  Hasher() { XXH3_128bits_reset(state.get()); }
};

absl::StatusOr<std::unique_ptr<SectionWriter>> SectionWriter::Create(const std::string& path,
                                                                     RateLimiter* limiter) {
  const int descriptor = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor < 0) return SectionErrno("cannot create", path);
  return std::unique_ptr<SectionWriter>(new SectionWriter(path, descriptor, limiter));
}

SectionWriter::SectionWriter(std::string path, int descriptor, RateLimiter* limiter)
    : path_(std::move(path)),
      descriptor_(descriptor),
      limiter_(limiter),
      hasher_(std::make_unique<Hasher>()) {
  buffer_.reserve(kBufferBytes);
  char header[kHeaderBytes] = {};
  std::memcpy(header, kMagic, sizeof kMagic);
  std::memcpy(header + sizeof kMagic, &kVersion, sizeof kVersion);
  Append(header, sizeof header);
}

SectionWriter::~SectionWriter() {
  if (descriptor_ >= 0) close(descriptor_);
  if (!finished_) unlink(path_.c_str());
}

void SectionWriter::Begin(Section section) {
  EndSection();
  section_ = static_cast<uint32_t>(section);
  section_begin_ = position_;
  in_section_ = true;
}

void SectionWriter::EndSection() {
  if (in_section_) table_.push_back({section_, section_begin_, position_ - section_begin_});
  in_section_ = false;
  const char zeros[kAlignment] = {};
  Append(zeros, (kAlignment - position_ % kAlignment) % kAlignment);
}

void SectionWriter::Append(const void* data, size_t bytes) {
  const char* from = static_cast<const char*>(data);
  position_ += bytes;
  while (bytes > 0 && status_.ok()) {
    const size_t n = std::min(bytes, kBufferBytes - buffer_.size());
    buffer_.insert(buffer_.end(), from, from + n);
    from += n;
    bytes -= n;
    if (buffer_.size() == kBufferBytes) Flush();
  }
}

void SectionWriter::Flush() {
  if (limiter_ != nullptr && !buffer_.empty()) limiter_->Acquire(buffer_.size());
  XXH3_128bits_update(hasher_->state.get(), buffer_.data(), buffer_.size());
  size_t written = 0;
  while (written < buffer_.size() && status_.ok()) {
    const ssize_t n = write(descriptor_, buffer_.data() + written, buffer_.size() - written);
    if (n >= 0) {
      written += n;
    } else if (errno != EINTR) {
      status_ = SectionErrno("cannot write", path_);
    }
  }
  buffer_.clear();
}

absl::StatusOr<FileDigest> SectionWriter::Finish() {
  EndSection();
  Footer footer;
  footer.table_offset = position_;
  footer.sections = static_cast<uint32_t>(table_.size());
  std::memcpy(footer.magic, kMagic, sizeof kMagic);
  for (const std::array<uint64_t, 3>& t : table_) {
    const TableEntry entry = {static_cast<uint32_t>(t[0]), 0, t[1], t[2]};
    Append(&entry, sizeof entry);
  }
  Append(&footer, sizeof footer);
  Flush();
  FileDigest digest;
  digest.hash = Canonical(XXH3_128bits_digest(hasher_->state.get()));
  Append(digest.hash.data(), digest.hash.size());
  Flush();
  digest.bytes = position_;
  if (!status_.ok()) return status_;
  if (fsync(descriptor_) != 0) return status_ = SectionErrno("cannot sync", path_);
  if (close(std::exchange(descriptor_, -1)) != 0)
    return status_ = SectionErrno("cannot close", path_);
  finished_ = true;
  return digest;
}

absl::StatusOr<std::shared_ptr<const SectionFile>> SectionFile::Open(const std::string& path,
                                                                     const FileDigest& expected,
                                                                     const WorkControl& control) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (descriptor < 0) return SectionErrno("cannot open", path);
  const std::unique_ptr<const int, void (*)(const int*)> closer(&descriptor,
                                                                [](const int* d) { close(*d); });
  struct stat info = {};
  if (fstat(descriptor, &info) != 0) return SectionErrno("cannot stat", path);
  if (!S_ISREG(info.st_mode) || static_cast<uint64_t>(info.st_size) != expected.bytes ||
      expected.bytes < kHeaderBytes + kTrailerBytes) {
    return absl::DataLossError(absl::StrCat(path, " is damaged: ", info.st_size, " bytes where ",
                                            expected.bytes, " are expected"));
  }
  // Read, not mapped: what is only hashed need not become resident, and an I/O error is an error
  // instead of a signal.
  std::unique_ptr<XXH3_state_t, FreeState> state(XXH3_createState());
  XXH3_128bits_reset(state.get());
  std::vector<char> buffer(kBufferBytes);
  const uint64_t hashed = expected.bytes - kHashBytes;
  posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL);
  for (uint64_t at = 0; at < hashed;) {
    if (control.stopped()) return control.Check();
    const ssize_t n =
        pread(descriptor, buffer.data(), std::min<uint64_t>(buffer.size(), hashed - at), at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return SectionErrno("cannot read", path);
    if (n == 0) return absl::DataLossError(absl::StrCat(path, " became shorter"));
    XXH3_128bits_update(state.get(), buffer.data(), n);
    at += n;
  }
  std::array<uint8_t, 16> stored;
  if (pread(descriptor, stored.data(), kHashBytes, hashed) != kHashBytes) {
    return SectionErrno("cannot read", path);
  }
  if (Canonical(XXH3_128bits_digest(state.get())) != expected.hash || stored != expected.hash) {
    return absl::DataLossError(absl::StrCat(path, " is damaged: its hash is another"));
  }
  void* data = mmap(nullptr, expected.bytes, PROT_READ, MAP_SHARED, descriptor, 0);
  if (data == MAP_FAILED) return SectionErrno("cannot map", path);
  std::shared_ptr<SectionFile> file(new SectionFile());
  file->data_ = static_cast<const char*>(data);
  file->size_ = expected.bytes;
  file->mapped_ = true;
  if (absl::Status s = file->ReadTable(); !s.ok()) {
    return absl::Status(s.code(), absl::StrCat(path, ": ", s.message()));
  }
  return file;
}

absl::StatusOr<std::shared_ptr<const SectionFile>> SectionFile::FromBytes(
    absl::Span<const char> bytes) {
  std::shared_ptr<SectionFile> file(new SectionFile());
  file->data_ = bytes.data();
  file->size_ = bytes.size();
  if (absl::Status s = file->ReadTable(); !s.ok()) return s;
  return file;
}

SectionFile::~SectionFile() {
  if (mapped_) munmap(const_cast<char*>(data_), size_);
}

absl::Status SectionFile::ReadTable() {
  const auto damaged = [](const char* what) {
    return absl::DataLossError(absl::StrCat("not a sound segment: ", what));
  };
  if (size_ < kHeaderBytes + kTrailerBytes) return damaged("too short");
  Footer footer;
  const uint64_t footer_offset = size_ - kTrailerBytes;
  std::memcpy(&footer, data_ + footer_offset, sizeof footer);
  if (std::memcmp(data_, kMagic, sizeof kMagic) != 0 ||
      std::memcmp(footer.magic, kMagic, sizeof kMagic) != 0) {
    return damaged("no magic");
  }
  uint32_t version = 0;
  std::memcpy(&version, data_ + sizeof kMagic, sizeof version);
  if (version != kVersion || footer.version != kVersion) {
    return absl::UnimplementedError("a segment of another version");
  }
  if (footer.sections > kMaxSections || footer.table_offset < kHeaderBytes ||
      footer.table_offset > footer_offset ||
      footer_offset - footer.table_offset != footer.sections * sizeof(TableEntry)) {
    return damaged("table out of bounds");
  }
  uint64_t end = kHeaderBytes;
  for (uint32_t i = 0; i < footer.sections; ++i) {
    TableEntry entry;
    std::memcpy(&entry, data_ + footer.table_offset + i * sizeof entry, sizeof entry);
    // In the order of the file, so that none overlap.
    if (entry.offset < end || entry.offset % SectionWriter::kAlignment != 0 ||
        entry.offset > footer.table_offset || entry.bytes > footer.table_offset - entry.offset) {
      return damaged("section out of bounds");
    }
    for (const std::array<uint64_t, 3>& other : table_) {
      if (other[0] == entry.section) return damaged("section twice");
    }
    end = entry.offset + entry.bytes;
    table_.push_back({entry.section, entry.offset, entry.bytes});
  }
  return absl::OkStatus();
}

bool SectionFile::Has(Section section) const {
  return std::any_of(table_.begin(), table_.end(), [&](const std::array<uint64_t, 3>& t) {
    return t[0] == static_cast<uint32_t>(section);
  });
}

absl::StatusOr<std::string_view> SectionFile::Bytes(Section section) const {
  for (const std::array<uint64_t, 3>& t : table_) {
    if (t[0] == static_cast<uint32_t>(section)) return std::string_view(data_ + t[1], t[2]);
  }
  return absl::DataLossError(
      absl::StrCat("a segment without section ", static_cast<uint32_t>(section)));
}

absl::Status SectionFile::WrongSize(Section section) {
  return absl::DataLossError(
      absl::StrCat("section ", static_cast<uint32_t>(section), " of a segment has a wrong size"));
}

}  // namespace cairn::index
