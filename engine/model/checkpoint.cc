#include "engine/model/checkpoint.h"

#include <sys/stat.h>

#include <cerrno>

#include "engine/model/gguf_checkpoint.h"
#include "engine/model/hf_checkpoint.h"

namespace cairn::engine {

absl::StatusOr<std::unique_ptr<Checkpoint>> Checkpoint::Open(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return absl::ErrnoToStatus(errno, path);
  return S_ISDIR(info.st_mode) ? OpenHfCheckpoint(path) : OpenGgufCheckpoint(path);
}

}  // namespace cairn::engine
