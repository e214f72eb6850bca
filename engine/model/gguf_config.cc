#include "engine/model/gguf_config.h"

#include <cmath>
#include <limits>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/model/json_reader.h"
#include "engine/model/model_layout.h"

namespace cairn::engine {
namespace {

absl::Status ConfigFault(absl::string_view what) { return absl::InvalidArgumentError(what); }

// Reads the settings of one architecture; the first error stays.
class Settings {
 public:
  Settings(const Gguf& gguf, std::string prefix) : gguf_(gguf), prefix_(std::move(prefix)) {}

  const absl::Status& status() const { return status_; }

  bool Has(absl::string_view key) const { return gguf_.Find(Full(key)) != nullptr; }

  uint32_t Required(absl::string_view key) {
    if (!Has(key)) Fail(ConfigFault(absl::StrCat("metadata \"", Full(key), "\" is missing")));
    return Unsigned(key, 0);
  }
  uint32_t Unsigned(absl::string_view key, uint32_t otherwise) {
    return Take(gguf_.Unsigned(Full(key)), otherwise);
  }
  float Real(absl::string_view key, float otherwise) {
    return Take(gguf_.Real(Full(key)), otherwise);
  }
  std::string String(absl::string_view key) {
    return std::string(Take(gguf_.String(Full(key)), std::string_view()));
  }
  const GgufValue* Find(absl::string_view key) const { return gguf_.Find(Full(key)); }

  void Fail(absl::Status status) {
    if (status_.ok()) status_ = std::move(status);
  }

 private:
  std::string Full(absl::string_view key) const { return absl::StrCat(prefix_, ".", key); }

  template <class T>
  T Take(absl::StatusOr<std::optional<T>> value, T otherwise) {
    if (!value.ok()) {
      Fail(value.status());
      return otherwise;
    }
    return value->value_or(otherwise);
  }

