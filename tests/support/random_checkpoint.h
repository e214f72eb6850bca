// A small model with random weights in any format.
#ifndef CAIRN_TESTS_SUPPORT_RANDOM_CHECKPOINT_H_
#define CAIRN_TESTS_SUPPORT_RANDOM_CHECKPOINT_H_

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/model/checkpoint.h"
#include "kernels/block_format.h"

namespace cairn::testing {

// A model of two heads sharing a key, small enough for double precision. Its hidden sizes are whole
// blocks of every format.
inline engine::ModelConfig SmallConfig(engine::Architecture architecture) {
  engine::ModelConfig config;
  config.architecture = architecture;
  config.layers = 3;
  config.hidden_size = 256;
  config.intermediate_size = 512;
  config.heads = 8;
  config.kv_heads = 2;
  config.head_dim = architecture == engine::Architecture::kQwen3 ? 64 : 32;
  config.rope_dims = config.head_dim;
  config.vocabulary_size = 97;
  config.context_length = 4096;
  config.rope_pairing = architecture == engine::Architecture::kLlama
                            ? engine::RopePairing::kInterleaved
                            : engine::RopePairing::kHalves;
  config.tied_embeddings = architecture == engine::Architecture::kQwen2;
  return config;
}

// Matrices in `format`; norms and biases in float32. No tokenizer.
class RandomCheckpoint final : public engine::Checkpoint {
 public:
  RandomCheckpoint(const engine::ModelConfig& config, kernels::BlockFormat format,
                   uint32_t seed = 1)
      : config_(config), format_(format), random_(seed) {
    using engine::Architecture;
    const uint64_t hidden = config.hidden_size, vocabulary = config.vocabulary_size;
    const uint64_t query = uint64_t{config.heads} * config.head_dim;
    const uint64_t kv = uint64_t{config.kv_heads} * config.head_dim;
    Matrix("token_embd.weight", vocabulary, hidden, 1);
    for (uint32_t l = 0; l < config.layers; ++l) {
      const std::string at = absl::StrCat("blk.", l, ".");
      Vector(at + "attn_norm.weight", hidden, 1);
      Matrix(at + "attn_q.weight", query, hidden);
      Matrix(at + "attn_k.weight", kv, hidden);
      Matrix(at + "attn_v.weight", kv, hidden);
      Matrix(at + "attn_output.weight", hidden, query);
      if (config.architecture == Architecture::kQwen2) {
        Vector(at + "attn_q.bias", query, 0);
        Vector(at + "attn_k.bias", kv, 0);
        Vector(at + "attn_v.bias", kv, 0);
      }
      if (config.architecture == Architecture::kQwen3) {
        Vector(at + "attn_q_norm.weight", config.head_dim, 1);
        Vector(at + "attn_k_norm.weight", config.head_dim, 1);
      }
      Vector(at + "ffn_norm.weight", hidden, 1);
      Matrix(at + "ffn_gate.weight", config.intermediate_size, hidden);
      Matrix(at + "ffn_up.weight", config.intermediate_size, hidden);
      Matrix(at + "ffn_down.weight", hidden, config.intermediate_size);
    }
    Vector("output_norm.weight", hidden, 1);
    if (!config.tied_embeddings) Matrix("output.weight", vocabulary, hidden);
  }

  const engine::ModelConfig& config() const override { return config_; }
  absl::StatusOr<engine::TensorView> Find(std::string_view name) const override {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) {
      return absl::NotFoundError(absl::StrCat("no tensor ", std::string(name)));
    }
    const Stored& stored = found->second;
    return engine::TensorView{stored.format, stored.shape, stored.bytes};
  }
  std::vector<std::string> TensorNames() const override {
    std::vector<std::string> names;
    for (const auto& [name, stored] : tensors_) names.push_back(name);
    return names;
  }
  absl::StatusOr<std::unique_ptr<chunking::Tokenizer>> LoadTokenizer() const override {
    return absl::NotFoundError("a random model has no tokenizer");
  }
  const std::string& chat_template() const override { return empty_; }
  const std::string& fingerprint() const override { return empty_; }
  void Drop(const engine::TensorView&) const override {}

 private:
  struct Stored {
    kernels::BlockFormat format;
    std::vector<uint64_t> shape;
    std::string bytes;
  };

  void Put(const std::string& name, kernels::BlockFormat format, std::vector<uint64_t> shape,
           const std::vector<float>& values) {
    std::string bytes(kernels::FormatBytes(format, values.size()), '\0');
    kernels::Quantize(format, values.data(), values.size(), bytes.data());
    tensors_[name] = {format, std::move(shape), std::move(bytes)};
  }
  std::vector<float> Values(size_t n, float mean, float deviation) {
    std::normal_distribution<float> normal(mean, deviation);
    std::vector<float> values(n);
    for (float& value : values) value = normal(random_);
    return values;
  }
  void Matrix(const std::string& name, uint64_t rows, uint64_t columns, float gain = 0) {
    const float deviation = gain > 0 ? gain : 1 / std::sqrt(static_cast<float>(columns));
    Put(name, format_, {rows, columns}, Values(rows * columns, 0, deviation));
  }
  void Vector(const std::string& name, uint64_t size, float mean) {
    Put(name, kernels::BlockFormat::kF32, {size}, Values(size, mean, 0.1f));
  }

  const engine::ModelConfig config_;
  const kernels::BlockFormat format_;
  std::mt19937 random_;
  std::map<std::string, Stored, std::less<>> tensors_;
  const std::string empty_;
};

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_SUPPORT_RANDOM_CHECKPOINT_H_
