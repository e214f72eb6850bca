#include "engine/model/model_layout.h"

#include <cmath>
#include <numbers>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "engine/model/json_reader.h"

namespace cairn::engine {
namespace {

constexpr std::pair<Architecture, std::string_view> kArchitectures[] = {
    {Architecture::kLlama, "llama"},
    {Architecture::kQwen2, "qwen2"},
    {Architecture::kQwen3, "qwen3"},
};

absl::Status LayoutFault(absl::string_view what) { return absl::InvalidArgumentError(what); }

// Far above any model's; so no product of a few overflows.
struct Limit {
  const char* name;
  uint32_t ModelConfig::*setting;
  uint32_t most;
};
constexpr Limit kLimits[] = {
    {"layers", &ModelConfig::layers, 4096},
    {"hidden size", &ModelConfig::hidden_size, 1 << 20},
    {"intermediate size", &ModelConfig::intermediate_size, 1 << 22},
    {"heads", &ModelConfig::heads, 1 << 16},
    {"key/value heads", &ModelConfig::kv_heads, 1 << 16},
    {"head dimensions", &ModelConfig::head_dim, 1 << 14},
    {"vocabulary size", &ModelConfig::vocabulary_size, 1 << 26},
    {"context length", &ModelConfig::context_length, 1 << 30},
    {"RoPE dimensions", &ModelConfig::rope_dims, 1 << 14},
};

bool Positive(float x) { return std::isfinite(x) && x > 0; }

absl::Status CheckRope(const ModelConfig& c) {
  if (!Positive(c.rope_theta)) return LayoutFault("RoPE's base is not a positive number");
  const RopeScaling& s = c.rope_scaling;
  if (s.kind != RopeScaling::Kind::kNone) {
    if (!std::isfinite(s.factor) || s.factor < 1) return LayoutFault("RoPE's factor is below 1");
    if (s.kind != RopeScaling::Kind::kLinear && s.original_context == 0) {
      return LayoutFault("RoPE's scaling without the original context length");
    }
  }
  if (s.original_context > 1u << 30) return LayoutFault("RoPE's original context is too long");
  if (!std::isfinite(s.attention_factor) || s.attention_factor < 0) {
    return LayoutFault("RoPE's attention factor is negative");
  }
  if (!Positive(s.beta_fast) || !Positive(s.beta_slow) || s.beta_fast < s.beta_slow) {
    return LayoutFault("RoPE's beta_fast and beta_slow are not positive and in order");
  }
  if (!Positive(s.low_freq_factor) || !Positive(s.high_freq_factor) ||
      (s.kind == RopeScaling::Kind::kLlama3 && s.high_freq_factor <= s.low_freq_factor)) {
    return LayoutFault("RoPE's low_freq_factor and high_freq_factor are not positive and in order");
  }
  if (!c.rope_divisors.empty() && c.rope_divisors.size() != c.rope_dims / 2) {
    return LayoutFault(
        absl::StrCat(c.rope_divisors.size(), " RoPE divisors for ", c.rope_dims, " dimensions"));
  }
  for (float divisor : c.rope_divisors) {
    if (!Positive(divisor)) return LayoutFault("a RoPE divisor is not a positive number");
  }
  return absl::OkStatus();
}

std::string ShapeText(const std::vector<uint64_t>& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ","), "]");
}

}  // namespace

absl::Status CheckConfig(const ModelConfig& c) {
  for (const Limit& limit : kLimits) {
    const uint32_t value = c.*limit.setting;
    if (value == 0 || value > limit.most) {
      return LayoutFault(absl::StrCat(limit.name, ": ", value, " is not in 1..", limit.most));
    }
  }
  if (c.heads % c.kv_heads != 0) {
    return LayoutFault(
        absl::StrCat(c.heads, " heads are no multiple of ", c.kv_heads, " key/value heads"));
  }
  if (c.head_dim % 2 != 0)
    return LayoutFault(absl::StrCat("head dimensions: ", c.head_dim, " is odd"));
  if (c.rope_dims % 2 != 0 || c.rope_dims > c.head_dim) {
    return LayoutFault(absl::StrCat("RoPE dimensions: ", c.rope_dims, " is odd or above the ",
                                    c.head_dim, " of a head"));
  }
  if (!Positive(c.norm_epsilon) || c.norm_epsilon > 1) {
    return LayoutFault("the norms' epsilon is not in (0, 1]");
  }
  return CheckRope(c);
}

