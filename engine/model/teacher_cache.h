// The file that keeps a teacher's vectors between runs (docs/formats/teacher-vectors.md).
#ifndef CAIRN_ENGINE_MODEL_TEACHER_CACHE_H_
#define CAIRN_ENGINE_MODEL_TEACHER_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace cairn::engine {

// What decides the vectors in a file.
struct TeacherCacheKey {
  uint32_t dim = 0;
  uint64_t vectors = 0;
  std::string_view teacher;  // Its fingerprint.
  // The ids of each text.
  absl::Span<const absl::Span<const uint32_t>> texts;
};

// Blocks of vectors in order, each appended when it is known. Not thread-safe; the file is locked
// against other processes. Errors begin with the path.
class TeacherCache {
 public:
  static constexpr uint64_t kBlockVectors = 256;

  // Creates the file where there is none, else reads what it holds into the beginning of `vectors`
  // [key.vectors][key.dim]. FailedPrecondition for a file that is something else, of another
  // version or for other vectors, and where another process has it.
  static absl::StatusOr<std::unique_ptr<TeacherCache>> Open(const std::string& path,
                                                            const TeacherCacheKey& key,
                                                            absl::Span<float> vectors);
  ~TeacherCache();
  TeacherCache(const TeacherCache&) = delete;
  TeacherCache& operator=(const TeacherCache&) = delete;

  // That the file holds.
  uint64_t blocks() const { return blocks_; }

  // The next block: kBlockVectors, or the last ones.
  absl::Status Append(absl::Span<const float> block);

  absl::Status Sync();

 private:
  TeacherCache(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}

  absl::Status ReadHeader(std::string_view wanted);
  absl::Status ReadBlocks(uint32_t dim, absl::Span<float> vectors);
  absl::Status Write(std::string_view bytes);
  absl::Status Failed(const char* what) const;

  const std::string path_;
  const int fd_;
  uint64_t blocks_ = 0;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_TEACHER_CACHE_H_
