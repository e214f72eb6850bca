// Reads the files of a model directory into memory.
#ifndef CAIRN_ENGINE_MODEL_MODEL_FILE_H_
#define CAIRN_ENGINE_MODEL_MODEL_FILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace cairn::engine {

// Far above any model's: what a directory's files of settings and of tokens may have.
inline constexpr uint64_t kMaxConfigBytes = 16 << 20;
inline constexpr uint64_t kMaxTokenizerBytes = 256 << 20;

// A file's bytes. Moving it does not move them.
struct FileBytes {
  std::unique_ptr<char[]> data;
  size_t size = 0;

  std::string_view view() const { return {data.get(), size}; }
};

// `status`, of a file or a directory: its message begins with the path.
absl::Status AtPath(const std::string& path, const absl::Status& status);

// Reads a regular file whole (symbolic links are followed). Errors begin with the path: the
// system's own where it cannot be opened or read, InvalidArgument for anything but a regular file
// and for more than `max_bytes`, which is checked before memory is taken.
absl::StatusOr<FileBytes> ReadModelFile(const std::string& path, uint64_t max_bytes);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_MODEL_FILE_H_
