#include "chunking/text/tokenizer.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "chunking/text/unigram.h"
#include "chunking/text/wordpiece.h"
#include "simdjson.h"

namespace cairn::chunking {
namespace {

namespace dom = simdjson::dom;

constexpr size_t kMaxVocabulary = 10'000'000;
constexpr size_t kMaxAddedTokens = 100'000;
constexpr size_t kMaxNormalizerSteps = 256;
constexpr size_t kMaxNormalizerDepth = 8;
constexpr uint64_t kMaxId = 0x7FFFFFFF;

// Abseil's string_view may be a type of its own, which std::string_view does not convert to.
template <typename T>
const T& Printable(const T& part) {
  return part;
}
absl::string_view Printable(std::string_view part) { return {part.data(), part.size()}; }

template <typename... Parts>
absl::Status BadFile(const char* file, const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(file, ": ", Printable(parts)...));
}
template <typename... Parts>
absl::Status Bad(const Parts&... parts) {
  return BadFile("tokenizer.json", parts...);
}

// The member `key` of `object`, or nothing where it is absent or null.
std::optional<dom::element> Member(const dom::object& object, std::string_view key) {
  dom::element value;
  if (object.at_key(key).get(value) != simdjson::SUCCESS || value.is_null()) return std::nullopt;
  return value;
}

// Reads the optional member `key` into `*out`, which keeps its value where there is none.
template <typename T>
absl::Status ReadOptional(const dom::object& object, std::string_view key, std::string_view type,
                          T* out) {
  const std::optional<dom::element> value = Member(object, key);
  if (!value.has_value()) return absl::OkStatus();
  T read;
  if (value->get(read) != simdjson::SUCCESS) return Bad("\"", key, "\" must be ", type);
  *out = read;
  return absl::OkStatus();
}

absl::Status ReadBool(const dom::object& object, std::string_view key, bool* out) {
  return ReadOptional(object, key, "true or false", out);
}

absl::Status ReadString(const dom::object& object, std::string_view key, std::string* out) {
  std::string_view read = *out;
  absl::Status status = ReadOptional(object, key, "a string", &read);
  if (status.ok() && read.data() != out->data()) out->assign(read);
  return status;
}

absl::StatusOr<dom::object> ReadObject(const dom::object& object, std::string_view key) {
  const std::optional<dom::element> value = Member(object, key);
  dom::object read;
  if (!value.has_value()) return Bad("no \"", key, "\"");
  if (value->get(read) != simdjson::SUCCESS) return Bad("\"", key, "\" must be an object");
  return read;
}

// The type of the component `key`; empty where it is absent.
absl::StatusOr<std::string> ComponentType(const dom::object& object) {
  std::string type;
  if (absl::Status status = ReadString(object, "type", &type); !status.ok()) return status;
  return type;
}

// Checks, one id after the other, that ids are distinct and leave no unreasonable gaps: tables
// indexed by id stay in proportion to the file.
class IdCheck {
 public:
  explicit IdCheck(size_t tokens) : tokens_(tokens), seen_(tokens * 16 + 4096) {}

  absl::Status Add(uint64_t id) {
    if (id >= seen_.size()) return Bad("id ", id, " is too large for ", tokens_, " tokens");
    if (seen_[id]) return Bad("id ", id, " is used twice");
    seen_[id] = true;
    limit_ = std::max<size_t>(limit_, id + 1);
    return absl::OkStatus();
  }
  size_t limit() const { return limit_; }

