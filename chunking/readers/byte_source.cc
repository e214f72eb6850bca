#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "chunking/readers/reader.h"
#include "chunking/readers/text_checks.h"

namespace cairn::chunking {
namespace {

class DescriptorSource : public ByteSource {
 public:
  DescriptorSource(int fd, bool owned, std::string name)
      : fd_(fd), owned_(owned), name_(std::move(name)) {}
  DescriptorSource(const DescriptorSource&) = delete;
  DescriptorSource& operator=(const DescriptorSource&) = delete;
  ~DescriptorSource() override {
    if (owned_) close(fd_);
  }

  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
    while (true) {
      const ssize_t n = read(fd_, buffer.data(), buffer.size());
      if (n >= 0) return static_cast<size_t>(n);
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) {
        // A standard input that somebody else made non-blocking.
        pollfd waiting = {.fd = fd_, .events = POLLIN, .revents = 0};
        if (poll(&waiting, 1, -1) >= 0 || errno == EINTR) continue;
      }
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", name_));
    }
  }

 private:
  const int fd_;
  const bool owned_;
  const std::string name_;
};

class MemorySource : public ByteSource {
 public:
  explicit MemorySource(std::string_view bytes) : rest_(bytes) {}

  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
    const size_t n = std::min(buffer.size(), rest_.size());
    if (n > 0) std::memcpy(buffer.data(), rest_.data(), n);
    rest_.remove_prefix(n);
    return n;
  }

 private:
  std::string_view rest_;
};

std::string_view KindName(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
  return "of an unknown kind";
}

}  // namespace

absl::StatusOr<std::unique_ptr<ByteSource>> OpenFile(const std::string& path) {
  if (path.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError("a path cannot hold a NUL byte");
  }
  int fd;
  do {
    // Without O_NONBLOCK the open itself would wait for a FIFO's writer.
    fd = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) {
    const int error = errno;
    if (error == ELOOP) {
      return absl::InvalidArgumentError(absl::StrCat(path, " is a symbolic link"));
    }
    if (error == ENXIO) {  // What opening a socket gives.
      return absl::InvalidArgumentError(absl::StrCat(path, " is a socket, not a regular file"));
    }
    return absl::ErrnoToStatus(error, absl::StrCat("cannot open ", path));
  }
  auto source = std::make_unique<DescriptorSource>(fd, /*owned=*/true, path);
  struct stat info = {};
  if (fstat(fd, &info) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot examine ", path));
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is ", AbslView(KindName(info.st_mode)), ", not a regular file"));
  }
  // Advice only: a failure changes nothing.
  (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  return source;
}

std::unique_ptr<ByteSource> StandardInput() {
  return std::make_unique<DescriptorSource>(STDIN_FILENO, /*owned=*/false, "standard input");
}

std::unique_ptr<ByteSource> FromMemory(std::string_view bytes) {
  return std::make_unique<MemorySource>(bytes);
}

}  // namespace cairn::chunking
