#include "index/durable_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"

namespace cairn::index {
namespace {

constexpr size_t kCopyBytes = 1 << 20;
// Between two looks at whether to go on.
constexpr size_t kKernelCopyBytes = 16 << 20;

absl::Status WriteAll(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus("cannot write", path);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

absl::Status CopyBytes(int from, int to, const std::string& source, const std::string& target,
                       const WorkControl& control) {
  // In the kernel, which on some file systems shares the blocks. What it cannot do fails at once.
  ssize_t n;
  while ((n = ::copy_file_range(from, nullptr, to, nullptr, kKernelCopyBytes, 0)) > 0) {
    if (control.stopped()) return control.Check();
  }
  if (n < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)) {
    return ErrnoStatus("cannot write", target);
  }
  // The rest; after a success there is none.
  std::vector<char> buffer(kCopyBytes);
  while ((n = ::read(from, buffer.data(), buffer.size())) != 0) {
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus("cannot read", source);
    if (control.stopped()) return control.Check();
    absl::Status s = WriteAll(to, {buffer.data(), static_cast<size_t>(n)}, target);
    if (!s.ok()) return s;
  }
  return absl::OkStatus();
}

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

absl::Status ErrnoStatus(absl::string_view what, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat(what, " ", path));
}

absl::Status SyncDirectory(const std::string& directory) {
  const Descriptor fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0 || ::fsync(fd.get()) != 0) return ErrnoStatus("cannot sync", directory);
  return absl::OkStatus();
}

absl::Status SyncFile(const std::string& path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (fd.get() < 0 || ::fsync(fd.get()) != 0) return ErrnoStatus("cannot sync", path);
  return absl::OkStatus();
}

absl::Status WriteFile(const std::string& path, std::string_view bytes) {
  const Descriptor fd(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (fd.get() < 0) return ErrnoStatus("cannot create", path);
  if (absl::Status s = WriteAll(fd.get(), bytes, path); !s.ok()) return s;
  if (::fsync(fd.get()) != 0) return ErrnoStatus("cannot sync", path);
  return absl::OkStatus();
}

absl::Status CopyFile(const std::string& from, const std::string& to, const WorkControl& control) {
  // O_NONBLOCK: opening a pipe would wait for somebody at its other end.
  const Descriptor source(::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (source.get() < 0) return ErrnoStatus("cannot open", from);
  struct stat info;
  if (::fstat(source.get(), &info) != 0) return ErrnoStatus("cannot inspect", from);
  if (!S_ISREG(info.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(from, " is no regular file"));
  }
  const Descriptor target(
      ::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (target.get() < 0) return ErrnoStatus("cannot create", to);
  if (absl::Status s = CopyBytes(source.get(), target.get(), from, to, control); !s.ok()) return s;
  if (::fsync(target.get()) != 0) return ErrnoStatus("cannot sync", to);
  return absl::OkStatus();
}

absl::Status LinkOrCopyFile(const std::string& from, const std::string& to,
                            const WorkControl& control) {
  // Of a symbolic link this would make another one.
  struct stat info;
  if (::lstat(from.c_str(), &info) != 0) return ErrnoStatus("cannot inspect", from);
  if (S_ISREG(info.st_mode) && ::link(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
  return CopyFile(from, to, control);
}

void ForEachEntry(const std::string& directory,
                  absl::FunctionRef<void(const std::string& path, const std::string& name)> visit) {
  std::error_code error;
  std::filesystem::directory_iterator entry(directory, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    visit(entry->path().string(), entry->path().filename().string());
  }
}

}  // namespace cairn::index
