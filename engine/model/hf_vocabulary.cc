#include "engine/model/hf_vocabulary.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "chunking/text/chat_markup.h"
#include "chunking/text/vocabulary.h"
#include "engine/model/hf_files.h"
#include "engine/model/json_document.h"
#include "engine/model/json_reader.h"
#include "engine/model/model_file.h"

namespace cairn::engine {
namespace {

using chunking::TokenType;
using chunking::VocabularyDescription;
using chunking::VocabularyKind;
using nlohmann::json;

absl::Status VocabularyFault(absl::string_view what) { return absl::InvalidArgumentError(what); }

std::string TypeOf(const json& object) {
  return object.is_object() && object.contains("type") && object["type"].is_string()
             ? object["type"].get<std::string>()
             : "";
}

const json& Member(const json& object, const char* key) {
  static const json kNone;
  if (!object.is_object()) return kNone;
  const auto found = object.find(key);
  return found == object.end() ? kNone : *found;
}

// The steps of a part of the pipeline: those of a Sequence, or the part itself.
std::vector<json> Steps(const json& part, const char* list) {
  if (part.is_null()) return {};
  if (TypeOf(part) != "Sequence") return {part};
  const json& steps = Member(part, list);
  return {steps.begin(), steps.end()};
}

// Puts tokens and merges in place; ids stay below `limit`.
absl::Status ReadModel(const json& model, uint32_t limit, VocabularyDescription* v) {
  const json& vocabulary = Member(model, "vocab");
  if (TypeOf(model) != "BPE" || !vocabulary.is_object()) {
    return VocabularyFault("only BPE models can be converted");
  }
  v->tokens.resize(limit);
  v->types.assign(limit, TokenType::kUnused);
  for (const auto& [text, id] : vocabulary.items()) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= limit) {
      return VocabularyFault(
          absl::StrCat("token \"", Printable(text), "\" has no id below ", limit));
    }
    const auto at = id.get<size_t>();
    if (v->types[at] != TokenType::kUnused)
      return VocabularyFault(absl::StrCat("two tokens of id ", at));
    v->tokens[at] = text;
    v->types[at] = TokenType::kNormal;
  }
  const json& merges = Member(model, "merges");
  if (!merges.is_array()) return VocabularyFault("merges is not a list");
  for (const json& merge : merges) {
    if (merge.is_string()) {
      v->merges.push_back(merge.get<std::string>());
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
               merge[1].is_string()) {
      v->merges.push_back(
          absl::StrCat(merge[0].get<std::string>(), " ", merge[1].get<std::string>()));
    } else {
      return VocabularyFault("merges holds something that is no pair of strings");
    }
  }
  return absl::OkStatus();
}

absl::Status ReadAddedTokens(const json& list, VocabularyDescription* v) {
  for (const json& entry : list) {
    absl::Status status;
    const JsonObject token(entry, &status);
    const auto id = token.Unsigned("id");
    const auto text = token.String("content");
    const bool special = token.Bool("special").value_or(false);
    if (!status.ok()) return status;
    if (!id.has_value() || !text.has_value() || *id >= v->tokens.size()) {
      return VocabularyFault(
          "added_tokens holds a token without text, or without an id that the model has");
    }
    v->tokens[*id] = *text;
    const bool control = special || chunking::IsChatMarkup(*text);
    v->types[*id] = control ? TokenType::kControl : TokenType::kUserDefined;
  }
  return absl::OkStatus();
}

// The name of what splits text into words before a byte-level model merges.
absl::StatusOr<std::string> PreTokenizerName(const json& pre_tokenizer) {
  constexpr std::pair<std::string_view, const char*> kPatterns[] = {
      {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
       "llama-bpe"},
      {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
       "qwen2"},
  };
  const absl::Status fault =
      VocabularyFault("its way of splitting words has no name in GGUF files");
  const std::vector<json> steps = Steps(pre_tokenizer, "pretokenizers");
  if (steps.empty() || TypeOf(steps.back()) != "ByteLevel") return fault;
  const json& last = steps.back();
  if (Member(last, "add_prefix_space") == true) return fault;
  const bool as_gpt2 = Member(last, "use_regex") != false;
  if (steps.size() == 1 && as_gpt2) return std::string("gpt-2");
  if (steps.size() != 2) return fault;
  if (as_gpt2) {
    const bool digits =
        TypeOf(steps[0]) == "Digits" && Member(steps[0], "individual_digits") == true;
    if (digits) return std::string("smollm");
    return fault;
  }
  for (const auto& [pattern, name] : kPatterns) {
    if (TypeOf(steps[0]) == "Split" &&
        Member(Member(steps[0], "pattern"), "Regex") == std::string(pattern)) {
      return std::string(name);
    }
  }
  return fault;
}

