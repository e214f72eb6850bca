#include "index/store_snapshot.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "index/durable_files.h"
#include "index/store_files.h"

namespace cairn::index {
namespace {

namespace fs = std::filesystem;

enum class FileKind { kMissing, kFile, kDirectory, kOther };

// What stands at `path`, a symbolic link being kOther.
absl::StatusOr<FileKind> KindOf(const std::string& path) {
  struct stat info;
  if (::lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return FileKind::kMissing;
    return ErrnoStatus("cannot inspect", path);
  }
  if (S_ISREG(info.st_mode)) return FileKind::kFile;
  return S_ISDIR(info.st_mode) ? FileKind::kDirectory : FileKind::kOther;
}

absl::StatusOr<std::vector<std::string>> ListDirectory(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  fs::directory_iterator entry(directory, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot read ", directory));
  return names;
}

// The path from the root, without a slash at its end.
fs::path Absolute(const std::string& path) {
  std::error_code error;
  fs::path p = fs::absolute(path, error).lexically_normal();
  return p.has_filename() ? p : p.parent_path();
}

// Whether `inner` is `outer` or something in it, symbolic links resolved.
bool IsInside(const std::string& inner, const std::string& outer) {
  const auto real = [](const std::string& path) {
    std::error_code error;
    const fs::path p = fs::weakly_canonical(Absolute(path), error);
    return error ? Absolute(path) : p;
  };
  const fs::path i = real(inner), o = real(outer);
  return std::mismatch(o.begin(), o.end(), i.begin(), i.end()).first == o.end();
}

absl::Status CheckDestination(const std::string& source, const std::string& destination) {
  if (destination.empty()) return absl::InvalidArgumentError("name a directory for the copy");
  if (IsInside(destination, source) || IsInside(source, destination)) {
    return absl::InvalidArgumentError(
        absl::StrCat(destination, " and ", source, ": one must not be inside the other"));
  }
  absl::StatusOr<FileKind> kind = KindOf(destination);
  if (!kind.ok()) return kind.status();
  if (*kind == FileKind::kMissing) return absl::OkStatus();
  if (*kind == FileKind::kDirectory) {
    absl::StatusOr<std::vector<std::string>> names = ListDirectory(destination);
    if (!names.ok()) return names.status();
    if (names->empty()) return absl::OkStatus();
  }
  return absl::AlreadyExistsError(
      absl::StrCat(destination, " exists already: name a new or empty directory for the copy"));
}

absl::Status NoFileOfAStore(const std::string& path) {
  return absl::FailedPreconditionError(
      absl::StrCat(path, " is no file or directory of a store (a link, or something else)"));
}

// Calls add(path, name) for the regular files of a directory whose names `wanted` takes; anything
// else of such a name is an error.
template <typename Wanted, typename Add>
absl::Status ForEachFile(const std::string& directory, Wanted wanted, Add add) {
  absl::StatusOr<std::vector<std::string>> names = ListDirectory(directory);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    if (!wanted(name)) continue;
    const std::string path = absl::StrCat(directory, "/", name);
    absl::StatusOr<FileKind> kind = KindOf(path);
    if (!kind.ok()) return kind.status();
    if (*kind != FileKind::kFile) return NoFileOfAStore(path);
    if (absl::Status s = add(path, name); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status MakeDirectory(const std::string& path) {
  return ::mkdir(path.c_str(), 0755) == 0 ? absl::OkStatus() : ErrnoStatus("cannot create", path);
}

// A store directory in the making: destination.partial until it is complete.
class PartialStore {
 public:
  // Checks the destination against `source` and makes the directory.
  static absl::StatusOr<std::unique_ptr<PartialStore>> Begin(const std::string& source,
                                                             const std::string& destination);
  // Deletes what was not finished.
  ~PartialStore();
  PartialStore(const PartialStore&) = delete;
  PartialStore& operator=(const PartialStore&) = delete;

  const std::string& directory() const { return directory_; }
  // Links or copies the .seg files of source/segments, if there are any. Other files there are
  // being written, or were set aside.
  absl::Status AddSegments(const std::string& source, const SnapshotOptions& options);
  // The same of the .kv files in the folders of source/kv.
  absl::Status AddKvBlobs(const std::string& source, const SnapshotOptions& options);
  // Links or copies source/db, to which nobody writes.
  absl::Status AddDatabase(const std::string& source);
  // Puts everything on disk, and then the file that makes it a store.
  absl::Status AddFormat(const StoreFormat& format);
  // Gives the directory its name.
  absl::Status Finish();

 private:
  PartialStore(std::string directory, std::string destination)
      : directory_(std::move(directory)), destination_(std::move(destination)) {}
  void Remove(bool lock_too) const;

  std::string directory_;
  const std::string destination_;
  std::unique_ptr<StoreLock> lock_;  // Keeps others from making the same, or opening it.
  bool finished_ = false;
};

// Whether a directory holds nothing but what a crash may leave of a PartialStore.
absl::Status CheckRemains(const std::string& directory) {
  const absl::Status in_the_way =
      absl::AlreadyExistsError(absl::StrCat(directory, " is in the way: remove it"));
  absl::StatusOr<FileKind> kind = KindOf(directory);
  if (!kind.ok()) return kind.status();
  if (*kind != FileKind::kDirectory) return in_the_way;
  absl::StatusOr<std::vector<std::string>> names = ListDirectory(directory);
  if (!names.ok()) return names.status();
  const std::set<std::string> remains = {"LOCK",   "FORMAT",   "FORMAT.next", "db",
                                         "db.tmp", "segments", "kv"};
  const bool known = std::all_of(names->begin(), names->end(),
                                 [&](const std::string& n) { return remains.count(n) > 0; });
  return known ? absl::OkStatus() : in_the_way;
}

absl::StatusOr<std::unique_ptr<PartialStore>> PartialStore::Begin(const std::string& source,
                                                                  const std::string& destination) {
  if (absl::Status s = CheckDestination(source, destination); !s.ok()) return s;
  const std::string name = Absolute(destination).string();
  const std::string directory = absl::StrCat(name, ".partial");
  const bool made = ::mkdir(directory.c_str(), 0755) == 0;
  if (!made && errno != EEXIST) return ErrnoStatus("cannot create", directory);
  if (!made) {
    if (absl::Status s = CheckRemains(directory); !s.ok()) return s;
  }
  absl::StatusOr<std::unique_ptr<StoreLock>> lock = StoreLock::Acquire(directory);
  if (!lock.ok()) {
    if (made) ::rmdir(directory.c_str());
    return lock.status();
  }
  std::unique_ptr<PartialStore> partial(new PartialStore(directory, name));
  partial->lock_ = *std::move(lock);
  partial->Remove(/*lock_too=*/false);
  return partial;
}

PartialStore::~PartialStore() {
  if (!finished_) Remove(/*lock_too=*/true);
}

void PartialStore::Remove(bool lock_too) const {
  std::error_code ignored;
  // FORMAT first: without it the rest is no store.
  for (const char* name : {"/FORMAT", "/FORMAT.next", "/db", "/db.tmp", "/segments", "/kv"}) {
    fs::remove_all(directory_ + name, ignored);
  }
  if (!lock_too) return;
  ::unlink((directory_ + "/LOCK").c_str());
  ::rmdir(directory_.c_str());
}

absl::Status PartialStore::AddSegments(const std::string& source, const SnapshotOptions& options) {
  const WorkControl control(options.cancel, nullptr);
  const std::string from = source + "/segments", to = directory_ + "/segments";
  absl::StatusOr<FileKind> kind = KindOf(from);
  if (!kind.ok()) return kind.status();
  if (*kind == FileKind::kMissing) return absl::OkStatus();
  if (*kind != FileKind::kDirectory) return NoFileOfAStore(from);
  absl::Status s = MakeDirectory(to);
  if (!s.ok()) return s;
  const auto wanted = [](const std::string& name) { return absl::EndsWith(name, ".seg"); };
  uint64_t done = 0, total = 0;
  s = ForEachFile(from, wanted, [&](const std::string&, const std::string&) {
    ++total;
    return absl::OkStatus();
  });
  if (!s.ok()) return s;
  s = ForEachFile(from, wanted, [&](const std::string& path, const std::string& name) {
    if (absl::Status go_on = control.Check(); !go_on.ok()) return go_on;
    // One that is published meanwhile is not part of the moment, but does no harm.
    if (options.on_progress) options.on_progress("segments", done++, std::max(done, total));
    return LinkOrCopyFile(path, absl::StrCat(to, "/", name), control);
  });
  return s.ok() ? SyncDirectory(to) : s;
}

absl::Status PartialStore::AddKvBlobs(const std::string& source, const SnapshotOptions& options) {
  const WorkControl control(options.cancel, nullptr);
  const std::string from = source + "/kv", to = directory_ + "/kv";
  absl::StatusOr<FileKind> kind = KindOf(from);
  if (!kind.ok()) return kind.status();
  if (*kind == FileKind::kMissing) return absl::OkStatus();
  if (*kind != FileKind::kDirectory) return NoFileOfAStore(from);
  absl::StatusOr<std::vector<std::string>> folders = ListDirectory(from);
  if (!folders.ok()) return folders.status();
  if (absl::Status s = MakeDirectory(to); !s.ok()) return s;
  uint64_t done = 0;
  for (const std::string& folder : *folders) {
    const std::string source_folder = absl::StrCat(from, "/", folder);
    kind = KindOf(source_folder);
    if (!kind.ok()) return kind.status();
    if (*kind != FileKind::kDirectory) return NoFileOfAStore(source_folder);
    const std::string target_folder = absl::StrCat(to, "/", folder);
    if (absl::Status s = MakeDirectory(target_folder); !s.ok()) return s;
    absl::Status s = ForEachFile(
        source_folder, [](const std::string& name) { return absl::EndsWith(name, ".kv"); },
        [&](const std::string& path, const std::string& name) {
          if (absl::Status go_on = control.Check(); !go_on.ok()) return go_on;
          if (options.on_progress) options.on_progress("kv", done++, 0);
          return LinkOrCopyFile(path, absl::StrCat(target_folder, "/", name), control);
        });
    if (s.ok()) s = SyncDirectory(target_folder);
    if (!s.ok()) return s;
  }
  return SyncDirectory(to);
}

absl::Status PartialStore::AddDatabase(const std::string& source) {
  const std::string from = source + "/db", to = directory_ + "/db";
  absl::StatusOr<FileKind> kind = KindOf(from);
  if (!kind.ok()) return kind.status();
  if (*kind == FileKind::kMissing) {
    return absl::DataLossError(absl::StrCat(source, " is damaged: it has no database"));
  }
  if (*kind != FileKind::kDirectory) return NoFileOfAStore(from);
  absl::Status s = MakeDirectory(to);
  if (!s.ok()) return s;
  return ForEachFile(
      from, [](const std::string& name) { return name != "LOCK"; },
      [&](const std::string& path, const std::string& name) {
        const std::string copy = absl::StrCat(to, "/", name);
        return absl::EndsWith(name, ".sst") ? LinkOrCopyFile(path, copy) : CopyFile(path, copy);
      });
}

absl::Status PartialStore::AddFormat(const StoreFormat& format) {
  const std::string database = directory_ + "/db";
  // RocksDB's checkpoint promises nothing about the files that it copies.
  absl::Status s = ForEachFile(
      database, [](const std::string&) { return true; },
      [](const std::string& path, const std::string&) { return SyncFile(path); });
  if (s.ok()) s = SyncDirectory(database);
  if (s.ok()) s = SyncDirectory(directory_);
  return s.ok() ? WriteFormat(directory_, format) : s;
}

absl::Status PartialStore::Finish() {
  if (::rename(directory_.c_str(), destination_.c_str()) != 0) {
    return ErrnoStatus("cannot create", destination_);
  }
  directory_ = destination_;
  absl::Status s = SyncDirectory(fs::path(destination_).parent_path().string());
  finished_ = s.ok();
  return s;
}

}  // namespace

absl::Status SnapshotStore(RowStore& rows, const std::string& destination,
                           const SnapshotOptions& options) {
  const WorkControl control(options.cancel, nullptr);
  if (absl::Status s = control.Check(); !s.ok()) return s;
  absl::StatusOr<std::unique_ptr<PartialStore>> copy =
      PartialStore::Begin(rows.directory(), destination);
  if (!copy.ok()) return copy.status();
  // The rows first: a segment that is published meanwhile is one too many for them, never too few.
  if (options.on_progress) options.on_progress("rows", 0, 0);
  absl::Status s = rows.Checkpoint((*copy)->directory() + "/db");
  if (s.ok()) s = control.Check();
  if (s.ok()) s = (*copy)->AddSegments(rows.directory(), options);
  if (s.ok()) s = (*copy)->AddKvBlobs(rows.directory(), options);
  if (s.ok()) s = control.Check();
  if (s.ok()) s = (*copy)->AddFormat({kStoreFormat, rows.uuid()});
  // From here on it is a store: only its name is missing.
  if (s.ok()) s = (*copy)->Finish();
  return s;
}

absl::Status RestoreStore(const std::string& snapshot, const std::string& destination) {
  absl::StatusOr<StoreFormat> format = ReadFormat(snapshot);
  if (!format.ok()) return format.status();
  absl::StatusOr<std::unique_ptr<StoreLock>> no_writers = StoreLock::AcquireShared(snapshot);
  if (!no_writers.ok()) return no_writers.status();
  absl::StatusOr<std::unique_ptr<PartialStore>> copy = PartialStore::Begin(snapshot, destination);
  if (!copy.ok()) return copy.status();
  absl::Status s = (*copy)->AddDatabase(snapshot);
  if (s.ok()) s = (*copy)->AddSegments(snapshot, {});
  if (s.ok()) s = (*copy)->AddKvBlobs(snapshot, {});
  if (s.ok()) s = (*copy)->AddFormat(*format);
  if (s.ok()) {
    RowStoreOptions reading;
    reading.read_only = true;
    s = RowStore::Open((*copy)->directory(), reading).status();
  }
  if (s.ok()) s = (*copy)->Finish();
  return s;
}

}  // namespace cairn::index
