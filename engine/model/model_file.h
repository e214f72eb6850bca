// Reads the files of a model directory into memory.
#ifndef CAIRN_ENGINE_MODEL_MODEL_FILE_H_
#define CAIRN_ENGINE_MODEL_MODEL_FILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace cairn::engine {

// A file's bytes. Moving it does not move them.
struct FileBytes {
  std::unique_ptr<char[]> data;
  size_t size = 0;

  std::string_view view() const { return {data.get(), size}; }
};

// Reads a regular file whole (symbolic links are followed). Errors begin with the path: the
// system's own where it cannot be opened or read, InvalidArgument for anything but a regular file
// and for more than `max_bytes`, which is checked before memory is taken.
absl::StatusOr<FileBytes> ReadModelFile(const std::string& path, uint64_t max_bytes);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_MODEL_FILE_H_
