#include "services/client/client_token.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

namespace cairn::services {
namespace {

constexpr size_t kMaxFileBytes = size_t{1} << 20;
constexpr size_t kMaxTokenBytes = 4096;

// `allowed`: the permissions that the file may give to others than its owner.
absl::StatusOr<std::string> ReadRegularFile(const std::string& path, mode_t allowed) {
  // A FIFO would keep the call waiting.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
  const absl::Cleanup close = [fd] { ::close(fd); };
  struct stat st;
  if (::fstat(fd, &st) != 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
  if (!S_ISREG(st.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(path, " is not a regular file"));
  }
  if ((st.st_mode & (S_IRWXG | S_IRWXO) & ~allowed) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " can be read by others than its owner: chmod 600 it"));
  }
  std::string text;
  char buffer[1 << 14];
  while (text.size() <= kMaxFileBytes) {
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
    if (n == 0) return text;
    text.append(buffer, static_cast<size_t>(n));
  }
  return absl::FailedPreconditionError(
      absl::StrCat(path, " is larger than ", kMaxFileBytes, " bytes"));
}

}  // namespace

absl::StatusOr<std::string> ReadClientToken(const std::string& path) {
  absl::StatusOr<std::string> text = ReadRegularFile(path, 0);
  if (!text.ok()) return text.status();
  std::string line = text->substr(0, text->find('\n'));
  while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t')) {
    line.pop_back();
  }
  const bool visible =
      std::all_of(line.begin(), line.end(), [](char c) { return c > ' ' && c < '\x7f'; });
  if (line.empty() || line.size() > kMaxTokenBytes || !visible) {
    return absl::FailedPreconditionError(
        absl::StrCat("the first line of ", path, " is not a token"));
  }
  return line;
}

absl::StatusOr<std::string> ReadSmallFile(const std::string& path) {
  return ReadRegularFile(path, S_IRWXG | S_IRWXO);
}

}  // namespace cairn::services
