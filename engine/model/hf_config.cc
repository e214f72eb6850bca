#include "engine/model/hf_config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/model/json_document.h"
#include "engine/model/json_reader.h"
#include "engine/model/model_layout.h"

namespace cairn::engine {
namespace {

using nlohmann::json;

enum class Family : uint8_t { kLlama, kMistral, kQwen2, kQwen3 };

struct FamilyEntry {
  Family family;
  const char* model_type;
  const char* causal;  // With an output layer,
  const char* base;    // and without.
  Architecture architecture;
};
constexpr FamilyEntry kFamilies[] = {
    {Family::kLlama, "llama", "LlamaForCausalLM", "LlamaModel", Architecture::kLlama},
    {Family::kMistral, "mistral", "MistralForCausalLM", "MistralModel", Architecture::kLlama},
    {Family::kQwen2, "qwen2", "Qwen2ForCausalLM", "Qwen2Model", Architecture::kQwen2},
    {Family::kQwen3, "qwen3", "Qwen3ForCausalLM", "Qwen3Model", Architecture::kQwen3},
};

// What `architectures`, or else model_type, names; sets tied_embeddings for a model without output
// layer.
const FamilyEntry* ReadFamily(const JsonObject& root, ModelConfig* config) {
  std::string name = root.String("model_type").value_or("");
  if (const json* list = root.Find("architectures"); list != nullptr && !list->empty()) {
    if (!list->is_array() || !list->front().is_string()) {
      root.Fail("architectures is not a list of names");
      return nullptr;
    }
    name = list->front().get<std::string>();
  }
  for (const FamilyEntry& entry : kFamilies) {
    if (name == entry.base) config->tied_embeddings = true;
    if (name == entry.model_type || name == entry.causal || name == entry.base) return &entry;
  }
  root.Fail(absl::StrCat("architecture \"", Printable(name),
                         "\" is not supported (LlamaForCausalLM, MistralForCausalLM, "
                         "Qwen2ForCausalLM and Qwen3ForCausalLM are)"));
  return nullptr;
}

// YaRN's attention factor as DeepSeek's variant of its settings means it.
float YarnScale(float factor, float mscale) {
  return factor <= 1 ? 1 : 0.1f * mscale * std::log(factor) + 1;
}

void ReadYarn(const JsonObject& rope, RopeScaling* scaling) {
  scaling->kind = RopeScaling::Kind::kYarn;
  scaling->beta_fast = rope.Real("beta_fast").value_or(32);
  scaling->beta_slow = rope.Real("beta_slow").value_or(1);
  const std::optional<float> given = rope.Real("attention_factor");
  const float mscale = rope.Real("mscale").value_or(0);
  const float all_dims = rope.Real("mscale_all_dim").value_or(0);
  if (given.has_value()) {
    scaling->attention_factor = *given;
  } else if (mscale != 0 && all_dims != 0) {
    scaling->attention_factor =
        YarnScale(scaling->factor, mscale) / YarnScale(scaling->factor, all_dims);
  }
  if (!rope.Bool("truncate").value_or(true)) rope.Fail("YaRN without truncation is not supported");
}

void ReadRope(const JsonObject& rope, ModelConfig* config) {
  config->rope_theta = rope.Real("rope_theta").value_or(config->rope_theta);
  const std::optional<float> share = rope.Real("partial_rotary_factor");
  if (share.has_value()) {
    if (*share <= 0 || *share > 1) return rope.Fail("partial_rotary_factor is not in (0, 1]");
    // In double: a head_dim near the end of its range would leave it as a float.
    config->rope_dims = static_cast<uint32_t>(config->head_dim * double{*share});
  }
  RopeScaling& scaling = config->rope_scaling;
  std::optional<std::string> type = rope.String("rope_type");
  if (!type.has_value()) type = rope.String("type");
  if (!type.has_value() || *type == "default") return;

  const std::optional<uint32_t> original = rope.Unsigned("original_max_position_embeddings");
  scaling.original_context = original.value_or(config->context_length);
  std::optional<float> factor = rope.Real("factor");
  if (!factor.has_value() && *type == "yarn" && scaling.original_context > 0) {
    factor =
        static_cast<float>(config->context_length) / static_cast<float>(scaling.original_context);
  }
  if (!factor.has_value()) return rope.Fail("RoPE's scaling without a factor");
  scaling.factor = *factor;
  if (*type == "linear") {
    scaling.kind = RopeScaling::Kind::kLinear;
  } else if (*type == "dynamic") {
    scaling.kind = RopeScaling::Kind::kDynamicNtk;
    // The one that counts, whatever else is given.
    scaling.original_context = config->context_length;
  } else if (*type == "yarn") {
    ReadYarn(rope, &scaling);
  } else if (*type == "llama3") {
    scaling.kind = RopeScaling::Kind::kLlama3;
    scaling.low_freq_factor = rope.Real("low_freq_factor").value_or(1);
    scaling.high_freq_factor = rope.Real("high_freq_factor").value_or(4);
  } else {
    rope.Fail(absl::StrCat("RoPE scaling \"", Printable(*type), "\" is not supported"));
  }
}

void ReadAllRope(const JsonObject& root, absl::Status* status, ModelConfig* config) {
  config->rope_theta = root.Real("rope_theta").value_or(10000);
  config->rope_dims = config->head_dim;
  // transformers 5 has one object for all, transformers 4 one for the scaling.
  const json* rope = root.Find("rope_parameters");
  if (rope == nullptr) rope = root.Find("rope_scaling");
  const json none = json::object();
  if (rope == nullptr) rope = &none;
  if (!rope->is_object()) return root.Fail("RoPE's settings are not a JSON object");
  for (const auto& [key, value] : rope->items()) {
    if (value.is_object()) return root.Fail("RoPE's settings by layer are not supported");
  }
  if (root.Find("partial_rotary_factor") != nullptr) {
    json with_share = *rope;
    with_share.emplace("partial_rotary_factor", *root.Find("partial_rotary_factor"));
    return ReadRope(JsonObject(with_share, status), config);
  }
  ReadRope(JsonObject(*rope, status), config);
}

// Which layers have a window; none: all.
std::optional<std::vector<bool>> SlidingLayers(const JsonObject& root, uint32_t layers) {
  const json* types = root.Find("layer_types");
  if (types == nullptr) return std::nullopt;
  std::vector<bool> slides;
  if (types->is_array()) {
    for (const json& type : *types) {
      if (type != "sliding_attention" && type != "full_attention") break;
      slides.push_back(type == "sliding_attention");
    }
  }
  if (slides.size() != layers || types->size() != layers) {
    root.Fail("layer_types is not a list of sliding_attention and full_attention for each layer");
    return std::nullopt;
  }
  return slides;
}

void ReadWindow(const JsonObject& root, Family family, ModelConfig* config, absl::Status* status) {
  if (family == Family::kLlama) return;
  const bool qwen = family != Family::kMistral;
  if (qwen && !root.Bool("use_sliding_window").value_or(false)) return;
  // Absent is not null here: the families have a default window.
  config->sliding_window =
      root.Unsigned("sliding_window").value_or(root.IsNull("sliding_window") ? 0 : 4096);
  if (!qwen || config->sliding_window == 0) return;
  const uint32_t full = root.Unsigned("max_window_layers").value_or(28);
  config->sliding_first_layer = std::min(full, config->layers);
  if (const auto slides = SlidingLayers(root, config->layers); slides.has_value()) {
    const absl::Status fits = SetSlidingLayers(*slides, config);
    if (!fits.ok()) root.Fail(fits.message());
  }
  if (status->ok() && config->sliding_first_layer == config->layers) config->sliding_window = 0;
}

void RefuseWhatIsNotComputed(const JsonObject& root, Family family) {
  if (root.Find("quantization_config") != nullptr) {
    root.Fail("weights quantised by other tools are not supported; GGUF files are");
  }
  const std::string activation = root.String("hidden_act").value_or("silu");
  if (activation != "silu" && activation != "swish") {
    root.Fail(absl::StrCat("activation \"", Printable(activation), "\" is not supported"));
  }
  if (root.Bool("mlp_bias").value_or(false) ||
      (family != Family::kQwen2 && root.Bool("attention_bias").value_or(false))) {
    root.Fail("biases are supported for Qwen2's queries, keys and values only");
  }
}

}  // namespace

bool IsLanguageModelConfig(std::string_view config_json) {
  const auto tree = ParseJsonObject(config_json);
  if (!tree.ok()) return false;
  absl::Status status;
  const std::string type = JsonObject(*tree, &status).String("model_type").value_or("");
  return std::any_of(std::begin(kFamilies), std::end(kFamilies),
                     [&](const FamilyEntry& entry) { return type == entry.model_type; });
}

absl::StatusOr<ModelConfig> ParseHfConfig(std::string_view config_json) {
  const auto tree = ParseJsonObject(config_json);
  if (!tree.ok()) return tree.status();
  absl::Status status;
  const JsonObject root(*tree, &status);
  ModelConfig config;
  const FamilyEntry* family = ReadFamily(root, &config);
  if (family == nullptr) return status;
  const auto required = [&](const char* key) {
    const std::optional<uint32_t> value = root.Unsigned(key);
    if (!value.has_value()) root.Fail(absl::StrCat(key, " is missing"));
    return value.value_or(0);
  };
  config.architecture = family->architecture;
  config.name = root.String("_name_or_path").value_or("");
  config.layers = required("num_hidden_layers");
  config.hidden_size = required("hidden_size");
  config.intermediate_size = required("intermediate_size");
  config.heads = required("num_attention_heads");
  config.vocabulary_size = required("vocab_size");
  const bool qwen = family->architecture != Architecture::kLlama;
  config.context_length = root.Unsigned("max_position_embeddings").value_or(qwen ? 32768 : 2048);
  config.kv_heads = root.Unsigned("num_key_value_heads").value_or(config.heads);
  const uint32_t even_share = config.heads == 0 ? 0 : config.hidden_size / config.heads;
  const bool fixed = family->family == Family::kQwen3 && !root.IsNull("head_dim");
  config.head_dim = root.Unsigned("head_dim").value_or(fixed ? 128 : even_share);
  config.norm_epsilon = root.Real("rms_norm_eps").value_or(1e-6f);
  config.rope_pairing = RopePairing::kHalves;
  config.tied_embeddings |= root.Bool("tie_word_embeddings").value_or(false);
  ReadAllRope(root, &status, &config);
  ReadWindow(root, family->family, &config, &status);
  RefuseWhatIsNotComputed(root, family->family);
  if (!status.ok()) return status;
  status = CheckConfig(config);
  if (!status.ok()) return status;
  return config;
}

}  // namespace cairn::engine
