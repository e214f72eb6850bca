#include "index/store_files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "index/durable_files.h"
#include "index/row_codec.h"

namespace cairn::index {
namespace {

// `how`: LOCK_EX or LOCK_SH, on the descriptor of LOCK.
absl::Status Lock(int fd, int how, const std::string& directory) {
  if (::flock(fd, how | LOCK_NB) == 0) return absl::OkStatus();
  if (errno != EWOULDBLOCK) return ErrnoStatus("cannot lock", directory + "/LOCK");
  return absl::FailedPreconditionError(
      absl::StrCat("store ", directory, " is open for writing in another process"));
}

// Renames FORMAT.<suffix>, which is on disk, to FORMAT, durably.
absl::Status InstallFormat(const std::string& directory, const char* suffix) {
  const std::string path = directory + "/FORMAT";
  if (::rename((path + suffix).c_str(), path.c_str()) != 0) {
    return ErrnoStatus("cannot create", path);
  }
  return SyncDirectory(directory);
}

}  // namespace

absl::StatusOr<std::unique_ptr<StoreLock>> StoreLock::Acquire(const std::string& directory) {
  const std::string path = directory + "/LOCK";
  Descriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (fd.get() < 0) return ErrnoStatus("cannot open", path);
  if (absl::Status s = Lock(fd.get(), LOCK_EX, directory); !s.ok()) return s;
  return std::unique_ptr<StoreLock>(new StoreLock(fd.release()));
}

absl::StatusOr<std::unique_ptr<StoreLock>> StoreLock::AcquireShared(const std::string& directory) {
  const std::string path = directory + "/LOCK";
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (fd.get() < 0) {
    if (errno == ENOENT) return std::unique_ptr<StoreLock>();
    return ErrnoStatus("cannot open", path);
  }
  if (absl::Status s = Lock(fd.get(), LOCK_SH, directory); !s.ok()) return s;
  return std::unique_ptr<StoreLock>(new StoreLock(fd.release()));
}

StoreLock::~StoreLock() { ::close(descriptor_); }

std::string EncodeFormat(const StoreFormat& format) {
  std::string text =
      absl::StrCat("cairn store\nformat ", format.number, "\nuuid ", format.uuid, "\n");
  return text + absl::StrFormat("checksum %08x\n", Checksum32("", text));
}

absl::StatusOr<StoreFormat> DecodeFormat(std::string_view bytes) {
  const absl::Status damaged = absl::DataLossError(
      "FORMAT is damaged; restore it from a copy of the store (docs/formats/store.md)");
  const std::vector<absl::string_view> lines =
      absl::StrSplit(absl::string_view(bytes.data(), bytes.size()), '\n');
  if (lines.size() < 2 || lines[0] != "cairn store") return damaged;
  absl::string_view number = lines[1];
  StoreFormat format;
  if (!absl::ConsumePrefix(&number, "format ") || !absl::SimpleAtoi(number, &format.number)) {
    return damaged;
  }
  // Before anything else: a newer format may look different below this line.
  if (format.number > kStoreFormat) {
    return absl::FailedPreconditionError(absl::StrCat("the store has format ", format.number,
                                                      ", this program knows up to ", kStoreFormat,
                                                      ": use a newer cairn"));
  }
  if (format.number < kOldestStoreFormat || lines.size() != 5) return damaged;
  absl::string_view uuid = lines[2];
  if (!absl::ConsumePrefix(&uuid, "uuid ") || uuid.size() != 32) return damaged;
  format.uuid = std::string(uuid);
  if (EncodeFormat(format) != bytes) return damaged;
  return format;
}

absl::StatusOr<StoreFormat> ReadFormat(const std::string& directory) {
  const std::string path = directory + "/FORMAT";
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (fd.get() < 0) {
    if (errno == ENOENT || errno == ENOTDIR) {
      return absl::NotFoundError(absl::StrCat(directory, " is not a cairn store"));
    }
    return ErrnoStatus("cannot open", path);
  }
  char buffer[512];
  const ssize_t n = ::read(fd.get(), buffer, sizeof(buffer));
  if (n < 0) return ErrnoStatus("cannot read", path);
  absl::StatusOr<StoreFormat> format = DecodeFormat({buffer, static_cast<size_t>(n)});
  if (format.ok()) return format;
  return absl::Status(format.status().code(),
                      absl::StrCat(directory, ": ", format.status().message()));
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
  absl::Status s = WriteFile(directory + "/FORMAT.new", EncodeFormat({kStoreFormat, uuid}));
  if (s.ok()) s = SyncDirectory(directory);
  if (!s.ok()) return s;
  return uuid;
}

absl::Status FinishFormat(const std::string& directory) {
  // The database's own entry first.
  if (absl::Status s = SyncDirectory(directory); !s.ok()) return s;
  return InstallFormat(directory, ".new");
}

absl::Status WriteFormat(const std::string& directory, const StoreFormat& format) {
  absl::Status s = WriteFile(directory + "/FORMAT.next", EncodeFormat(format));
  if (!s.ok()) return s;
  return InstallFormat(directory, ".next");
}

}  // namespace cairn::index
