// The settings of a model in a Hugging Face directory.
#ifndef CAIRN_ENGINE_MODEL_HF_CONFIG_H_
#define CAIRN_ENGINE_MODEL_HF_CONFIG_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "engine/model/checkpoint.h"

namespace cairn::engine {

// Whether a config.json's model_type is one of those below. False for what is malformed too.
bool IsLanguageModelConfig(std::string_view config_json);

// Reads and checks a config.json of the Llama, Mistral, Qwen2 or Qwen3 family, in the spellings of
// transformers 4 and 5; what is left out is what transformers takes for it. InvalidArgument naming
// the setting that is wrong, or that asks for something cairn does not compute.
absl::StatusOr<ModelConfig> ParseHfConfig(std::string_view config_json);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_HF_CONFIG_H_
