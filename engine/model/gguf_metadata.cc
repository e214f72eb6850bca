#include "engine/model/gguf_metadata.h"

#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/model/gguf_types.h"
#include "engine/model/model_layout.h"

namespace cairn::engine {
namespace {

using chunking::VocabularyDescription;
using chunking::VocabularyKind;

// Of all quantised files since the blocks have the layouts they have.
constexpr uint32_t kQuantizationVersion = 2;

const char* KindName(VocabularyKind kind) {
  switch (kind) {
    case VocabularyKind::kSentencePieceBpe:
      return "llama";
    case VocabularyKind::kByteLevelBpe:
      return "gpt2";
    case VocabularyKind::kWordPiece:
      return "bert";
    case VocabularyKind::kSentencePieceUnigram:
      return "t5";
  }
  return "";
}

absl::Status AddScaling(const RopeScaling& scaling, const std::string& prefix, GgufWriter* writer) {
  switch (scaling.kind) {
    case RopeScaling::Kind::kNone:
    case RopeScaling::Kind::kLlama3:
      return absl::OkStatus();
    case RopeScaling::Kind::kDynamicNtk:
      return absl::InvalidArgumentError("GGUF files cannot say dynamic NTK scaling of RoPE");
    case RopeScaling::Kind::kLinear:
      writer->AddString(prefix + "type", "linear");
      writer->AddReal(prefix + "factor", scaling.factor);
      return absl::OkStatus();
    case RopeScaling::Kind::kYarn:
      break;
  }
  writer->AddString(prefix + "type", "yarn");
  writer->AddReal(prefix + "factor", scaling.factor);
  writer->AddUnsigned(prefix + "original_context_length", scaling.original_context);
  writer->AddReal(prefix + "yarn_beta_fast", scaling.beta_fast);
  writer->AddReal(prefix + "yarn_beta_slow", scaling.beta_slow);
  if (scaling.attention_factor != 0) {
    writer->AddReal(prefix + "attn_factor",
                    scaling.attention_factor / (0.1f * std::log(scaling.factor) + 1));
  }
  return absl::OkStatus();
}

void AddWindow(const ModelConfig& config, const std::string& prefix, GgufWriter* writer) {
  if (config.sliding_window == 0) return;
  writer->AddUnsigned(prefix + "attention.sliding_window", config.sliding_window);
  std::vector<bool> slides;
  bool all = true;
  for (uint32_t layer = 0; layer < config.layers; ++layer) {
    slides.push_back(config.WindowOf(layer) != 0);
    all &= slides.back();
  }
  if (!all) writer->AddBools(prefix + "attention.sliding_window_pattern", slides);
}

}  // namespace

void AddFileType(kernels::BlockFormat format, GgufWriter* writer) {
  writer->AddUnsigned("general.file_type", GgufFileType(format));
  if (kernels::ShapeOf(format).values > 1) {
    writer->AddUnsigned("general.quantization_version", kQuantizationVersion);
  }
}

absl::Status AddConfig(const ModelConfig& config, GgufWriter* writer) {
  const std::string name(ArchitectureName(config.architecture));
  const std::string prefix = name + ".";
  writer->AddString("general.architecture", name);
  if (!config.name.empty()) writer->AddString("general.name", config.name);
  const std::pair<const char*, uint32_t> numbers[] = {
      {"block_count", config.layers},
      {"context_length", config.context_length},
      {"embedding_length", config.hidden_size},
      {"feed_forward_length", config.intermediate_size},
      {"attention.head_count", config.heads},
      {"attention.head_count_kv", config.kv_heads},
      {"attention.key_length", config.head_dim},
      {"attention.value_length", config.head_dim},
      {"rope.dimension_count", config.rope_dims},
      {"vocab_size", config.vocabulary_size},
  };
  for (const auto& [key, value] : numbers) writer->AddUnsigned(prefix + key, value);
  writer->AddReal(prefix + "attention.layer_norm_rms_epsilon", config.norm_epsilon);
  writer->AddReal(prefix + "rope.freq_base", config.rope_theta);
  AddWindow(config, prefix, writer);
  return AddScaling(config.rope_scaling, prefix + "rope.scaling.", writer);
}

void AddVocabulary(const VocabularyDescription& v, GgufWriter* writer) {
  const std::string prefix = "tokenizer.ggml.";
  writer->AddString(prefix + "model", KindName(v.kind));
  if (!v.pre.empty()) writer->AddString(prefix + "pre", v.pre);
  writer->AddStrings(prefix + "tokens", v.tokens);
  if (!v.scores.empty()) writer->AddFloats(prefix + "scores", v.scores);
  std::vector<int32_t> types(v.types.size());
  for (size_t i = 0; i < types.size(); ++i) types[i] = static_cast<int32_t>(v.types[i]);
  if (!types.empty()) writer->AddInts(prefix + "token_type", types);
  // Readers want the list for this kind, even an empty one.
  if (v.kind == VocabularyKind::kByteLevelBpe) writer->AddStrings(prefix + "merges", v.merges);
  const std::pair<const char*, std::optional<uint32_t>> ids[] = {
      {"bos_token_id", v.bos_token_id},         {"eos_token_id", v.eos_token_id},
      {"eot_token_id", v.eot_token_id},         {"eom_token_id", v.eom_token_id},
      {"unknown_token_id", v.unknown_token_id}, {"seperator_token_id", v.separator_token_id},
      {"cls_token_id", v.cls_token_id},         {"padding_token_id", v.padding_token_id},
  };
  for (const auto& [key, id] : ids) {
    if (id.has_value()) writer->AddUnsigned(prefix + key, *id);
  }
  const std::pair<const char*, std::optional<bool>> flags[] = {
      {"add_bos_token", v.add_bos_token},
      {"add_eos_token", v.add_eos_token},
      {"add_space_prefix", v.add_space_prefix},
  };
  for (const auto& [key, flag] : flags) {
    if (flag.has_value()) writer->AddBool(prefix + key, *flag);
  }
  if (v.remove_extra_whitespaces) writer->AddBool(prefix + "remove_extra_whitespaces", true);
  if (!v.precompiled_charsmap.empty()) {
    writer->AddBytes(prefix + "precompiled_charsmap", v.precompiled_charsmap);
  }
}

}  // namespace cairn::engine
