// Language models of a few kilobytes: settings, GGUF files and Hugging Face directories.
#ifndef CAIRN_TESTS_ENGINE_MODEL_TINY_MODELS_H_
#define CAIRN_TESTS_ENGINE_MODEL_TINY_MODELS_H_

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/model/checkpoint.h"
#include "engine/model/hf_weights.h"
#include "engine/model/model_layout.h"
#include "kernels/block_format.h"
#include "tests/engine/model/gguf_builder.h"
#include "tests/engine/model/model_builder.h"
#include "tests/support/temp_dir.h"

namespace cairn::engine::testing {

// Two layers of 64 dimensions, four heads that share two keys and values.
inline ModelConfig TinyConfig(Architecture architecture) {
  ModelConfig config;
  config.architecture = architecture;
  config.name = "tiny";
  config.layers = 2;
  config.hidden_size = 64;
  config.intermediate_size = 96;
  config.heads = 4;
  config.kv_heads = 2;
  config.head_dim = config.rope_dims = architecture == Architecture::kQwen3 ? 32 : 16;
  config.vocabulary_size = 300;
  config.context_length = 128;
  config.norm_epsilon = 1e-6f;
  config.rope_theta = 5000;
  config.rope_pairing =
      architecture == Architecture::kLlama ? RopePairing::kInterleaved : RopePairing::kHalves;
  config.tied_embeddings = architecture == Architecture::kQwen2;
  return config;
}

// Value i of tensor number t: a small number that is exact in every float format.
inline float TinyValue(size_t t, uint64_t i) {
  return static_cast<float>(static_cast<int>((i * 7 + t * 13) % 127) - 63) / 64;
}

inline std::string TinyBytes(size_t t, const TensorSpec& spec, kernels::BlockFormat format) {
  uint64_t n = 1;
  for (uint64_t size : spec.shape) n *= size;
  std::vector<float> values(n);
  for (uint64_t i = 0; i < n; ++i) values[i] = TinyValue(t, i);
  std::string bytes(kernels::FormatBytes(format, n), '\0');
  kernels::Quantize(format, values.data(), n, bytes.data());
  return bytes;
}

// The metadata of TinyConfig's model.
inline GgufBuilder TinyMetadata(const ModelConfig& c) {
  const std::string a(ArchitectureName(c.architecture));
  GgufBuilder builder;
  builder.String("general.architecture", a)
      .U32(a + ".block_count", c.layers)
      .U32(a + ".embedding_length", c.hidden_size)
      .U32(a + ".feed_forward_length", c.intermediate_size)
      .U32(a + ".context_length", c.context_length)
      .U32(a + ".attention.head_count", c.heads)
      .U32(a + ".attention.head_count_kv", c.kv_heads)
      .U32(a + ".attention.key_length", c.head_dim)
      .F32(a + ".attention.layer_norm_rms_epsilon", c.norm_epsilon)
      .F32(a + ".rope.freq_base", c.rope_theta);
  return builder;
}

// Adds the tensors of `config`, all F32, but for the one called `without`.
inline void AddTinyTensors(const ModelConfig& config, std::string_view without,
                           GgufBuilder* builder) {
  const std::vector<TensorSpec> specs = TensorsOf(config);
  for (size_t t = 0; t < specs.size(); ++t) {
    if (specs[t].name == without) continue;
    builder->Tensor(specs[t].name, {specs[t].shape.rbegin(), specs[t].shape.rend()}, 0,
                    TinyBytes(t, specs[t], kernels::BlockFormat::kF32));
  }
}

inline std::string TinyGguf(const ModelConfig& config) {
  GgufBuilder builder = TinyMetadata(config);
  AddTinyTensors(config, "", &builder);
  return builder.Build();
}

inline std::string TinyHfConfig(const ModelConfig& c, const std::string& more = "") {
  constexpr const char* kNames[] = {"LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"};
  std::string json = R"({"architectures":[")";
  json += kNames[static_cast<size_t>(c.architecture)];
  json += R"("],"hidden_act":"silu","rms_norm_eps":1e-06,"rope_theta":5000.0)";
  const std::pair<const char*, uint32_t> numbers[] = {
      {"num_hidden_layers", c.layers},
      {"hidden_size", c.hidden_size},
      {"intermediate_size", c.intermediate_size},
      {"num_attention_heads", c.heads},
      {"num_key_value_heads", c.kv_heads},
      {"head_dim", c.head_dim},
      {"vocab_size", c.vocabulary_size},
      {"max_position_embeddings", c.context_length}};
  for (const auto& [key, value] : numbers) {
    json += std::string(",\"") + key + "\":" + std::to_string(value);
  }
  json += std::string(",\"tie_word_embeddings\":") + (c.tied_embeddings ? "true" : "false");
  return json + more + "}";
}

// The tensors number `from`.. below `to` of `config` as a safetensors file with transformers'
// names.
inline std::string TinySafetensors(const ModelConfig& config, size_t from, size_t to,
                                   kernels::BlockFormat format = kernels::BlockFormat::kBF16,
                                   const std::string& prefix = "model.") {
  const std::vector<TensorSpec> specs = TensorsOf(config);
  SafetensorsBuilder builder;
  for (size_t t = from; t < std::min(to, specs.size()); ++t) {
    const std::string name = HfTensorName(specs[t].name);
    builder.Add(name == "lm_head.weight" ? name : prefix + name, kernels::BlockFormatName(format),
                specs[t].shape, TinyBytes(t, specs[t], format));
  }
  return builder.Build();
}

inline std::vector<float> ValuesOf(const Checkpoint& checkpoint, const std::string& name) {
  const TensorView view = *checkpoint.Find(name);
  uint64_t n = 1;
  for (uint64_t size : view.shape) n *= size;
  std::vector<float> values(n);
  kernels::Dequantize(view.format, view.bytes.data(), n, values.data());
  return values;
}

// config.json and model.safetensors of `config`.
inline void WriteTinyHf(const ModelConfig& config, const cairn::testing::TempDir& directory) {
  directory.Write("config.json", TinyHfConfig(config));
  directory.Write("model.safetensors", TinySafetensors(config, 0, SIZE_MAX));
}

}  // namespace cairn::engine::testing

#endif  // CAIRN_TESTS_ENGINE_MODEL_TINY_MODELS_H_
