// What a model of given settings consists of, and the checks of both that every file format shares.
#ifndef CAIRN_ENGINE_MODEL_MODEL_LAYOUT_H_
#define CAIRN_ENGINE_MODEL_MODEL_LAYOUT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "engine/model/checkpoint.h"

namespace cairn::engine {

// InvalidArgument naming the setting that is out of range or contradicts another. What passes
// describes tensors of less than 2^50 values.
absl::Status CheckConfig(const ModelConfig& config);

struct TensorSpec {
  std::string name;             // GGUF's.
  std::vector<uint64_t> shape;  // Row-major.
  bool is_matrix() const { return shape.size() == 2; }
};

// All tensors of the model, in the order of a GGUF file. `config` has passed CheckConfig.
std::vector<TensorSpec> TensorsOf(const ModelConfig& config);

// InvalidArgument where `checkpoint` lacks a tensor of its model or has it in another shape, or has
// a vector in blocks.
absl::Status CheckTensors(const Checkpoint& checkpoint);

// InvalidArgument where the tokenizer has ids that the model has no embeddings for.
absl::Status CheckTokenizer(const chunking::Tokenizer& tokenizer, const ModelConfig& config);

std::string_view ArchitectureName(Architecture architecture);  // "llama", ...: GGUF's names.
std::optional<Architecture> ParseArchitecture(std::string_view name);

// Sets sliding_first_layer and sliding_pattern so that exactly the layers of `slides` see a window.
// InvalidArgument where those two cannot say it.
absl::Status SetSlidingLayers(const std::vector<bool>& slides, ModelConfig* config);

// For each pair of dimensions, the divisor of its frequency that a GGUF file's rope_freqs.weight
// holds: the settings' own divisors, or those that Llama 3's scaling means; empty: none.
std::vector<float> RopeDivisors(const ModelConfig& config);

// The format that the tensor gets in a file whose matrices are of `wanted`: F32 for vectors; where
// the rows are no whole blocks, Q8_0, and F16 where they are none of its blocks either.
kernels::BlockFormat FormatFor(const TensorSpec& spec, kernels::BlockFormat wanted);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_MODEL_LAYOUT_H_
