#include "engine/model/model_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"

namespace cairn::engine {
namespace {

std::string WithoutSlashes(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

absl::Status SyncDirectory(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, path);
  const int error = fsync(fd) == 0 ? 0 : errno;
  close(fd);
  return error == 0 ? absl::OkStatus() : absl::ErrnoToStatus(error, path);
}

// 0, or errno.
int WriteAndSync(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return fsync(fd) == 0 ? 0 : errno;
}

}  // namespace

ModelDirectory::ModelDirectory(std::string path)
    : path_(WithoutSlashes(std::move(path))), temporary_(path_ + ".partial") {}

absl::StatusOr<std::unique_ptr<ModelDirectory>> ModelDirectory::Create(const std::string& path) {
  std::unique_ptr<ModelDirectory> directory(new ModelDirectory(path));
  struct stat info;
  if (lstat(directory->path_.c_str(), &info) == 0) {
    return absl::AlreadyExistsError(absl::StrCat(path, ": is there already"));
  }
  const std::string& temporary = directory->temporary_;
  if (mkdir(temporary.c_str(), 0777) != 0 &&
      (errno != EEXIST || lstat(temporary.c_str(), &info) != 0 || !S_ISDIR(info.st_mode))) {
    return absl::ErrnoToStatus(errno, temporary);
  }
  directory->made_ = true;
  return directory;
}

ModelDirectory::~ModelDirectory() {
  if (!made_) return;
  for (const std::string& name : written_) unlink(absl::StrCat(temporary_, "/", name).c_str());
  rmdir(temporary_.c_str());
}

absl::Status ModelDirectory::Write(const std::string& name, std::string_view bytes) {
  const std::string path = absl::StrCat(temporary_, "/", name);
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd < 0) return absl::ErrnoToStatus(errno, path);
  written_.push_back(name);
  const int error = WriteAndSync(fd, bytes);
  close(fd);
  return error == 0 ? absl::OkStatus() : absl::ErrnoToStatus(error, path);
}

absl::Status ModelDirectory::Finish() {
  if (absl::Status s = SyncDirectory(temporary_); !s.ok()) return s;
  if (rename(temporary_.c_str(), path_.c_str()) != 0) return absl::ErrnoToStatus(errno, path_);
  made_ = false;
  const size_t slash = path_.rfind('/');
  return SyncDirectory(slash == path_.npos ? "." : path_.substr(0, slash + 1));
}

}  // namespace cairn::engine
