#include "index/segment/segment_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "index/durable_files.h"

namespace cairn::index {
namespace {

absl::Status FromErrno(const std::string& what, const std::string& path) {
  const int error = errno;
  const std::string message = absl::StrCat(what, " ", path, ": ", std::strerror(error));
  return error == ENOSPC || error == EDQUOT ? absl::ResourceExhaustedError(message)
                                            : absl::UnavailableError(message);
}

absl::Status SyncSegments(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return FromErrno("cannot open", path);
  const bool synced = fsync(descriptor) == 0;
  const absl::Status s = synced ? absl::OkStatus() : FromErrno("cannot sync", path);
  close(descriptor);
  return s;
}

}  // namespace

SegmentFiles::SegmentFiles(const std::string& store_directory)
    : directory_(store_directory + "/segments") {}

std::string SegmentFiles::Name(CollectionId collection, uint64_t file) {
  return absl::StrCat(collection, "-", file, ".seg");
}

std::string SegmentFiles::Path(CollectionId collection, uint64_t file) const {
  return absl::StrCat(directory_, "/", Name(collection, file));
}

std::string SegmentFiles::TemporaryPath(CollectionId collection, uint64_t file) const {
  return Path(collection, file) + ".tmp";
}

absl::Status SegmentFiles::Prepare() const {
  if (mkdir(directory_.c_str(), 0755) != 0) {
    return errno == EEXIST ? absl::OkStatus() : FromErrno("cannot create", directory_);
  }
  return SyncSegments(std::filesystem::path(directory_).parent_path().string());
}

absl::Status SegmentFiles::Publish(CollectionId collection, uint64_t file) const {
  const std::string path = Path(collection, file);
  const std::string temporary = TemporaryPath(collection, file);
  if (rename(temporary.c_str(), path.c_str()) != 0) {
    const absl::Status s = FromErrno("cannot rename to", path);
    unlink(temporary.c_str());
    return s;
  }
  return SyncSegments(directory_);
}

void SegmentFiles::Remove(CollectionId collection, const std::vector<uint64_t>& files) {
  absl::MutexLock lock(&mutex_);
  for (uint64_t file : files) {
    const std::string path = Path(collection, file);
    if (holds_ > 0) {
      to_remove_.push_back(path);
    } else {
      unlink(path.c_str());  // Should it stay, the next open deletes it.
    }
  }
}

void SegmentFiles::SetAside(CollectionId collection, uint64_t file) const {
  const std::string path = Path(collection, file);
  rename(path.c_str(), (path + ".bad").c_str());
}

void SegmentFiles::Clean(const std::set<std::string>& used) const {
  ForEachEntry(directory_, [&](const std::string& path, const std::string& name) {
    const bool stray = absl::EndsWith(name, ".seg") && used.count(name) == 0;
    if (stray || absl::EndsWith(name, ".seg.tmp")) unlink(path.c_str());
  });
}

uint64_t SegmentFiles::DiskBytes() const {
  uint64_t bytes = 0;
  ForEachEntry(directory_, [&](const std::string& path, const std::string&) {
    struct stat info = {};
    if (stat(path.c_str(), &info) == 0) bytes += static_cast<uint64_t>(info.st_size);
  });
  return bytes;
}

SegmentFiles::Hold::Hold(SegmentFiles* files) : files_(files) {
  absl::MutexLock lock(&files_->mutex_);
  ++files_->holds_;
}

SegmentFiles::Hold::~Hold() {
  absl::MutexLock lock(&files_->mutex_);
  if (--files_->holds_ > 0) return;
  for (const std::string& path : files_->to_remove_) unlink(path.c_str());
  files_->to_remove_.clear();
}

}  // namespace cairn::index
