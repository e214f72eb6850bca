#include "services/server/token_file_editor.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "services/server/token_file_reader.h"

namespace cairn::services {
namespace {

// `path` without symbolic links: a new file takes the place of the one behind them.
absl::StatusOr<std::string> Resolved(const std::string& path) {
  namespace fs = std::filesystem;
  const auto failed = [&](const std::error_code& error) {
    return absl::ErrnoToStatus(error.value(), path);
  };
  std::error_code error;
  const fs::path there = fs::canonical(path, error);
  if (!error) return there.string();
  if (error != std::errc::no_such_file_or_directory) return failed(error);
  std::error_code ignored;
  const fs::path named(path);
  if (fs::is_symlink(named, ignored) || !named.has_filename()) return failed(error);
  const fs::path parent = named.has_parent_path() ? named.parent_path() : fs::path(".");
  const fs::path folder = fs::canonical(parent, error);
  if (error) return failed(error);
  return (folder / named.filename()).string();
}

// Whether `path` is still the name of what is open; errors are that it is not.
bool IsNameOf(const std::string& path, int fd) {
  struct stat named, open;
  return ::lstat(path.c_str(), &named) == 0 && ::fstat(fd, &open) == 0 &&
         named.st_dev == open.st_dev && named.st_ino == open.st_ino;
}

// 0, or errno.
int LockAlone(int fd) {
  while (::flock(fd, LOCK_EX) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

// Opens and locks a file that is either new or left by an editor that was killed.
absl::StatusOr<int> OpenLocked(const std::string& path) {
  for (;;) {
    const int fd =
        ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0) return absl::ErrnoToStatus(errno, path);
    absl::Cleanup close = [fd] { ::close(fd); };
    if (const int error = LockAlone(fd); error != 0) return absl::ErrnoToStatus(error, path);
    // Who had the lock before us has renamed or removed what we opened.
    if (!IsNameOf(path, fd)) continue;
    struct stat info;
    if (::fstat(fd, &info) != 0) return absl::ErrnoToStatus(errno, path);
    // It is written into: not a pipe, and no other file under a second name.
    if (!S_ISREG(info.st_mode) || info.st_uid != ::geteuid() || info.st_nlink > 1) {
      return absl::FailedPreconditionError(
          absl::StrCat(path, ": is in the way; a new version is to be written there"));
    }
    std::move(close).Cancel();
    return fd;
  }
}

// 0, or errno.
int Overwrite(int fd, std::string_view bytes) {
  if (::ftruncate(fd, 0) != 0) return errno;
  off_t at = 0;
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    bytes.remove_prefix(static_cast<size_t>(n));
    at += n;
  }
  return 0;
}

absl::Status SyncFolderOf(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, folder);
  const absl::Cleanup close = [fd] { ::close(fd); };
  return ::fsync(fd) == 0 ? absl::OkStatus() : absl::ErrnoToStatus(errno, folder);
}

}  // namespace

absl::StatusOr<std::unique_ptr<TokenFileEditor>> TokenFileEditor::Open(const std::string& path,
                                                                       bool create) {
  absl::StatusOr<std::string> resolved = Resolved(path);
  if (!resolved.ok()) return resolved.status();
  if (!create) {
    // Nothing is to be left beside a file that is not there.
    if (const auto version = VersionOfTokenFile(*resolved); !version.ok()) return version.status();
  }
  const absl::StatusOr<int> fd = OpenLocked(*resolved + ".new");
  if (!fd.ok()) return fd.status();
  std::unique_ptr<TokenFileEditor> editor(new TokenFileEditor(*std::move(resolved), *fd));
  if (absl::Status s = editor->Read(create); !s.ok()) return s;
  return editor;
}

TokenFileEditor::TokenFileEditor(std::string path, int fd)
    : path_(std::move(path)), temporary_(path_ + ".new"), fd_(fd) {}

TokenFileEditor::~TokenFileEditor() {
  if (!committed_) ::unlink(temporary_.c_str());  // While it is locked: it is ours.
  ::close(fd_);
}

absl::Status TokenFileEditor::Read(bool create) {
  absl::StatusOr<TokenFileContents> contents = ReadTokenFile(path_);
  if (create && absl::IsNotFound(contents.status())) return Take(std::string(kTokenFileHeader));
  if (!contents.ok()) return contents.status();
  mode_ = contents->mode;
  owner_ = contents->owner;
  group_ = contents->group;
  const absl::Status s = Take(std::move(contents->text));
  return s.ok() ? s : absl::FailedPreconditionError(absl::StrCat(path_, ": ", s.message()));
}

absl::Status TokenFileEditor::Take(std::string text) {
  absl::StatusOr<std::vector<TokenEntry>> tokens = ParseTokenFile(text);
  if (!tokens.ok()) return tokens.status();
  text_ = std::move(text);
  tokens_ = *std::move(tokens);
  return absl::OkStatus();
}

absl::Status TokenFileEditor::Add(const TokenEntry& token) {
  const bool taken = std::any_of(tokens_.begin(), tokens_.end(), [&](const TokenEntry& t) {
    return t.identity.token == token.identity.token;
  });
  if (taken) {
    return absl::AlreadyExistsError(
        absl::StrCat(path_, ": has a token \"", token.identity.token, "\" already"));
  }
  return Take(absl::StrCat(text_, FormatToken(token)));
}

absl::Status TokenFileEditor::Remove(std::string_view name) {
  const auto token = std::find_if(tokens_.begin(), tokens_.end(),
                                  [&](const TokenEntry& t) { return t.identity.token == name; });
  if (token == tokens_.end()) {
    return absl::NotFoundError(absl::StrCat(path_, ": has no token \"", std::string(name), "\""));
  }
  size_t begin = 0;
  for (size_t line = 1; line < token->line; ++line) begin = text_.find('\n', begin) + 1;
  std::string text = text_;
  text.erase(begin, text.find('\n', begin) + 1 - begin);
  return Take(std::move(text));
}

absl::Status TokenFileEditor::Commit() {
  if (const int error = Overwrite(fd_, text_)) return absl::ErrnoToStatus(error, temporary_);
  // Who may read it stays as it was: the server may run as another user than its administrator.
  if (::fchown(fd_, owner_, group_) != 0) {
    return absl::ErrnoToStatus(
        errno, absl::StrCat(path_, ": a new version cannot be given to the old one's owner"));
  }
  if (::fchmod(fd_, mode_) != 0 || ::fsync(fd_) != 0 ||
      ::rename(temporary_.c_str(), path_.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, temporary_);
  }
  committed_ = true;
  return SyncFolderOf(path_);
}

}  // namespace cairn::services