  const Gguf& gguf_;
  std::string prefix_;
  absl::Status status_;
};

void ReadScaling(Settings* s, ModelConfig* config) {
  RopeScaling& scaling = config->rope_scaling;
  // Files from before the type had a key of its own scale linearly.
  const float legacy = s->Real("rope.scale_linear", 1);
  std::string type = s->String("rope.scaling.type");
  if (type.empty()) type = legacy != 1 ? "linear" : "none";
  if (type == "none") return;
  scaling.factor = s->Real("rope.scaling.factor", legacy);
  if (type == "linear") {
    scaling.kind = RopeScaling::Kind::kLinear;
    return;
  }
  if (type != "yarn") {
    s->Fail(ConfigFault(absl::StrCat("RoPE scaling \"", Printable(type), "\" is not supported")));
    return;
  }
  scaling.kind = RopeScaling::Kind::kYarn;
  scaling.original_context =
      s->Unsigned("rope.scaling.original_context_length", config->context_length);
  scaling.beta_fast = s->Real("rope.scaling.yarn_beta_fast", 32);
  scaling.beta_slow = s->Real("rope.scaling.yarn_beta_slow", 1);
  // GGUF's factor multiplies the default, ours takes its place.
  const float multiplier =
      s->Real("rope.scaling.yarn_attn_factor", s->Real("rope.scaling.attn_factor", 1));
  if (multiplier != 1) {
    scaling.attention_factor = multiplier * (0.1f * std::log(scaling.factor) + 1);
  }
}

void ReadWindow(Settings* s, ModelConfig* config) {
  config->sliding_window = s->Unsigned("attention.sliding_window", 0);
  const GgufValue* pattern = s->Find("attention.sliding_window_pattern");
  if (pattern == nullptr) return;
  if (const auto slides = pattern->AsBools(); slides.has_value()) {
    const absl::Status status = SetSlidingLayers(*slides, config);
    if (!status.ok()) s->Fail(status);
    return;
  }
  config->sliding_pattern = s->Unsigned("attention.sliding_window_pattern", 0);
}

void ReadVocabularySize(const Gguf& gguf, Settings* s, ModelConfig* config) {
  const GgufTensor* embeddings = gguf.FindTensor("token_embd.weight");
  if (embeddings == nullptr) return s->Fail(ConfigFault("no tensor \"token_embd.weight\""));
  const uint64_t rows = embeddings->view.shape.front();
  if (rows > std::numeric_limits<uint32_t>::max()) {
    return s->Fail(ConfigFault(absl::StrCat("a vocabulary of ", rows, " tokens")));
  }
  config->vocabulary_size = static_cast<uint32_t>(rows);
  const uint32_t said = s->Unsigned("vocab_size", config->vocabulary_size);
  if (said != config->vocabulary_size) {
    s->Fail(ConfigFault(
        absl::StrCat("vocab_size is ", said, ", but token_embd.weight has ", rows, " rows")));
  }
}

void ReadDivisors(const Gguf& gguf, Settings* s, ModelConfig* config) {
  const GgufTensor* tensor = gguf.FindTensor("rope_freqs.weight");
  if (tensor == nullptr) return;
  const TensorView& view = tensor->view;
  if (view.shape.size() != 1 || view.shape[0] != config->rope_dims / 2 ||
      view.format != kernels::BlockFormat::kF32) {
    return s->Fail(
        ConfigFault(absl::StrCat("tensor \"rope_freqs.weight\" is not one F32 for each of ",
                                 config->rope_dims / 2, " pairs of dimensions")));
  }
  config->rope_divisors.resize(view.shape[0]);
  kernels::Dequantize(view.format, view.bytes.data(), view.shape[0], config->rope_divisors.data());
}

absl::StatusOr<Architecture> ReadArchitecture(const Gguf& gguf) {
  auto name = gguf.String("general.architecture");
  if (!name.ok()) return name.status();
  if (!name->has_value()) return ConfigFault("metadata \"general.architecture\" is missing");
  const std::optional<Architecture> known = ParseArchitecture(**name);
  if (known.has_value()) return *known;
  return ConfigFault(absl::StrCat("architecture \"", Printable(**name),
                                  "\" is not supported (llama, qwen2 and qwen3 are)"));
}

}  // namespace

absl::StatusOr<ModelConfig> ReadGgufConfig(const Gguf& gguf) {
  auto architecture = ReadArchitecture(gguf);
  if (!architecture.ok()) return architecture.status();
  ModelConfig config;
  config.architecture = *architecture;
  config.rope_pairing =
      *architecture == Architecture::kLlama ? RopePairing::kInterleaved : RopePairing::kHalves;
  auto name = gguf.String("general.name");
  if (!name.ok()) return name.status();
  config.name = std::string(name->value_or(""));

  Settings s(gguf, std::string(ArchitectureName(*architecture)));
  config.layers = s.Required("block_count");
  config.hidden_size = s.Required("embedding_length");
  config.intermediate_size = s.Required("feed_forward_length");
  config.context_length = s.Required("context_length");
  config.heads = s.Required("attention.head_count");
  config.kv_heads = s.Unsigned("attention.head_count_kv", config.heads);
  const uint32_t even_share = config.heads == 0 ? 0 : config.hidden_size / config.heads;
  config.head_dim = s.Unsigned("attention.key_length", even_share);
  if (s.Unsigned("attention.value_length", config.head_dim) != config.head_dim) {
    return ConfigFault("keys and values of different sizes are not supported");
  }
  config.norm_epsilon = s.Real("attention.layer_norm_rms_epsilon", 1e-5f);
  config.rope_theta = s.Real("rope.freq_base", 10000);
  config.rope_dims = s.Unsigned("rope.dimension_count", config.head_dim);
  if (s.Unsigned("expert_count", 0) > 0) {
    return ConfigFault("mixtures of experts are not supported");
  }
  ReadScaling(&s, &config);
  ReadWindow(&s, &config);
  ReadVocabularySize(gguf, &s, &config);
  ReadDivisors(gguf, &s, &config);
  config.tied_embeddings = gguf.FindTensor("output.weight") == nullptr;
  if (!s.status().ok()) return s.status();
  const absl::Status checked = CheckConfig(config);
  if (!checked.ok()) return checked;
  return config;
}

}  // namespace cairn::engine
