// Measures how fast a model runs on this machine.
#ifndef CAIRN_ENGINE_MODEL_MODEL_BENCHMARK_H_
#define CAIRN_ENGINE_MODEL_MODEL_BENCHMARK_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/decoder.h"

namespace cairn::engine {

struct BenchmarkOptions {
  DecoderOptions decoder;
  std::vector<size_t> prefill = {512, 3072};  // Lengths of prompts; each is measured by itself.
  size_t decode = 64;                         // Tokens that are decoded one by one.
  std::vector<size_t> contexts;               // Decode behind so many tokens too.
  size_t repeat = 3;                          // Of each; the median counts.
};

// Tokens a second behind, or for, so many tokens.
struct TokenRate {
  size_t tokens = 0;
  double tokens_per_second = 0;
};

struct BenchmarkResult {
  size_t threads = 0;
  kernels::KvType kv_type = kernels::KvType::kF16;
  uint64_t weight_bytes = 0;
  double load_seconds = 0;  // Mapping and packing.
  std::vector<TokenRate> prefill;
  double decode_tokens_per_second = 0;
  std::vector<TokenRate> decode_behind;
  // Bytes a second at which all threads together read the weights and do nothing with them,
  // measured between the decodings.
  double bandwidth = 0;
  uint64_t peak_memory = 0;  // The process's largest resident size, in bytes.
};

// Opens the model at `path` and runs it on made-up tokens. InvalidArgument where a length does not
// fit the context.
absl::StatusOr<BenchmarkResult> BenchmarkModel(const std::string& path,
                                               const BenchmarkOptions& options);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_MODEL_BENCHMARK_H_