// Whether the tokenizer rewrites texts and uses merges as the name says that it does: a GGUF file
// has no other word for it.
absl::Status CheckPreTokenizerName(const json& tree, const std::string& name) {
  const std::vector<json> steps = Steps(Member(tree, "normalizer"), "normalizers");
  const bool nfc = steps.size() == 1 && TypeOf(steps[0]) == "NFC";
  if (name == "qwen2" ? !nfc : !steps.empty()) {
    return VocabularyFault(absl::StrCat("its normalizer is not that of ", name, " in GGUF files"));
  }
  const bool ignores = Member(Member(tree, "model"), "ignore_merges") == true;
  if (ignores != (name == "llama-bpe")) {
    return VocabularyFault(
        absl::StrCat("its ignore_merges is not that of ", name, " in GGUF files"));
  }
  return absl::OkStatus();
}

// The same for models of characters: spaces become marks, and no more.
absl::Status CheckSentencePiece(const json& tree) {
  constexpr char kMark[] = "\u2581";
  for (const json& step : Steps(Member(tree, "normalizer"), "normalizers")) {
    const bool prepends = TypeOf(step) == "Prepend" && Member(step, "prepend") == kMark;
    const bool marks = TypeOf(step) == "Replace" && Member(step, "content") == kMark &&
                       Member(Member(step, "pattern"), "String") == " ";
    if (!prepends && !marks) return VocabularyFault("its normalizer has no name in GGUF files");
  }
  if (Member(Member(tree, "model"), "ignore_merges") == true) {
    return VocabularyFault("ignore_merges has no name in GGUF files for models of characters");
  }
  return absl::OkStatus();
}

// For models of characters: bytes, scores, and whether a space comes before the text.
void FinishSentencePiece(const json& tree, VocabularyDescription* v) {
  v->kind = VocabularyKind::kSentencePieceBpe;
  std::unordered_map<std::string, float> scores;
  for (size_t rank = 0; rank < v->merges.size(); ++rank) {
    std::string merged = v->merges[rank];
    const size_t space = merged.find(' ');
    if (space != merged.npos) merged.erase(space, 1);
    scores.emplace(std::move(merged), -static_cast<float>(rank) - 1);
  }
  v->merges.clear();
  v->scores.assign(v->tokens.size(), 0);
  for (size_t id = 0; id < v->tokens.size(); ++id) {
    const std::string& token = v->tokens[id];
    if (const auto found = scores.find(token); found != scores.end()) {
      v->scores[id] = found->second;
    }
    if (v->types[id] == TokenType::kNormal && token.size() == 6 && token.substr(0, 3) == "<0x" &&
        token[5] == '>') {
      v->types[id] = TokenType::kByte;
    }
  }
  bool prefix = false;
  for (const json& step : Steps(Member(tree, "normalizer"), "normalizers")) {
    prefix |= TypeOf(step) == "Prepend";
  }
  for (const json& step : Steps(Member(tree, "pre_tokenizer"), "pretokenizers")) {
    prefix |= TypeOf(step) == "Metaspace" && Member(step, "prepend_scheme") != "never";
  }
  v->add_space_prefix = prefix;
}

// The texts of the tokens that the post-processor puts before and after a text; empty: none.
struct Enclosing {
  std::string before;
  std::string after;
};

Enclosing ReadEnclosing(const json& post_processor) {
  Enclosing result;
  for (const json& step : Steps(post_processor, "processors")) {
    if (TypeOf(step) == "RobertaProcessing" || TypeOf(step) == "BertProcessing") {
      for (const auto& [key, text] : {std::pair{"cls", &result.before}, {"sep", &result.after}}) {
        const json& token = Member(step, key);
        if (token.is_array() && !token.empty() && token[0].is_string()) *text = token[0];
      }
    }
    if (TypeOf(step) != "TemplateProcessing") continue;
    bool after = false;
    for (const json& piece : Member(step, "single")) {
      const json& name = Member(Member(piece, "SpecialToken"), "id");
      if (name.is_string()) (after ? result.after : result.before) = name.get<std::string>();
      after |= !Member(piece, "Sequence").is_null();
    }
  }
  return result;
}

// A token's text in tokenizer_config.json: a string, or an added token with its flags.
std::string TokenText(const json& config, const char* key) {
  const json& value = Member(config, key);
  const json& text = value.is_object() ? Member(value, "content") : value;
  return text.is_string() ? text.get<std::string>() : "";
}

