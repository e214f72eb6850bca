#include "engine/model/gguf_tokenizer.h"

#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/model/json_reader.h"

namespace cairn::engine {
namespace {

using chunking::TokenType;
using chunking::VocabularyDescription;

absl::Status TokenizerFault(std::string_view key, absl::string_view fault) {
  return absl::InvalidArgumentError(absl::StrCat("metadata \"", std::string(key), "\": ", fault));
}

absl::Status ReadStrings(const Gguf& gguf, std::string_view key, std::vector<std::string>* out) {
  const GgufValue* value = gguf.Find(key);
  if (value == nullptr) return absl::OkStatus();
  const auto strings = value->AsStrings();
  if (!strings.has_value()) return TokenizerFault(key, "not an array of strings");
  out->reserve(strings->size());
  for (std::string_view text : *strings) out->emplace_back(text);
  return absl::OkStatus();
}

absl::Status ReadScores(const Gguf& gguf, VocabularyDescription* vocabulary) {
  const GgufValue* value = gguf.Find("tokenizer.ggml.scores");
  if (value == nullptr) return absl::OkStatus();
  auto scores = value->AsFloats();
  if (!scores.has_value())
    return TokenizerFault("tokenizer.ggml.scores", "not an array of float32");
  vocabulary->scores = *std::move(scores);
  return absl::OkStatus();
}

absl::Status ReadTypes(const Gguf& gguf, VocabularyDescription* vocabulary) {
  constexpr std::string_view kKey = "tokenizer.ggml.token_type";
  const GgufValue* value = gguf.Find(kKey);
  if (value == nullptr) return absl::OkStatus();
  const auto types = value->AsInts();
  if (!types.has_value()) return TokenizerFault(kKey, "not an array of int32");
  vocabulary->types.reserve(types->size());
  for (int32_t type : *types) {
    if (type < 1 || type > 6) return TokenizerFault(kKey, absl::StrCat("there is no type ", type));
    vocabulary->types.push_back(static_cast<TokenType>(type));
  }
  return absl::OkStatus();
}

absl::Status ReadId(const Gguf& gguf, std::string_view key, size_t tokens,
                    std::optional<uint32_t>* id) {
  auto value = gguf.Unsigned(key);
  if (!value.ok()) return value.status();
  // Some writers say "none" so.
  if (!value->has_value() || **value == std::numeric_limits<uint32_t>::max()) {
    return absl::OkStatus();
  }
  if (**value >= tokens) {
    return TokenizerFault(key, absl::StrCat(**value, " is beyond the ", tokens, " tokens"));
  }
  *id = *value;
  return absl::OkStatus();
}

absl::Status ReadIds(const Gguf& gguf, VocabularyDescription* v) {
  const std::pair<std::string_view, std::optional<uint32_t>*> ids[] = {
      {"tokenizer.ggml.bos_token_id", &v->bos_token_id},
      {"tokenizer.ggml.eos_token_id", &v->eos_token_id},
      {"tokenizer.ggml.eot_token_id", &v->eot_token_id},
      {"tokenizer.ggml.eom_token_id", &v->eom_token_id},
      {"tokenizer.ggml.unknown_token_id", &v->unknown_token_id},
      {"tokenizer.ggml.separator_token_id", &v->separator_token_id},
      {"tokenizer.ggml.seperator_token_id", &v->separator_token_id},  // As most files spell it.
      {"tokenizer.ggml.cls_token_id", &v->cls_token_id},
      {"tokenizer.ggml.padding_token_id", &v->padding_token_id},
  };
  for (const auto& [key, id] : ids) {
    const absl::Status status = ReadId(gguf, key, v->tokens.size(), id);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status ReadFlags(const Gguf& gguf, VocabularyDescription* v) {
  std::optional<bool> remove_extra_whitespaces;
  const std::pair<std::string_view, std::optional<bool>*> flags[] = {
      {"tokenizer.ggml.add_bos_token", &v->add_bos_token},
      {"tokenizer.ggml.add_eos_token", &v->add_eos_token},
      {"tokenizer.ggml.add_space_prefix", &v->add_space_prefix},
      {"tokenizer.ggml.remove_extra_whitespaces", &remove_extra_whitespaces},
  };
  for (const auto& [key, flag] : flags) {
    auto value = gguf.Bool(key);
    if (!value.ok()) return value.status();
    *flag = *value;
  }
  v->remove_extra_whitespaces = remove_extra_whitespaces.value_or(false);
  return absl::OkStatus();
}

absl::Status ReadCharsmap(const Gguf& gguf, VocabularyDescription* vocabulary) {
  constexpr std::string_view kKey = "tokenizer.ggml.precompiled_charsmap";
  const GgufValue* value = gguf.Find(kKey);
  if (value == nullptr) return absl::OkStatus();
  if (value->type != GgufType::kArray ||
      (value->element != GgufType::kU8 && value->element != GgufType::kI8)) {
    return TokenizerFault(kKey, "not an array of bytes");
  }
  vocabulary->precompiled_charsmap = std::string(value->bytes);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<VocabularyDescription> DescribeGgufVocabulary(const Gguf& gguf) {
  auto model = gguf.String("tokenizer.ggml.model");
  if (!model.ok()) return model.status();
  if (!model->has_value()) return absl::NotFoundError("the file has no tokenizer");
  auto kind = chunking::VocabularyKindByName(**model);
  if (!kind.ok()) return kind.status();
  auto pre = gguf.String("tokenizer.ggml.pre");
  if (!pre.ok()) return pre.status();

  VocabularyDescription vocabulary;
  vocabulary.kind = *kind;
  vocabulary.pre = std::string(pre->value_or(""));
  for (const absl::Status& status :
       {ReadStrings(gguf, "tokenizer.ggml.tokens", &vocabulary.tokens),
        ReadStrings(gguf, "tokenizer.ggml.merges", &vocabulary.merges),
        ReadScores(gguf, &vocabulary), ReadTypes(gguf, &vocabulary), ReadIds(gguf, &vocabulary),
        ReadFlags(gguf, &vocabulary), ReadCharsmap(gguf, &vocabulary)}) {
    if (!status.ok()) return status;
  }
  return vocabulary;
}

}  // namespace cairn::engine
