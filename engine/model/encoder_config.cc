#include "engine/model/encoder_config.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/model/json_document.h"
#include "engine/model/json_reader.h"

namespace cairn::engine {
namespace {

using nlohmann::json;

constexpr uint32_t kMaxEncoderLayers = 1000;
constexpr uint32_t kMaxWidth = 1 << 16;
constexpr uint32_t kMaxEncoderHeadDim = 1024;
constexpr uint32_t kMaxVocabulary = 1 << 24;
constexpr uint32_t kMaxPositions = 1 << 20;
constexpr uint32_t kMaxLabels = 1000;

std::optional<EncoderFamily> FamilyOf(std::string_view model_type) {
  if (model_type == "bert") return EncoderFamily::kBert;
  if (model_type == "roberta" || model_type == "xlm-roberta") return EncoderFamily::kRoberta;
  return std::nullopt;
}

uint32_t Count(const JsonObject& root, const char* key, std::optional<uint32_t> otherwise,
               uint32_t most) {
  const std::optional<uint32_t> given = root.Unsigned(key);
  if (!given.has_value() && !otherwise.has_value()) {
    root.Fail(absl::StrCat(key, " is missing"));
    return 1;
  }
  const uint32_t value = given.value_or(otherwise.value_or(0));
  if (value < 1 || value > most) {
    root.Fail(absl::StrCat(key, " is ", value, ", not 1 to ", most));
    return 1;
  }
  return value;
}

EncoderActivation ReadActivation(const JsonObject& root) {
  const std::string name = root.String("hidden_act").value_or("gelu");
  if (name == "gelu" || name == "gelu_python") return EncoderActivation::kGelu;
  if (name == "gelu_new" || name == "gelu_fast" || name == "gelu_pytorch_tanh") {
    return EncoderActivation::kGeluTanh;
  }
  if (name != "relu") {
    root.Fail(absl::StrCat("hidden_act \"", Printable(name),
                           "\" is not supported (gelu, gelu_new and relu are)"));
  }
  return EncoderActivation::kRelu;
}

// The outputs of a classification head, where the first of `architectures` has one.
uint32_t ReadLabels(const JsonObject& root) {
  const json* list = root.Find("architectures");
  if (list == nullptr || list->empty()) return 0;
  if (!list->is_array() || !list->front().is_string()) {
    root.Fail("architectures is not a list of names");
    return 0;
  }
  const std::string name = list->front().get<std::string>();
  if (!absl::EndsWith(name, "ForSequenceClassification")) return 0;
  const json* labels = root.Find("id2label");
  if (labels != nullptr && !labels->is_object()) root.Fail("id2label is not a JSON object");
  // transformers' own default is two labels.
  const size_t count = labels != nullptr && labels->is_object()
                           ? labels->size()
                           : root.Unsigned("num_labels").value_or(2);
  if (count < 1 || count > kMaxLabels) {
    root.Fail(absl::StrCat(count, " labels, not 1 to ", kMaxLabels));
    return 0;
  }
  return static_cast<uint32_t>(count);
}

void CheckVariants(const JsonObject& root) {
  const std::string positions = root.String("position_embedding_type").value_or("absolute");
  if (positions != "absolute") {
    root.Fail(absl::StrCat("position_embedding_type \"", Printable(positions),
                           "\" is not supported (absolute is)"));
  }
  if (root.Bool("is_decoder").value_or(false)) root.Fail("is_decoder is set: this is no encoder");
}

}  // namespace

bool IsEncoderConfig(std::string_view config_json) {
  const auto tree = ParseJsonObject(config_json);
  if (!tree.ok()) return false;
  absl::Status status;
  return FamilyOf(JsonObject(*tree, &status).String("model_type").value_or("")).has_value();
}

absl::StatusOr<EncoderConfig> ParseEncoderConfig(std::string_view config_json) {
  const auto tree = ParseJsonObject(config_json);
  if (!tree.ok()) return tree.status();
  absl::Status status;
  const JsonObject root(*tree, &status);
  const std::string type = root.String("model_type").value_or("");
  const std::optional<EncoderFamily> family = FamilyOf(type);
  if (!family.has_value()) {
    root.Fail(absl::StrCat("model_type \"", Printable(type),
                           "\" is no supported encoder (bert, roberta and xlm-roberta are)"));
    return status;
  }
  EncoderConfig config;
  config.family = *family;
  config.layers = Count(root, "num_hidden_layers", std::nullopt, kMaxEncoderLayers);
  config.hidden_size = Count(root, "hidden_size", std::nullopt, kMaxWidth);
  config.intermediate_size = Count(root, "intermediate_size", std::nullopt, 4 * kMaxWidth);
  config.heads = Count(root, "num_attention_heads", std::nullopt, kMaxWidth);
  config.vocabulary_size = Count(root, "vocab_size", std::nullopt, kMaxVocabulary);
  config.positions = Count(root, "max_position_embeddings", 512, kMaxPositions);
  config.types = Count(root, "type_vocab_size", 2, kMaxLabels);
  config.norm_epsilon = root.Real("layer_norm_eps").value_or(1e-12f);
  if (!(config.norm_epsilon >= 0 && config.norm_epsilon < 1)) {
    root.Fail("layer_norm_eps is not in [0, 1)");
  }
  if (config.family == EncoderFamily::kRoberta) {
    const uint32_t padding = root.Unsigned("pad_token_id").value_or(1);
    // Positions are counted on from the padding token's id.
    config.first_position = padding < config.positions ? padding + 1 : config.positions;
    if (config.max_tokens() < 3) root.Fail("pad_token_id leaves no positions");
  }
  if (config.hidden_size % config.heads != 0 || config.head_dim() > kMaxEncoderHeadDim) {
    root.Fail(absl::StrCat("hidden_size ", config.hidden_size,
                           " does not divide into num_attention_heads ", config.heads,
                           ", each of at most ", kMaxEncoderHeadDim, " dimensions"));
  }
  if (config.hidden_size % 2 != 0 || config.intermediate_size % 2 != 0) {
    root.Fail("hidden_size and intermediate_size must be even");
  }
  if (config.positions < 3) root.Fail("max_position_embeddings is below 3");
  config.activation = ReadActivation(root);
  config.labels = ReadLabels(root);
  CheckVariants(root);
  if (!status.ok()) return status;
  return config;
}

std::vector<EncoderTensor> TensorsOf(const EncoderConfig& config) {
  const uint64_t hidden = config.hidden_size, wide = config.intermediate_size;
  std::vector<EncoderTensor> tensors = {
      {"embeddings.word_embeddings.weight", {config.vocabulary_size, hidden}},
      {"embeddings.position_embeddings.weight", {config.positions, hidden}},
      {"embeddings.token_type_embeddings.weight", {config.types, hidden}},
  };
  const auto norm = [&](const std::string& name) {
    tensors.push_back({name + ".weight", {hidden}});
    tensors.push_back({name + ".bias", {hidden}});
  };
  const auto dense = [&](const std::string& name, uint64_t outputs, uint64_t inputs) {
    tensors.push_back({name + ".weight", {outputs, inputs}});
    tensors.push_back({name + ".bias", {outputs}});
  };
  norm("embeddings.LayerNorm");
  for (uint32_t l = 0; l < config.layers; ++l) {
    const std::string layer = absl::StrCat("encoder.layer.", l, ".");
    for (const char* part : {"query", "key", "value"}) {
      dense(absl::StrCat(layer, "attention.self.", part), hidden, hidden);
    }
    dense(layer + "attention.output.dense", hidden, hidden);
    norm(layer + "attention.output.LayerNorm");
    dense(layer + "intermediate.dense", wide, hidden);
    dense(layer + "output.dense", hidden, wide);
    norm(layer + "output.LayerNorm");
  }
  if (config.labels > 0) {
    const bool bert = config.family == EncoderFamily::kBert;
    dense(bert ? "pooler.dense" : "classifier.dense", hidden, hidden);
    dense(bert ? "classifier" : "classifier.out_proj", config.labels, hidden);
  }
  return tensors;
}

}  // namespace cairn::engine
