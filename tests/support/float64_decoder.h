// A decoder in double precision, written to be right rather than fast: what others are held to.
#ifndef CAIRN_TESTS_SUPPORT_FLOAT64_DECODER_H_
#define CAIRN_TESTS_SUPPORT_FLOAT64_DECODER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/model/checkpoint.h"

namespace cairn::testing {

// What a pass over a whole sequence computes.
struct Float64Result {
  // [layers][tokens * hidden]: the residual stream as it leaves each layer, before the last norm.
  std::vector<std::vector<double>> layers;
  std::vector<double> logits;  // [tokens][vocabulary]
};

// Every weight in memory as a double: for models of up to some tens of millions of parameters.
// Immutable and thread-safe.
class Float64Decoder {
 public:
  // The checkpoint's own errors where a tensor is missing. It need not outlive the call.
  static absl::StatusOr<Float64Decoder> Load(const engine::Checkpoint& checkpoint);

  const engine::ModelConfig& config() const { return config_; }

  // The sequence from its beginning, every token at once. `tokens` are below the vocabulary's size.
  // Dynamic RoPE takes its base from the whole length, as transformers does in a single pass.
  Float64Result Forward(absl::Span<const uint32_t> tokens) const;

 private:
  // Matrices are [rows][columns]. Empty: the model has none of these.
  struct Layer {
    std::vector<double> attn_norm, q, k, v, q_bias, k_bias, v_bias, q_norm, k_norm, output;
    std::vector<double> ffn_norm, gate, up, down;
  };

  absl::Status LoadLayer(const engine::Checkpoint& checkpoint, size_t layer);

  std::vector<double> Norm(absl::Span<const double> x, const std::vector<double>& weight) const;
  void Rotate(absl::Span<double> head, const std::vector<double>& frequencies,
              size_t position) const;
  // One token's queries or keys, normed and rotated: [heads or kv_heads][head_dim].
  std::vector<double> Heads(absl::Span<const double> x, const std::vector<double>& weight,
                            const std::vector<double>& bias, const std::vector<double>& norm,
                            const std::vector<double>& frequencies, size_t position) const;
  // What one token's queries find among the keys up to its own: [heads][head_dim].
  std::vector<double> Attend(size_t layer, size_t position, const std::vector<double>& query,
                             const std::vector<std::vector<double>>& keys,
                             const std::vector<std::vector<double>>& values) const;
  // `x` [tokens][hidden] becomes what leaves the layer.
  void RunLayer(size_t layer, const std::vector<double>& frequencies, std::vector<double>* x) const;

  engine::ModelConfig config_;
  std::vector<double> embeddings_;  // [vocabulary][hidden]
  std::vector<double> output_;      // [vocabulary][hidden]; empty: tied.
  std::vector<double> output_norm_;
  std::vector<Layer> layers_;
};

// Radians by which RoPE turns each pair of dimensions per position, [rope_dims / 2], for a sequence
// of `length` tokens. The scalings are those of transformers' modeling_rope_utils.py.
std::vector<double> RopeFrequencies(const engine::ModelConfig& config, size_t length);

// The factor on the rotated queries and keys alike: 1 but for YaRN.
double RopeMagnitude(const engine::ModelConfig& config);

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_SUPPORT_FLOAT64_DECODER_H_
