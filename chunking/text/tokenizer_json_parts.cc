#include "chunking/text/tokenizer_json_parts.h"

#include <utility>

#include "chunking/text/chat_markup.h"
#include "chunking/text/tokenizer_config.h"

namespace cairn::chunking {

namespace dom = simdjson::dom;

namespace {

constexpr size_t kMaxProcessors = 16;
constexpr size_t kMaxReplacementBytes = 64;  // Of a Metaspace.

absl::Status ReadAddedToken(const dom::element& element, AddedToken* token) {
  dom::object object;
  if (element.get(object) != simdjson::SUCCESS) return Bad("an added token must be an object");
  uint64_t id = kMaxTokenId + 1;
  absl::Status status = ReadOptional(object, "id", "a non-negative integer", &id);
  if (status.ok()) status = ReadAddedTokenFlags(object, token);
  if (!status.ok()) return status;
  if (token->content.empty()) return Bad("an added token has no \"content\"");
  if (id > kMaxTokenId) return Bad("added token \"", token->content, "\" has no valid id");
  token->id = static_cast<uint32_t>(id);
  return absl::OkStatus();
}

// The id of a RobertaProcessing's or BertProcessing's ["<s>", 0] called `key`.
absl::Status ReadProcessorToken(const dom::object& object, std::string_view key,
                                std::optional<uint32_t>* out) {
  const std::optional<dom::element> value = Member(object, key);
  dom::array pair;
  uint64_t id = kMaxTokenId + 1;
  if (!value.has_value() || value->get(pair) != simdjson::SUCCESS ||
      pair.at(1).get(id) != simdjson::SUCCESS || id > kMaxTokenId) {
    return Bad("\"", key, "\" of the post_processor is not [token, id]");
  }
  *out = static_cast<uint32_t>(id);
  return absl::OkStatus();
}

// The id of the token that a template calls `name`.
absl::StatusOr<uint32_t> TemplateTokenId(const dom::object& processor, std::string_view name) {
  absl::StatusOr<dom::object> tokens = ReadObject(processor, "special_tokens");
  if (!tokens.ok()) return tokens.status();
  absl::StatusOr<dom::object> token = ReadObject(*tokens, name);
  if (!token.ok()) return token.status();
  absl::StatusOr<dom::array> ids = ReadArray(*token, "ids");
  if (!ids.ok()) return ids.status();
  uint64_t id = kMaxTokenId + 1;
  if (ids->size() != 1 || ids->at(0).get(id) != simdjson::SUCCESS || id > kMaxTokenId) {
    return Bad("the post_processor's token \"", name, "\" does not stand for one id");
  }
  return static_cast<uint32_t>(id);
}

// Reads "single": at most one token before and after the text.
absl::Status ReadTemplate(const dom::object& processor, SpecialTokens* special) {
  absl::StatusOr<dom::array> single = ReadArray(processor, "single");
  if (!single.ok()) return single.status();
  bool after_text = false;
  for (const dom::element element : *single) {
    dom::object piece;
    if (element.get(piece) != simdjson::SUCCESS) return Bad("\"single\" must have objects");
    if (Member(piece, "Sequence").has_value()) {
      after_text = true;
      continue;
    }
    absl::StatusOr<dom::object> token = ReadObject(piece, "SpecialToken");
    if (!token.ok()) return token.status();
    std::string name;
    if (absl::Status status = ReadString(*token, "id", &name); !status.ok()) return status;
    const absl::StatusOr<uint32_t> id = TemplateTokenId(processor, name);
    if (!id.ok()) return id.status();
    bool& add = after_text ? special->add_eos : special->add_bos;
    if (add) return Bad("the post_processor puts more than one token at an end of the text");
    add = true;
    (after_text ? special->eos : special->bos) = *id;
  }
  return absl::OkStatus();
}

absl::Status ReadProcessor(const dom::object& object, size_t depth, SpecialTokens* special) {
  const absl::StatusOr<std::string> type = ComponentType(object);
  if (!type.ok()) return type.status();
  if (*type == "ByteLevel") return absl::OkStatus();  // Only changes offsets.
  if (*type == "TemplateProcessing") return ReadTemplate(object, special);
  if (*type == "RobertaProcessing" || *type == "BertProcessing") {
    absl::Status status = ReadProcessorToken(object, "cls", &special->bos);
    status.Update(ReadProcessorToken(object, "sep", &special->eos));
    special->add_bos = special->add_eos = true;
    return status;
  }
  if (*type != "Sequence") return Bad("post_processor type \"", *type, "\" is not known");
  const absl::StatusOr<dom::array> processors = ReadArray(object, "processors");
  if (!processors.ok()) return processors.status();
  if (depth > 0 || processors->size() > kMaxProcessors) {
    return Bad("the post_processor has too many parts");
  }
  for (const dom::element element : *processors) {
    dom::object inner;
    if (element.get(inner) != simdjson::SUCCESS) return Bad("a post_processor must be an object");
    absl::Status status = ReadProcessor(inner, depth + 1, special);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status InsertToken(std::string_view token, uint64_t id, Vocabulary* vocabulary) {
  if (vocabulary->Insert(token, static_cast<uint32_t>(id))) return absl::OkStatus();
  return Bad("token \"", token, "\" is in the vocabulary twice");
}

absl::StatusOr<std::string> ComponentType(const dom::object& object) {
  std::string type;
  if (absl::Status status = ReadString(object, "type", &type); !status.ok()) return status;
  return type;
}

absl::Status ReadAddedTokenFlags(const dom::object& object, AddedToken* token) {
  absl::Status status = ReadString(object, "content", &token->content);
  status.Update(ReadBool(object, "special", &token->special));
  token->normalized = !token->special;
  status.Update(ReadBool(object, "normalized", &token->normalized));
  status.Update(ReadBool(object, "single_word", &token->single_word));
  status.Update(ReadBool(object, "lstrip", &token->lstrip));
  status.Update(ReadBool(object, "rstrip", &token->rstrip));
  token->special |= IsChatMarkup(token->content);
  return status;
}

absl::StatusOr<std::vector<AddedToken>> ReadAddedTokens(
    const dom::object& root, size_t size, const std::function<uint32_t(std::string_view)>& find) {
  std::vector<AddedToken> tokens;
  if (!Member(root, "added_tokens").has_value()) return tokens;
  absl::StatusOr<dom::array> array = ReadArray(root, "added_tokens");
  if (!array.ok()) return array.status();
  if (array->size() > kMaxAddedTokens) return Bad("more than ", kMaxAddedTokens, " added tokens");
  const size_t limit = (size + array->size()) * 16 + 4096;
  for (const dom::element element : *array) {
    AddedToken token;
    if (absl::Status status = ReadAddedToken(element, &token); !status.ok()) return status;
    const uint32_t known = find(token.content);
    if (known != Vocabulary::kNone) token.id = known;
    if (token.id >= limit) return Bad("id ", token.id, " of an added token is too large");
    tokens.push_back(std::move(token));
  }
  return tokens;
}

void AddTexts(const std::vector<AddedToken>& tokens, VocabularyFacts* facts) {
  for (const AddedToken& token : tokens) {
    facts->texts.Set(token.id, token.content, token.special);
    if (EndsAnswers(token.content)) facts->special.end_of_generation.push_back(token.id);
  }
}

absl::Status ReadPostProcessor(const dom::object& root, SpecialTokens* special) {
  if (!Member(root, "post_processor").has_value()) return absl::OkStatus();
  const absl::StatusOr<dom::object> object = ReadObject(root, "post_processor");
  return object.ok() ? ReadProcessor(*object, 0, special) : object.status();
}

absl::Status ReadMetaspace(const dom::object& object, Metaspace* out) {
  Metaspace metaspace;
  bool add_prefix_space = true;  // The name of prepend_scheme in older files.
  absl::Status status = ReadString(object, "replacement", &metaspace.replacement);
  status.Update(ReadBool(object, "split", &metaspace.split));
  status.Update(ReadBool(object, "add_prefix_space", &add_prefix_space));
  std::string scheme = add_prefix_space ? "always" : "never";
  status.Update(ReadString(object, "prepend_scheme", &scheme));
  if (!status.ok()) return status;
  if (metaspace.replacement.empty()) return Bad("\"replacement\" of Metaspace is empty");
  if (metaspace.replacement.size() > kMaxReplacementBytes) {
    return Bad("\"replacement\" of Metaspace has more than ", kMaxReplacementBytes, " bytes");
  }
  if (scheme == "always") {
    metaspace.prepend = Metaspace::Prepend::kAlways;
  } else if (scheme == "first") {
    metaspace.prepend = Metaspace::Prepend::kFirst;
  } else if (scheme == "never") {
    metaspace.prepend = Metaspace::Prepend::kNever;
  } else {
    return Bad("prepend_scheme \"", scheme, "\" is not known");
  }
  *out = metaspace;
  return absl::OkStatus();
}

absl::Status ApplyTokenizerConfig(std::string_view json,
                                  const std::function<uint32_t(std::string_view)>& find,
                                  SpecialTokens* special) {
  const absl::StatusOr<TokenizerConfig> config = ReadTokenizerConfig(json);
  if (!config.ok()) return config.status();
  if (!config->bos_token.empty()) {
    const uint32_t id = find(config->bos_token);
    if (id == Vocabulary::kNone) return Bad("the vocabulary has no \"", config->bos_token, "\"");
    special->bos = id;
  }
  if (!config->eos_token.empty()) {
    const uint32_t id = find(config->eos_token);
    if (id == Vocabulary::kNone) return Bad("the vocabulary has no \"", config->eos_token, "\"");
    special->eos = id;
  }
  special->add_bos = config->add_bos_token.value_or(special->add_bos) && special->bos.has_value();
  special->add_eos = config->add_eos_token.value_or(special->add_eos) && special->eos.has_value();
  return absl::OkStatus();
}

}  // namespace cairn::chunking
