// Models of random weights, with the shapes of real ones: for measurements and tests.
#ifndef CAIRN_ENGINE_MODEL_MODEL_SYNTHESIS_H_
#define CAIRN_ENGINE_MODEL_MODEL_SYNTHESIS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "engine/model/checkpoint.h"

namespace cairn::engine {

// The settings of a published model: "qwen2.5-0.5b", "llama-3.2-1b", "llama-3-8b", "smollm-135m".
std::optional<ModelConfig> ShapeByName(std::string_view name);
std::vector<std::string> ShapeNames();

struct SynthesisOptions {
  // Of the matrices; those whose rows are no whole blocks get another, as FormatFor says.
  kernels::BlockFormat format = kernels::BlockFormat::kQ8_0;
  uint64_t seed = 1;
  size_t threads = 2;
};

// Writes a GGUF file. Weights are uniform around 0, so spread that activations keep their size from
// layer to layer; the same for a seed, whatever the threads. The tokenizer is a byte-level BPE
// without merges, with the 256 bytes and then tokens that no text gives, the last ones beginning
// and ending texts: so the vocabulary has at least 258 tokens, and InvalidArgument says so. Memory
// is bounded by a few MiB, the vocabulary aside. As GgufWriter for what concerns the file.
absl::Status SynthesizeModel(const ModelConfig& config, const SynthesisOptions& options,
                             const std::string& path);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_MODEL_SYNTHESIS_H_