void ReadSpecialTokens(const json& tree, const json& config, VocabularyDescription* v) {
  const std::pair<const char*, std::optional<uint32_t>*> ids[] = {
      {"bos_token", &v->bos_token_id},
      {"eos_token", &v->eos_token_id},
      {"unk_token", &v->unknown_token_id},
      {"pad_token", &v->padding_token_id},
  };
  const Enclosing enclosing = ReadEnclosing(Member(tree, "post_processor"));
  for (const auto& [key, id] : ids) {
    std::string text = TokenText(config, key);
    if (text.empty()) text = TokenText(Member(tree, "model"), key);  // unk_token is there too.
    if (text.empty() && id == &v->bos_token_id) text = enclosing.before;
    if (text.empty() && id == &v->eos_token_id) text = enclosing.after;
    const auto found = std::find(v->tokens.begin(), v->tokens.end(), text);
    if (text.empty() || found == v->tokens.end()) continue;
    *id = static_cast<uint32_t>(found - v->tokens.begin());
    const bool unknown = id == &v->unknown_token_id && v->kind == VocabularyKind::kSentencePieceBpe;
    v->types[**id] = unknown ? TokenType::kUnknown : TokenType::kControl;
  }
  const json& add_bos = Member(config, "add_bos_token");
  const json& add_eos = Member(config, "add_eos_token");
  v->add_bos_token = v->bos_token_id.has_value() &&
                     (add_bos.is_boolean() ? add_bos.get<bool>() : !enclosing.before.empty());
  v->add_eos_token = v->eos_token_id.has_value() &&
                     (add_eos.is_boolean() ? add_eos.get<bool>() : !enclosing.after.empty());
}

}  // namespace

absl::StatusOr<VocabularyDescription> DescribeTokenizerJson(std::string_view tokenizer_json,
                                                            std::string_view tokenizer_config_json,
                                                            uint32_t tokens) {
  const auto tree = ParseJsonObject(tokenizer_json);
  if (!tree.ok()) return tree.status();
  json config = json::object();
  if (!tokenizer_config_json.empty()) {
    auto parsed = ParseJsonObject(tokenizer_config_json);
    if (!parsed.ok()) return parsed.status();
    config = *std::move(parsed);
  }
  if (tokens > chunking::kMaxVocabulary) {
    return VocabularyFault(
        absl::StrCat("a vocabulary of more than ", chunking::kMaxVocabulary, " tokens"));
  }
  VocabularyDescription v;
  absl::Status status = ReadModel(Member(*tree, "model"), tokens, &v);
  if (!status.ok()) return status;
  status = ReadAddedTokens(Member(*tree, "added_tokens"), &v);
  if (!status.ok()) return status;
  if (Member(Member(*tree, "model"), "byte_fallback") == true) {
    status = CheckSentencePiece(*tree);
    if (!status.ok()) return status;
    FinishSentencePiece(*tree, &v);
  } else {
    auto pre = PreTokenizerName(Member(*tree, "pre_tokenizer"));
    if (!pre.ok()) return pre.status();
    status = CheckPreTokenizerName(*tree, *pre);
    if (!status.ok()) return status;
    v.kind = VocabularyKind::kByteLevelBpe;
    v.pre = *std::move(pre);
  }
  ReadSpecialTokens(*tree, config, &v);
  for (size_t id = 0; id < v.tokens.size(); ++id) {
    if (v.types[id] == TokenType::kUnused) v.tokens[id] = absl::StrCat("[PAD", id, "]");
  }
  return v;
}

absl::StatusOr<VocabularyDescription> DescribeHfVocabulary(const std::string& directory,
                                                           const ModelConfig& config) {
  const std::string path = directory + "/tokenizer.json";
  const auto tokenizer = ReadOptionalFile(path, kMaxTokenizerBytes);
  if (!tokenizer.ok()) return tokenizer.status();
  if (!tokenizer->has_value()) {
    return absl::NotFoundError(absl::StrCat(directory, ": no tokenizer.json"));
  }
  const auto settings = ReadOptionalFile(directory + "/tokenizer_config.json", kMaxConfigBytes);
  if (!settings.ok()) return settings.status();
  auto vocabulary =
      DescribeTokenizerJson(**tokenizer, settings->value_or(""), config.vocabulary_size);
  if (!vocabulary.ok()) {
    return absl::Status(vocabulary.status().code(),
                        absl::StrCat(path, ": ", vocabulary.status().message()));
  }
  // Where the settings do not say it, the model's generation settings do: three ends at most.
  for (uint32_t id : config.end_tokens) {
    for (auto* end :
         {&vocabulary->eos_token_id, &vocabulary->eot_token_id, &vocabulary->eom_token_id}) {
      if (end->has_value() && **end != id) continue;
      *end = id;
      break;
    }
  }
  return vocabulary;
}

}  // namespace cairn::engine