 private:
  size_t tokens_;
  size_t limit_ = 0;
  std::vector<bool> seen_;
};

absl::Status InsertToken(std::string_view token, uint64_t id, Vocabulary* vocabulary) {
  if (vocabulary->Insert(token, static_cast<uint32_t>(id))) return absl::OkStatus();
  return Bad("token \"", token, "\" is in the vocabulary twice");
}

absl::Status ReadAddedToken(const dom::element& element, AddedToken* token) {
  dom::object object;
  if (element.get(object) != simdjson::SUCCESS) return Bad("an added token must be an object");
  uint64_t id = kMaxId + 1;
  absl::Status status = ReadOptional(object, "id", "a non-negative integer", &id);
  status.Update(ReadString(object, "content", &token->content));
  bool special = false;
  status.Update(ReadBool(object, "special", &special));
  token->normalized = !special;
  status.Update(ReadBool(object, "normalized", &token->normalized));
  status.Update(ReadBool(object, "single_word", &token->single_word));
  status.Update(ReadBool(object, "lstrip", &token->lstrip));
  status.Update(ReadBool(object, "rstrip", &token->rstrip));
  if (!status.ok()) return status;
  if (token->content.empty()) return Bad("an added token has no \"content\"");
  if (id > kMaxId) return Bad("added token \"", token->content, "\" has no valid id");
  token->id = static_cast<uint32_t>(id);
  return absl::OkStatus();
}

// Reads "added_tokens". A token that is also in `vocabulary` gets its id from there.
absl::Status ReadAddedTokens(const dom::object& root, const Vocabulary& vocabulary,
                             std::vector<AddedToken>* tokens, size_t* id_limit) {
  const std::optional<dom::element> value = Member(root, "added_tokens");
  if (!value.has_value()) return absl::OkStatus();
  dom::array array;
  if (value->get(array) != simdjson::SUCCESS) return Bad("\"added_tokens\" must be an array");
  if (array.size() > kMaxAddedTokens) return Bad("more than ", kMaxAddedTokens, " added tokens");
  const size_t limit = (vocabulary.size() + array.size()) * 16 + 4096;
  for (const dom::element element : array) {
    AddedToken token;
    if (absl::Status status = ReadAddedToken(element, &token); !status.ok()) return status;
    const uint32_t known = vocabulary.Find(token.content);
    if (known != Vocabulary::kNone) token.id = known;
    if (token.id >= limit) return Bad("id ", token.id, " of an added token is too large");
    *id_limit = std::max<size_t>(*id_limit, size_t{token.id} + 1);
    tokens->push_back(std::move(token));
  }
  return absl::OkStatus();
}

absl::Status ReadBertOptions(const dom::object& object, BertNormalizer::Options* options) {
  absl::Status status = ReadBool(object, "clean_text", &options->clean_text);
  status.Update(ReadBool(object, "handle_chinese_chars", &options->handle_chinese_chars));
  status.Update(ReadBool(object, "lowercase", &options->lowercase));
  options->strip_accents = options->lowercase;
  status.Update(ReadBool(object, "strip_accents", &options->strip_accents));
  return status;
}

absl::Status ReadReplace(const dom::object& object, NormalizerStep* step) {
  absl::StatusOr<dom::object> pattern = ReadObject(object, "pattern");
  if (!pattern.ok()) return pattern.status();
  std::string regex;
  absl::Status status = ReadString(*pattern, "String", &step->pattern);
  status.Update(ReadString(*pattern, "Regex", &regex));
  status.Update(ReadString(object, "content", &step->content));
  if (!status.ok()) return status;
  step->kind = NormalizerStep::Kind::kReplace;
  if (!step->pattern.empty()) return absl::OkStatus();
  if (regex != "\\s+") return Bad("normalizer Replace with pattern \"", regex, "\" is not known");
  step->kind = NormalizerStep::Kind::kReplaceSpaces;
  return absl::OkStatus();
}

// Adds `step`, into the one before where both replace single ASCII characters and the earlier
// contents hold nothing that the later pattern would replace again.
void AddStep(NormalizerStep step, std::vector<NormalizerStep>* steps) {
  using Kind = NormalizerStep::Kind;
  const bool single = step.kind == Kind::kReplace && step.pattern.size() == 1 &&
                      static_cast<uint8_t>(step.pattern[0]) < 0x80;
  if (!single) return steps->push_back(std::move(step));
  const size_t byte = static_cast<uint8_t>(step.pattern[0]);
  if (!steps->empty() && steps->back().kind == Kind::kReplaceBytes) {
    std::vector<std::optional<std::string>>& bytes = steps->back().bytes;
    const bool independent =
        !bytes[byte].has_value() &&
        std::none_of(bytes.begin(), bytes.end(), [&](const std::optional<std::string>& content) {
          return content.has_value() && content->find(step.pattern) != std::string::npos;
        });
    if (independent) {
      bytes[byte] = std::move(step.content);
      return;
    }
  }
  step.kind = Kind::kReplaceBytes;
  step.bytes.resize(0x80);
  step.bytes[byte] = std::move(step.content);
  steps->push_back(std::move(step));
}

absl::Status ReadNormalizer(const dom::object& object, size_t depth,
                            std::vector<NormalizerStep>* steps) {
  absl::StatusOr<std::string> type = ComponentType(object);
  if (!type.ok()) return type.status();
  if (depth > kMaxNormalizerDepth || steps->size() >= kMaxNormalizerSteps) {
    return Bad("the normalizer has too many steps");
  }
  NormalizerStep step;
  absl::Status status;
  if (*type == "Sequence") {
    dom::array array;
    const std::optional<dom::element> value = Member(object, "normalizers");
    if (!value.has_value() || value->get(array) != simdjson::SUCCESS) {
      return Bad("\"normalizers\" must be an array");
    }
    for (const dom::element element : array) {
      dom::object inner;
      if (element.get(inner) != simdjson::SUCCESS) return Bad("a normalizer must be an object");
      status = ReadNormalizer(inner, depth + 1, steps);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }
  if (*type == "BertNormalizer") {
    status = ReadBertOptions(object, &step.bert);
  } else if (*type == "Replace") {
    status = ReadReplace(object, &step);
  } else if (*type == "Strip") {
    step.kind = NormalizerStep::Kind::kStrip;
    status = ReadBool(object, "strip_left", &step.strip_left);
    status.Update(ReadBool(object, "strip_right", &step.strip_right));
  } else {
    return Bad("normalizer type \"", *type, "\" is not known");
  }
  if (status.ok()) AddStep(std::move(step), steps);
  return status;
}

absl::StatusOr<std::vector<NormalizerStep>> ReadNormalizers(const dom::object& root) {
  std::vector<NormalizerStep> steps;
  if (!Member(root, "normalizer").has_value()) return steps;
  absl::StatusOr<dom::object> object = ReadObject(root, "normalizer");
  if (!object.ok()) return object.status();
  if (absl::Status status = ReadNormalizer(*object, 0, &steps); !status.ok()) return status;
  return steps;
}

absl::Status CheckVocabularySize(size_t tokens) {
  if (tokens == 0) return Bad("the vocabulary is empty");
  if (tokens <= kMaxVocabulary) return absl::OkStatus();
  return Bad("the vocabulary has more than ", kMaxVocabulary, " entries");
}

absl::Status ReadWordPieceVocabulary(const dom::object& model, std::string_view prefix,
                                     WordPieceModel* out) {
  absl::StatusOr<dom::object> vocabulary = ReadObject(model, "vocab");
  if (!vocabulary.ok()) return vocabulary.status();
  absl::Status status = CheckVocabularySize(vocabulary->size());
  if (!status.ok()) return status;
  IdCheck ids(vocabulary->size());
  out->initial.Reserve(vocabulary->size(), vocabulary->size() * 9);
  out->continuing.Reserve(vocabulary->size() / 4, vocabulary->size() * 2);
  for (const auto [token, value] : *vocabulary) {
    uint64_t id;
    if (value.get(id) != simdjson::SUCCESS) return Bad("token \"", token, "\" has no valid id");
    status.Update(ids.Add(id));
    if (status.ok()) status = InsertToken(token, id, &out->initial);
    if (!status.ok()) return status;
    if (token.size() > prefix.size() && token.substr(0, prefix.size()) == prefix) {
      out->continuing.Insert(token.substr(prefix.size()), static_cast<uint32_t>(id));
    }
  }
  out->id_limit = ids.limit();
  return absl::OkStatus();
}

absl::Status ReadBertPipeline(const dom::object& root, WordPieceModel* out) {
  absl::StatusOr<std::vector<NormalizerStep>> steps = ReadNormalizers(root);
  if (!steps.ok()) return steps.status();
  if (steps->size() != 1 || steps->front().kind != NormalizerStep::Kind::kBert) {
    return Bad("a WordPiece model needs the normalizer BertNormalizer");
  }
  out->normalizer = steps->front().bert;
  absl::StatusOr<dom::object> pre_tokenizer = ReadObject(root, "pre_tokenizer");
  if (!pre_tokenizer.ok()) return pre_tokenizer.status();
  absl::StatusOr<std::string> type = ComponentType(*pre_tokenizer);
  if (!type.ok()) return type.status();
  if (*type == "BertPreTokenizer") return absl::OkStatus();
  return Bad("pre_tokenizer type \"", *type, "\" is not known for a WordPiece model");
}

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadWordPiece(const dom::object& root,
                                                         const dom::object& model) {
  WordPieceModel read;
  std::string unknown = "[UNK]", prefix = "##";
  uint64_t max_chars = read.max_input_chars_per_word;
  absl::Status status = ReadString(model, "unk_token", &unknown);
  status.Update(ReadString(model, "continuing_subword_prefix", &prefix));
  status.Update(
      ReadOptional(model, "max_input_chars_per_word", "a non-negative integer", &max_chars));
  if (status.ok()) status = ReadBertPipeline(root, &read);
  if (status.ok()) status = ReadWordPieceVocabulary(model, prefix, &read);
  if (!status.ok()) return status;
  if (max_chars == 0 || max_chars > WordPieceModel::kLongestWord) {
    return Bad("\"max_input_chars_per_word\" must be 1 to ", WordPieceModel::kLongestWord);
  }
  read.max_input_chars_per_word = max_chars;
  read.unknown_id = read.initial.Find(unknown);
  if (read.unknown_id == Vocabulary::kNone) {
    return Bad("the unknown token \"", unknown, "\" is not in the vocabulary");
  }
  status = ReadAddedTokens(root, read.initial, &read.added_tokens, &read.id_limit);
  if (!status.ok()) return status;
  return std::make_unique<WordPieceTokenizer>(std::move(read));
}

absl::Status ReadUnigramVocabulary(const dom::object& model, UnigramModel* out) {
  const std::optional<dom::element> value = Member(model, "vocab");
  dom::array vocabulary;
  if (!value.has_value() || value->get(vocabulary) != simdjson::SUCCESS) {
    return Bad("\"vocab\" of a Unigram model must be an array");
  }
  absl::Status status = CheckVocabularySize(vocabulary.size());
  if (!status.ok()) return status;
  out->vocabulary.Reserve(vocabulary.size(), vocabulary.size() * 10);
  for (const dom::element element : vocabulary) {
    dom::array entry;
    std::string_view token;
    double score;
    if (element.get(entry) != simdjson::SUCCESS || entry.at(0).get(token) != simdjson::SUCCESS ||
        entry.at(1).get(score) != simdjson::SUCCESS) {
      return Bad("entry ", out->scores.size(), " of \"vocab\" is not [token, score]");
    }
    status = InsertToken(token, out->scores.size(), &out->vocabulary);
    if (!status.ok()) return status;
    out->scores.push_back(score);
  }
  out->id_limit = out->scores.size();
  uint64_t unknown = out->scores.size();
  status = ReadOptional(model, "unk_id", "a non-negative integer", &unknown);
  if (!status.ok()) return status;
  if (unknown >= out->scores.size()) return Bad("\"unk_id\" is not an id of the vocabulary");
  out->unknown_id = static_cast<uint32_t>(unknown);
  return absl::OkStatus();
}

absl::Status ReadMetaspace(const dom::object& root, std::optional<Metaspace>* out) {
  if (!Member(root, "pre_tokenizer").has_value()) return absl::OkStatus();
  absl::StatusOr<dom::object> object = ReadObject(root, "pre_tokenizer");
  if (!object.ok()) return object.status();
  absl::StatusOr<std::string> type = ComponentType(*object);
  if (!type.ok()) return type.status();
  if (*type != "Metaspace") {
    return Bad("pre_tokenizer type \"", *type, "\" is not known for a Unigram model");
  }
  Metaspace metaspace;
  bool add_prefix_space = true;  // The name of prepend_scheme in older files.
  absl::Status status = ReadString(*object, "replacement", &metaspace.replacement);
  status.Update(ReadBool(*object, "split", &metaspace.split));
  status.Update(ReadBool(*object, "add_prefix_space", &add_prefix_space));
  std::string scheme = add_prefix_space ? "always" : "never";
  status.Update(ReadString(*object, "prepend_scheme", &scheme));
  if (!status.ok()) return status;
  if (metaspace.replacement.empty()) return Bad("\"replacement\" of Metaspace is empty");
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

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadUnigram(const dom::object& root,
                                                       const dom::object& model) {
  UnigramModel read;
  absl::Status status = ReadBool(model, "byte_fallback", &read.byte_fallback);
  status.Update(ReadMetaspace(root, &read.metaspace));
  if (status.ok()) status = ReadUnigramVocabulary(model, &read);
  if (!status.ok()) return status;
  absl::StatusOr<std::vector<NormalizerStep>> steps = ReadNormalizers(root);
  if (!steps.ok()) return steps.status();
  read.normalizer = *std::move(steps);
  status = ReadAddedTokens(root, read.vocabulary, &read.added_tokens, &read.id_limit);
  if (!status.ok()) return status;
  return std::make_unique<UnigramTokenizer>(std::move(read));
}

// Older files have no model type.
std::string GuessModelType(const dom::object& model) {
  if (Member(model, "merges").has_value()) return "BPE";
  const std::optional<dom::element> vocabulary = Member(model, "vocab");
  return vocabulary.has_value() && vocabulary->is_array() ? "Unigram" : "WordPiece";
}

// The next line of `*text`, without white space at its end; removes it from `*text`.
std::string_view NextLine(std::string_view* text) {
  const size_t size = std::min(text->find('\n'), text->size());
  std::string_view line = text->substr(0, size);
  text->remove_prefix(std::min(size + 1, text->size()));
  while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t')) {
    line.remove_suffix(1);
  }
  return line;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizerJson(std::string_view json) {
  dom::parser parser;
  dom::element document;
  const simdjson::error_code error =
      parser.parse(json.data(), json.size(), /*realloc_if_needed=*/true).get(document);
  if (error != simdjson::SUCCESS) return Bad(simdjson::error_message(error));
  dom::object root;
  if (document.get(root) != simdjson::SUCCESS) return Bad("not a JSON object");
  absl::StatusOr<dom::object> model = ReadObject(root, "model");
  if (!model.ok()) return model.status();
  absl::StatusOr<std::string> type = ComponentType(*model);
  if (!type.ok()) return type.status();
  if (type->empty()) *type = GuessModelType(*model);
  if (*type == "WordPiece") return LoadWordPiece(root, *model);
  if (*type == "Unigram") return LoadUnigram(root, *model);
  return Bad("model type \"", *type, "\" is not known; WordPiece and Unigram are");
}

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadVocabTxt(std::string_view vocabulary) {
  const auto bad = [](const auto&... parts) { return BadFile("vocab.txt", parts...); };
  if (vocabulary.size() >= 0xFFFFFFFF) return bad("larger than 4 GiB");
  if (!simdjson::validate_utf8(vocabulary.data(), vocabulary.size())) return bad("invalid UTF-8");
  WordPieceModel model;
  for (; !vocabulary.empty(); ++model.id_limit) {
    const std::string_view token = NextLine(&vocabulary);
    const uint32_t id = static_cast<uint32_t>(model.id_limit);
    if (id >= kMaxVocabulary) return bad("more than ", kMaxVocabulary, " lines");
    if (token.empty()) continue;  // Its id exists, but nothing is encoded as it.
    if (!model.initial.Insert(token, id)) {
      return bad("line ", model.id_limit + 1, ": token \"", token, "\" is there already");
    }
    if (token.size() > 2 && token.substr(0, 2) == "##")
      model.continuing.Insert(token.substr(2), id);
  }
  for (const char* special : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}) {
    const uint32_t id = model.initial.Find(special);
    if (id == Vocabulary::kNone) continue;
    AddedToken token;
    token.content = special;
    token.id = id;
    model.added_tokens.push_back(std::move(token));
  }
  model.unknown_id = model.initial.Find("[UNK]");
  if (model.unknown_id == Vocabulary::kNone) return bad("no line \"[UNK]\"");
  return std::make_unique<WordPieceTokenizer>(std::move(model));
}

}  // namespace cairn::chunking
