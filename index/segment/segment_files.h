// The folder segments/ of a store.
#ifndef CAIRN_INDEX_SEGMENT_SEGMENT_FILES_H_
#define CAIRN_INDEX_SEGMENT_SEGMENT_FILES_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "index/rows.h"

namespace cairn::index {

// Names, publishes and deletes segment files. Thread-safe.
class SegmentFiles {
 public:
  explicit SegmentFiles(const std::string& store_directory);

  // segments/<collection>-<file>.seg
  std::string Path(CollectionId collection, uint64_t file) const;
  // Where a file is written before it has its name.
  std::string TemporaryPath(CollectionId collection, uint64_t file) const;

  // Makes the folder if it is not there.
  absl::Status Prepare() const;
  // Gives a complete, synced temporary file its name, durably.
  absl::Status Publish(CollectionId collection, uint64_t file) const;
  // Deletes the files; later, while a Hold lives.
  void Remove(CollectionId collection, const std::vector<uint64_t>& files);
  // Puts a damaged file aside, as *.bad, for whoever wants to look into it.
  void SetAside(CollectionId collection, uint64_t file) const;
  // Deletes all temporary files, and those that `used` (names without folder) does not hold; but
  // not what was set aside.
  void Clean(const std::set<std::string>& used) const;
  static std::string Name(CollectionId collection, uint64_t file);

  uint64_t DiskBytes() const;

  // While one lives no file disappears: a snapshot is being taken.
  class Hold {
   public:
    explicit Hold(SegmentFiles* files);
    ~Hold();
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

   private:
    SegmentFiles* const files_;
  };

 private:
  const std::string directory_;
  absl::Mutex mutex_;
  int holds_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::string> to_remove_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_SEGMENT_SEGMENT_FILES_H_
