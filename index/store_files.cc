#include "index/store_files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "index/row_codec.h"

namespace cairn::index {
namespace {

constexpr int kFormat = 1;

absl::Status ErrnoStatus(const char* what, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat(what, " ", path));
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

absl::Status SyncDirectory(const std::string& directory) {
  Descriptor fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0 || ::fsync(fd.get()) != 0) return ErrnoStatus("cannot sync", directory);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<StoreLock>> StoreLock::Acquire(const std::string& directory) {
  const std::string path = directory + "/LOCK";
  Descriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (fd.get() < 0) return ErrnoStatus("cannot open", path);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return ErrnoStatus("cannot lock", path);
    return absl::FailedPreconditionError(
        absl::StrCat("store ", directory, " is open for writing in another process"));
  }
  return std::unique_ptr<StoreLock>(new StoreLock(fd.release()));
}

StoreLock::~StoreLock() { ::close(descriptor_); }

std::string EncodeFormat(std::string_view uuid) {
  std::string text = absl::StrFormat("cairn store\nformat %d\nuuid %s\n", kFormat,
                                     absl::string_view(uuid.data(), uuid.size()));
  return text + absl::StrFormat("checksum %08x\n", Checksum32("", text));
}

absl::StatusOr<std::string> DecodeFormat(std::string_view bytes) {
  const absl::Status damaged = absl::DataLossError(
      "FORMAT is damaged; restore it from a copy of the store (docs/formats/store.md)");
  const std::vector<absl::string_view> lines =
      absl::StrSplit(absl::string_view(bytes.data(), bytes.size()), '\n');
  if (lines.size() < 2 || lines[0] != "cairn store") return damaged;
  absl::string_view number = lines[1];
  int format = 0;
  if (!absl::ConsumePrefix(&number, "format ") || !absl::SimpleAtoi(number, &format)) {
    return damaged;
  }
  // Before anything else: a newer format may look different below this line.
  if (format > kFormat) {
    return absl::FailedPreconditionError(absl::StrCat("the store has format ", format,
                                                      ", this program knows up to ", kFormat,
                                                      ": use a newer cairn"));
  }
  if (lines.size() != 5) return damaged;
  absl::string_view uuid = lines[2];
  if (!absl::ConsumePrefix(&uuid, "uuid ") || uuid.size() != 32 ||
      EncodeFormat({uuid.data(), uuid.size()}) != bytes) {
    return damaged;
  }
  return std::string(uuid);
}

absl::StatusOr<std::string> ReadFormat(const std::string& directory) {
  const std::string path = directory + "/FORMAT";
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (fd.get() < 0) {
    if (errno == ENOENT || errno == ENOTDIR) {
      return absl::NotFoundError(absl::StrCat(directory, " is not a cairn store"));
    }
    return ErrnoStatus("cannot open", path);
  }
  char buffer[512];
  const ssize_t n = ::read(fd.get(), buffer, sizeof(buffer));
  if (n < 0) return ErrnoStatus("cannot read", path);
  absl::StatusOr<std::string> uuid = DecodeFormat({buffer, static_cast<size_t>(n)});
  if (uuid.ok()) return uuid;
  return absl::Status(uuid.status().code(), absl::StrCat(directory, ": ", uuid.status().message()));
}

absl::Status CreateStoreDirectory(const std::string& directory) {
  namespace fs = std::filesystem;
  std::error_code error;
  // Each folder that is new, deepest first, so that the entry of each can be synced.
  std::vector<fs::path> fresh;
  for (fs::path p = fs::absolute(directory, error).lexically_normal();
       !p.empty() && !fs::exists(p, error) && p != p.parent_path(); p = p.parent_path()) {
    fresh.push_back(p);
  }
  fs::create_directories(directory, error);
  if (error) {
    return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot create store ", directory));
  }
  for (const fs::path& p : fresh) {
    if (absl::Status s = SyncDirectory(p.parent_path().string()); !s.ok()) return s;
  }
  bool begun = false, database = false;
  fs::directory_iterator entry(directory, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name == "FORMAT") return absl::OkStatus();  // Created by somebody else just now.
    if (name == "FORMAT.new") {
      begun = true;
    } else if (name == "db") {
      database = true;
    } else if (name != "LOCK") {
      return absl::FailedPreconditionError(
          absl::StrCat(directory, " is not a cairn store and not empty (it holds ", name,
                       "): name a new or empty directory"));
    }
  }
  if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot read ", directory));
  if (database && !begun) {
    return absl::DataLossError(
        absl::StrCat(directory, " has a database, but its FORMAT file is gone: restore it"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> BeginFormat(const std::string& directory) {
  char random[16];
  if (::getrandom(random, sizeof(random), 0) != sizeof(random)) {
    return ErrnoStatus("cannot get random bytes for", directory);
  }
  const std::string uuid = absl::BytesToHexString(absl::string_view(random, sizeof(random)));
  const std::string text = EncodeFormat(uuid);
  const std::string path = directory + "/FORMAT.new";
  {
    Descriptor fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (fd.get() < 0) return ErrnoStatus("cannot create", path);
    if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
        ::fsync(fd.get()) != 0) {
      return ErrnoStatus("cannot write", path);
    }
  }
  if (absl::Status s = SyncDirectory(directory); !s.ok()) return s;
  return uuid;
}

absl::Status FinishFormat(const std::string& directory) {
  // The database's own entry first.
  if (absl::Status s = SyncDirectory(directory); !s.ok()) return s;
  const std::string path = directory + "/FORMAT";
  if (::rename((path + ".new").c_str(), path.c_str()) != 0) {
    return ErrnoStatus("cannot create", path);
  }
  return SyncDirectory(directory);
}

}  // namespace cairn::index
