#include "engine/model/teacher_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace cairn::engine {
namespace {

constexpr char kCacheMagic[8] = {'C', 'A', 'I', 'R', 'N', 'T', 'V', '\0'};
constexpr uint32_t kVersion = 1;
constexpr size_t kHeaderBytes = 72;

template <class T>
void PutValue(T value, std::string* out) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out->append(bytes, sizeof value);
}

void PutHash(XXH128_hash_t hash, std::string* out) {
  PutValue<uint64_t>(hash.low64, out);
  PutValue<uint64_t>(hash.high64, out);
}

XXH128_hash_t HashOf(absl::Span<const absl::Span<const uint32_t>> texts) {
  XXH3_state_t* state = XXH3_createState();
  XXH3_128bits_reset(state);
  for (const absl::Span<const uint32_t> ids : texts) {
    const auto length = static_cast<uint32_t>(ids.size());
    XXH3_128bits_update(state, &length, sizeof length);
    XXH3_128bits_update(state, ids.data(), ids.size() * sizeof(uint32_t));
  }
  const XXH128_hash_t hash = XXH3_128bits_digest(state);
  XXH3_freeState(state);
  return hash;
}

std::string HeaderOf(const TeacherCacheKey& key) {
  std::string header(kCacheMagic, sizeof kCacheMagic);
  PutValue<uint32_t>(kVersion, &header);
  PutValue<uint32_t>(key.dim, &header);
  PutValue<uint64_t>(key.vectors, &header);
  PutValue<uint32_t>(TeacherCache::kBlockVectors, &header);
  PutValue<uint32_t>(0, &header);
  PutHash(XXH3_128bits(key.teacher.data(), key.teacher.size()), &header);
  PutHash(HashOf(key.texts), &header);
  PutValue<uint64_t>(XXH3_64bits(header.data(), header.size()), &header);
  return header;
}

std::string_view BytesOf(absl::Span<const float> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

uint64_t CheckOf(std::string_view bytes, uint64_t block) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), block);
}

// Reads until `size` bytes are there or the file ends; how many were read, or -1 (errno).
ssize_t ReadFully(int fd, char* to, size_t size) {
  size_t done = 0;
  while (done < size) {
    const ssize_t n = read(fd, to + done, size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  return static_cast<ssize_t>(done);
}

}  // namespace

absl::StatusOr<std::unique_ptr<TeacherCache>> TeacherCache::Open(const std::string& path,
                                                                 const TeacherCacheKey& key,
                                                                 absl::Span<float> vectors) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
  if (fd < 0) return absl::ErrnoToStatus(errno, path);
  std::unique_ptr<TeacherCache> cache(new TeacherCache(path, fd));
  struct stat info;
  if (fstat(fd, &info) != 0) return cache->Failed("cannot be read");
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": not a regular file"));
  }
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": another process uses it"));
  }
  const std::string header = HeaderOf(key);
  if (info.st_size == 0) {
    if (absl::Status s = cache->Write(header); !s.ok()) return s;
    return cache;
  }
  if (absl::Status s = cache->ReadHeader(header); !s.ok()) return s;
  if (absl::Status s = cache->ReadBlocks(key.dim, vectors); !s.ok()) return s;
  return cache;
}

TeacherCache::~TeacherCache() { close(fd_); }

absl::Status TeacherCache::ReadHeader(std::string_view wanted) {
  char header[kHeaderBytes];
  const ssize_t n = ReadFully(fd_, header, sizeof header);
  if (n < 0) return Failed("cannot be read");
  const std::string_view found(header, static_cast<size_t>(n));
  if (found == wanted) return absl::OkStatus();
  // What a run that was killed at once leaves.
  if (found.size() < kHeaderBytes && wanted.starts_with(found)) {
    if (ftruncate(fd_, 0) != 0 || lseek(fd_, 0, SEEK_SET) != 0) return Failed("cannot be cut");
    return Write(wanted);
  }
  const auto differs = [&](size_t begin, size_t end) {
    return found.substr(begin, end - begin) != wanted.substr(begin, end - begin);
  };
  const auto refuse = [&](const char* what) {
    return absl::FailedPreconditionError(
        absl::StrCat(path_, ": ", what, "; remove it or name another file"));
  };
  if (found.size() < kHeaderBytes || differs(0, sizeof kCacheMagic)) {
    return refuse("not a file of teacher vectors");
  }
  uint64_t check;
  std::memcpy(&check, header + kHeaderBytes - sizeof check, sizeof check);
  if (check != XXH3_64bits(header, kHeaderBytes - sizeof check)) return refuse("damaged");
  if (differs(8, 12)) return refuse("teacher vectors of another version");
  if (differs(32, 48)) return refuse("the vectors of another encoder");
  return refuse("the vectors of other texts");
}

absl::Status TeacherCache::ReadBlocks(uint32_t dim, absl::Span<float> vectors) {
  off_t end = kHeaderBytes;
  for (size_t at = 0; at < vectors.size(); ++blocks_) {
    const size_t size = std::min<size_t>(kBlockVectors * dim, vectors.size() - at);
    const absl::Span<float> block = vectors.subspan(at, size);
    const ssize_t n = ReadFully(fd_, reinterpret_cast<char*>(block.data()), size * sizeof(float));
    uint64_t check = 0;
    const ssize_t m = ReadFully(fd_, reinterpret_cast<char*>(&check), sizeof check);
    if (n < 0 || m < 0) return Failed("cannot be read");
    if (static_cast<size_t>(m) < sizeof check || check != CheckOf(BytesOf(block), blocks_)) break;
    at += size;
    end += n + m;
  }
  if (ftruncate(fd_, end) != 0 || lseek(fd_, end, SEEK_SET) != end) return Failed("cannot be cut");
  return absl::OkStatus();
}

absl::Status TeacherCache::Append(absl::Span<const float> block) {
  std::string bytes(BytesOf(block));
  PutValue<uint64_t>(CheckOf(bytes, blocks_), &bytes);
  if (absl::Status s = Write(bytes); !s.ok()) return s;
  ++blocks_;
  return absl::OkStatus();
}

absl::Status TeacherCache::Sync() {
  return fsync(fd_) == 0 ? absl::OkStatus() : Failed("cannot sync");
}

absl::Status TeacherCache::Write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Failed("cannot write");
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

absl::Status TeacherCache::Failed(const char* what) const {
  return absl::ErrnoToStatus(errno, absl::StrCat(path_, ": ", what));
}

}  // namespace cairn::engine
