// Files and folders that are on disk, by name and content, when a call returns.
#ifndef CAIRN_INDEX_DURABLE_FILES_H_
#define CAIRN_INDEX_DURABLE_FILES_H_

#include <string>
#include <string_view>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "index/work_control.h"

namespace cairn::index {

// Owns a file descriptor; -1 is none.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

// errno as a status: "<what> <path>: <reason>".
absl::Status ErrnoStatus(absl::string_view what, const std::string& path);

// Waits until the names in a directory are on disk.
absl::Status SyncDirectory(const std::string& directory);
// The same of the bytes of a file.
absl::Status SyncFile(const std::string& path);

// Writes a new file, or all of an old one, and waits until its bytes (not yet its name) are on
// disk.
absl::Status WriteFile(const std::string& path, std::string_view bytes);
// Copies the bytes of a regular file to a new one, and waits likewise. Follows no symbolic link.
// Cancelled when `control` says so; a part of the copy may be there then.
absl::Status CopyFile(const std::string& from, const std::string& to,
                      const WorkControl& control = {});
// Gives a file that never changes a second name; copies it where that cannot be (another file
// system). Cancelled as CopyFile.
absl::Status LinkOrCopyFile(const std::string& from, const std::string& to,
                            const WorkControl& control = {});

// Calls `visit` for a folder's entries; not at all if it cannot be read.
void ForEachEntry(const std::string& directory,
                  absl::FunctionRef<void(const std::string& path, const std::string& name)> visit);

}  // namespace cairn::index

#endif  // CAIRN_INDEX_DURABLE_FILES_H_
