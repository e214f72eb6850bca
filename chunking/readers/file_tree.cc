#include "chunking/readers/file_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "chunking/readers/text_checks.h"

namespace cairn::chunking {
namespace {

struct DirectoryCloser {
  void operator()(DIR* dir) const { closedir(dir); }
};

struct Entry {
  std::string name;  // Folders end with "/", so that sorting names sorts whole paths.
  uint64_t bytes = 0;
  std::string fault;  // Why it cannot be read; empty: it can, as far as known.

  bool is_folder() const { return name.back() == '/'; }
};

std::string SpecialFileFault(mode_t mode) {
  if (S_ISFIFO(mode)) return "is a FIFO, not a regular file";
  if (S_ISSOCK(mode)) return "is a socket, not a regular file";
  return "is a device, not a regular file";
}

class Walker {
 public:
  Walker(absl::FunctionRef<absl::Status(const FoundFile&)> on_file,
         absl::FunctionRef<absl::Status(const ReadIssue&)> on_issue)
      : on_file_(on_file), on_issue_(on_issue) {}

  absl::Status Walk(const std::string& root) {
    struct stat info = {};
    if (root.empty() || root.find('\0') != std::string::npos) {
      return absl::InvalidArgumentError("not a path: it is empty or holds a NUL byte");
    }
    if (stat(root.c_str(), &info) != 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot find ", root));
    }
    if (!IsUtf8(root)) return Issue(root, "its name is not valid UTF-8");
    if (S_ISDIR(info.st_mode)) return WalkFolder(root);
    if (!S_ISREG(info.st_mode)) return Issue(root, SpecialFileFault(info.st_mode));
    if (faccessat(AT_FDCWD, root.c_str(), R_OK, AT_EACCESS) != 0) {
      return Issue(root, std::strerror(errno));
    }
    return on_file_({Resolved(root), static_cast<uint64_t>(info.st_size)});
  }

 private:
  // A link that the user named is followed here, because OpenFile does not follow any.
  static std::string Resolved(const std::string& root) {
    struct stat info = {};
    if (lstat(root.c_str(), &info) != 0 || !S_ISLNK(info.st_mode)) return root;
    std::unique_ptr<char, decltype(&free)> target(realpath(root.c_str(), nullptr), &free);
    return target == nullptr ? root : std::string(target.get());
  }

  absl::Status Issue(const std::string& path, std::string reason) {
    return on_issue_({IsUtf8(path) ? path : absl::CHexEscape(path), 0, std::move(reason)});
  }

  // Depth first with a stack of its own; one descriptor is open at a time, and PATH_MAX bounds the
  // depth.
  absl::Status WalkFolder(const std::string& root) {
    struct Level {
      size_t path_size;  // Of the folder's path with its "/".
      std::vector<Entry> entries;
      size_t next = 0;
    };
    std::string path = root;
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    if (path.back() != '/') path.push_back('/');
    std::vector<Level> levels(1);
    levels[0].path_size = path.size();
    if (absl::Status status = List(path, /*is_root=*/true, &levels[0].entries); !status.ok()) {
      return status;
    }
    while (!levels.empty()) {
      Level& level = levels.back();
      if (level.next == level.entries.size()) {
        levels.pop_back();
        continue;
      }
      const Entry& entry = level.entries[level.next++];
      path.resize(level.path_size);
      path += entry.name;
      absl::Status status;
      if (!entry.fault.empty()) {
        status = Issue(path, entry.fault);
      } else if (!entry.is_folder()) {
        status = on_file_({path, entry.bytes});
      } else {
        Level below;
        below.path_size = path.size();
        status = List(path, /*is_root=*/false, &below.entries);
        levels.push_back(std::move(below));
      }
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  // Appends the visible entries of the folder `path` (which ends with "/") in order.
  absl::Status List(const std::string& path, bool is_root, std::vector<Entry>* entries) {
    const std::string shown = path.size() > 1 ? path.substr(0, path.size() - 1) : path;
    // A final "/" would follow a link that took the folder's place since it was listed.
    const int fd = open(shown.c_str(), O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC |
                                           (is_root ? 0 : O_NOFOLLOW));
    if (fd < 0) return Issue(shown, absl::StrCat("cannot open folder: ", std::strerror(errno)));
    std::unique_ptr<DIR, DirectoryCloser> dir(fdopendir(fd));
    if (dir == nullptr) {
      const int error = errno;
      close(fd);
      return Issue(shown, absl::StrCat("cannot open folder: ", std::strerror(error)));
    }
    while (true) {
      errno = 0;
      const dirent* found = readdir(dir.get());
      if (found == nullptr) break;
      if (found->d_name[0] == '.') continue;
      Entry entry;
      if (Examine(fd, found->d_name, path.size(), &entry)) entries->push_back(std::move(entry));
    }
    if (errno != 0) {
      absl::Status status =
          Issue(shown, absl::StrCat("cannot list the whole folder: ", std::strerror(errno)));
      if (!status.ok()) return status;
    }
    std::sort(entries->begin(), entries->end(),
              [](const Entry& a, const Entry& b) { return a.name < b.name; });
    return absl::OkStatus();
  }

  // False for what is passed over: symbolic links, and names that vanished since they were listed.
  static bool Examine(int folder, const char* name, size_t folder_path_size, Entry* entry) {
    struct stat info = {};
    entry->name = name;
    if (fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) return false;
      entry->fault = std::strerror(errno);
      return true;
    }
    if (S_ISLNK(info.st_mode)) return false;
    const bool is_folder = S_ISDIR(info.st_mode);
    if (is_folder) entry->name.push_back('/');
    if (!IsUtf8(name)) {
      entry->fault = "its name is not valid UTF-8";
    } else if (folder_path_size + entry->name.size() >= PATH_MAX) {
      entry->fault = "its path is too long to be opened";
    } else if (!is_folder && !S_ISREG(info.st_mode)) {
      entry->fault = SpecialFileFault(info.st_mode);
    } else if (!is_folder && faccessat(folder, name, R_OK, AT_EACCESS) != 0) {
      entry->fault = std::strerror(errno);
    } else {
      entry->bytes = static_cast<uint64_t>(info.st_size);
    }
    return true;
  }

  const absl::FunctionRef<absl::Status(const FoundFile&)> on_file_;
  const absl::FunctionRef<absl::Status(const ReadIssue&)> on_issue_;
};

}  // namespace

absl::Status WalkFiles(const std::string& root,
                       absl::FunctionRef<absl::Status(const FoundFile&)> on_file,
                       absl::FunctionRef<absl::Status(const ReadIssue&)> on_issue) {
  return Walker(on_file, on_issue).Walk(root);
}

}  // namespace cairn::chunking
