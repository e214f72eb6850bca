// The settings of a model in a GGUF file.
#ifndef CAIRN_ENGINE_MODEL_GGUF_CONFIG_H_
#define CAIRN_ENGINE_MODEL_GGUF_CONFIG_H_

#include "absl/status/statusor.h"
#include "engine/model/checkpoint.h"
#include "engine/model/gguf.h"

namespace cairn::engine {

// Reads and checks {architecture}.* and the tensors that settings hide in (the vocabulary's size in
// the embeddings' shape, RoPE's divisors). InvalidArgument naming what is missing or wrong.
absl::StatusOr<ModelConfig> ReadGgufConfig(const Gguf& gguf);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_GGUF_CONFIG_H_