std::vector<TensorSpec> TensorsOf(const ModelConfig& c) {
  const uint64_t hidden = c.hidden_size;
  const uint64_t inner = c.intermediate_size;
  const uint64_t q = uint64_t{c.heads} * c.head_dim;
  const uint64_t kv = uint64_t{c.kv_heads} * c.head_dim;
  std::vector<TensorSpec> tensors;
  tensors.push_back({"token_embd.weight", {c.vocabulary_size, hidden}});
  for (uint32_t layer = 0; layer < c.layers; ++layer) {
    const auto add = [&](const char* name, std::vector<uint64_t> shape) {
      tensors.push_back({absl::StrCat("blk.", layer, ".", name), std::move(shape)});
    };
    add("attn_norm.weight", {hidden});
    add("attn_q.weight", {q, hidden});
    add("attn_k.weight", {kv, hidden});
    add("attn_v.weight", {kv, hidden});
    if (c.architecture == Architecture::kQwen2) {
      add("attn_q.bias", {q});
      add("attn_k.bias", {kv});
      add("attn_v.bias", {kv});
    }
    if (c.architecture == Architecture::kQwen3) {
      add("attn_q_norm.weight", {c.head_dim});
      add("attn_k_norm.weight", {c.head_dim});
    }
    add("attn_output.weight", {hidden, q});
    add("ffn_norm.weight", {hidden});
    add("ffn_gate.weight", {inner, hidden});
    add("ffn_up.weight", {inner, hidden});
    add("ffn_down.weight", {hidden, inner});
  }
  tensors.push_back({"output_norm.weight", {hidden}});
  if (!c.tied_embeddings) tensors.push_back({"output.weight", {c.vocabulary_size, hidden}});
  return tensors;
}

absl::Status CheckTensors(const Checkpoint& checkpoint) {
  for (const TensorSpec& spec : TensorsOf(checkpoint.config())) {
    const auto found = checkpoint.Find(spec.name);
    if (!found.ok()) return LayoutFault(found.status().message());
    if (found->shape != spec.shape) {
      return LayoutFault(absl::StrCat("tensor \"", spec.name, "\" has shape ",
                                      ShapeText(found->shape), ", the settings say ",
                                      ShapeText(spec.shape)));
    }
    if (!spec.is_matrix() && kernels::ShapeOf(found->format).values > 1) {
      return LayoutFault(absl::StrCat("tensor \"", spec.name, "\": a vector in ",
                                      std::string(kernels::BlockFormatName(found->format)),
                                      " blocks"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckTokenizer(const chunking::Tokenizer& tokenizer, const ModelConfig& config) {
  if (tokenizer.vocabulary_size() <= config.vocabulary_size) return absl::OkStatus();
  return LayoutFault(absl::StrCat("the tokenizer has ", tokenizer.vocabulary_size(),
                                  " tokens, the model knows ", config.vocabulary_size));
}

std::string_view ArchitectureName(Architecture architecture) {
  return kArchitectures[static_cast<size_t>(architecture)].second;
}

std::optional<Architecture> ParseArchitecture(std::string_view name) {
  for (const auto& [architecture, text] : kArchitectures) {
    if (text == name) return architecture;
  }
  return std::nullopt;
}

absl::Status SetSlidingLayers(const std::vector<bool>& slides, ModelConfig* config) {
  if (slides.size() != config->layers) {
    return LayoutFault(
        absl::StrCat(slides.size(), " layers' kinds of attention for ", config->layers, " layers"));
  }
  const uint32_t layers = config->layers;
  uint32_t first = 0;
  while (first < layers && !slides[first]) ++first;
  // Either the full layers come first, or each stands at the end of a period.
  for (uint32_t pattern = 0; pattern <= layers; ++pattern) {
    for (uint32_t from : {uint32_t{0}, first}) {
      config->sliding_first_layer = from;
      config->sliding_pattern = pattern;
      bool fits = true;
      for (uint32_t l = 0; l < layers; ++l) {
        const bool full = l < from || (pattern > 0 && l % pattern == pattern - 1);
        fits &= full != slides[l];
      }
      if (fits) return absl::OkStatus();
    }
  }
  return LayoutFault("sliding windows in an irregular pattern of layers");
}

// As Hugging Face's implementation of Llama 3.1 computes them: short waves stay, waves longer than
// original_context / low_freq_factor are slowed down by `factor`, those between by a mixture.
std::vector<float> RopeDivisors(const ModelConfig& config) {
  const RopeScaling& s = config.rope_scaling;
  if (s.kind != RopeScaling::Kind::kLlama3) return config.rope_divisors;
  std::vector<float> divisors;
  for (uint32_t i = 0; i < config.rope_dims; i += 2) {
    const double frequency = std::pow(static_cast<double>(config.rope_theta),
                                      -static_cast<double>(i) / config.rope_dims);
    const double turns = s.original_context * frequency / (2 * std::numbers::pi);
    double divisor = 1;
    if (turns < s.low_freq_factor) {
      divisor = s.factor;
    } else if (turns <= s.high_freq_factor) {
      const double share =
          (turns - s.low_freq_factor) / (double{s.high_freq_factor} - s.low_freq_factor);
      divisor = 1 / ((1 - share) / s.factor + share);
    }
    divisors.push_back(static_cast<float>(divisor));
  }
  return divisors;
}

kernels::BlockFormat FormatFor(const TensorSpec& spec, kernels::BlockFormat wanted) {
  using kernels::BlockFormat;
  if (!spec.is_matrix()) return BlockFormat::kF32;
  for (BlockFormat format : {wanted, BlockFormat::kQ8_0}) {
    if (spec.shape.back() % kernels::ShapeOf(format).values == 0) return format;
  }
  return BlockFormat::kF16;
}

}  // namespace cairn::engine
