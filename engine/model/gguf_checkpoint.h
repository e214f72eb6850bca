// Language models in GGUF files.
#ifndef CAIRN_ENGINE_MODEL_GGUF_CHECKPOINT_H_
#define CAIRN_ENGINE_MODEL_GGUF_CHECKPOINT_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "engine/model/checkpoint.h"

namespace cairn::engine {

// As Checkpoint::Open.
absl::StatusOr<std::unique_ptr<Checkpoint>> OpenGgufCheckpoint(const std::string& path);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_GGUF_CHECKPOINT_H_
