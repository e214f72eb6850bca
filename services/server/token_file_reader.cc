#include "services/server/token_file_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "services/server/token_file.h"

namespace cairn::services {
namespace {

TokenFileVersion VersionOf(const struct stat& info) {
  constexpr int64_t kSecond = 1'000'000'000;
  return {.device = info.st_dev,
          .inode = info.st_ino,
          .bytes = info.st_size,
          .modified_ns = info.st_mtim.tv_sec * kSecond + info.st_mtim.tv_nsec,
          .changed_ns = info.st_ctim.tv_sec * kSecond + info.st_ctim.tv_nsec};
}

// That nobody could have written it but root and us.
absl::Status CheckWriters(const struct stat& info, const std::string& path) {
  if (!S_ISREG(info.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": is no regular file"));
  }
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": its group or others may write to it; chmod go-w"));
  }
  if (info.st_uid != 0 && info.st_uid != ::geteuid()) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": belongs to user ", info.st_uid,
                                                      ", who is neither root nor user ",
                                                      ::geteuid(), ", whom this program runs as"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadAll(int fd, const std::string& path) {
  std::string text;
  size_t size = 0;
  while (size <= kMaxTokenFileBytes) {
    constexpr size_t kBlock = 1 << 16;
    text.resize(size + kBlock);
    const ssize_t n = ::read(fd, text.data() + size, kBlock);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::ErrnoToStatus(errno, path);
    if (n == 0) {
      text.resize(size);
      return text;
    }
    size += static_cast<size_t>(n);
  }
  return absl::ResourceExhaustedError(
      absl::StrCat(path, ": is larger than ", kMaxTokenFileBytes, " bytes"));
}

}  // namespace

absl::StatusOr<TokenFileVersion> VersionOfTokenFile(const std::string& path) {
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) return absl::ErrnoToStatus(errno, path);
  return VersionOf(info);
}

absl::StatusOr<TokenFileContents> ReadTokenFile(const std::string& path) {
  // O_NONBLOCK: opening a pipe would wait for somebody at its other end.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return absl::ErrnoToStatus(errno, path);
  const absl::Cleanup close = [fd] { ::close(fd); };
  // Of what is open: the path may lead elsewhere by now.
  struct stat before;
  if (::fstat(fd, &before) != 0) return absl::ErrnoToStatus(errno, path);
  if (absl::Status s = CheckWriters(before, path); !s.ok()) return s;
  absl::StatusOr<std::string> text = ReadAll(fd, path);
  if (!text.ok()) return text.status();
  struct stat after;
  if (::fstat(fd, &after) != 0) return absl::ErrnoToStatus(errno, path);
  // Also a new name changes the times, and a renamed file is whole; it is read again then.
  if (VersionOf(before) != VersionOf(after)) {
    return absl::AbortedError(absl::StrCat(path, ": changed while it was read"));
  }
  return TokenFileContents{.text = *std::move(text),
                           .version = VersionOf(before),
                           .mode = before.st_mode & 07777,
                           .owner = before.st_uid,
                           .group = before.st_gid};
}

}  // namespace cairn::services
