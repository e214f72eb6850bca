// Language models in Hugging Face directories.
#ifndef CAIRN_ENGINE_MODEL_HF_CHECKPOINT_H_
#define CAIRN_ENGINE_MODEL_HF_CHECKPOINT_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "engine/model/checkpoint.h"

namespace cairn::engine {

// As Checkpoint::Open. Reads config.json, the weights, and where they are there
// tokenizer_config.json, generation_config.json and chat_template.jinja.
absl::StatusOr<std::unique_ptr<Checkpoint>> OpenHfCheckpoint(const std::string& directory);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_HF_CHECKPOINT_H_
