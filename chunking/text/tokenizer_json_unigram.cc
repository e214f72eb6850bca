#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_replace.h"
#include "chunking/text/json_members.h"
#include "chunking/text/sentence_piece.h"
#include "chunking/text/tokenizer_json_models.h"
#include "chunking/text/tokenizer_json_parts.h"
#include "chunking/text/unigram.h"

namespace cairn::chunking {
namespace {

namespace dom = simdjson::dom;

absl::Status ReadVocabulary(const dom::object& model, UnigramVocabulary* out) {
  const absl::StatusOr<dom::array> vocabulary = ReadArray(model, "vocab");
  if (!vocabulary.ok()) return vocabulary.status();
  absl::Status status = CheckVocabularySize(vocabulary->size());
  if (!status.ok()) return status;
  out->tokens.Reserve(vocabulary->size(), vocabulary->size() * 10);
  for (const dom::element element : *vocabulary) {
    dom::array entry;
    std::string_view token;
    double score;
    if (element.get(entry) != simdjson::SUCCESS || entry.at(0).get(token) != simdjson::SUCCESS ||
        entry.at(1).get(score) != simdjson::SUCCESS) {
      return Bad("entry ", out->scores.size(), " of \"vocab\" is not [token, score]");
    }
    status = InsertToken(token, out->scores.size(), &out->tokens);
    if (!status.ok()) return status;
    if (const std::optional<uint8_t> byte = ByteTokens::Parse(token); byte.has_value()) {
      out->bytes.ids[*byte] = static_cast<uint32_t>(out->scores.size());
    }
    out->scores.push_back(score);
  }
  out->least_score = *std::min_element(out->scores.begin(), out->scores.end());
  uint64_t unknown = out->scores.size();
  status = ReadOptional(model, "unk_id", "a non-negative integer", &unknown);
  if (!status.ok()) return status;
  if (unknown >= out->scores.size()) return Bad("\"unk_id\" is not an id of the vocabulary");
  out->unknown_id = static_cast<uint32_t>(unknown);
  return ReadBool(model, "byte_fallback", &out->byte_fallback);
}

// Reads a Metaspace, alone or after WhitespaceSplit.
absl::Status ReadPreTokenizer(const dom::object& root, std::optional<Metaspace>* out) {
  if (!Member(root, "pre_tokenizer").has_value()) return absl::OkStatus();
  absl::StatusOr<dom::object> object = ReadObject(root, "pre_tokenizer");
  if (!object.ok()) return object.status();
  absl::StatusOr<std::string> type = ComponentType(*object);
  if (!type.ok()) return type.status();
  bool split_white_space = false;
  if (*type == "Sequence") {
    const absl::StatusOr<dom::array> parts = ReadArray(*object, "pretokenizers");
    if (!parts.ok()) return parts.status();
    dom::object first, second;
    if (parts->size() != 2 || parts->at(0).get(first) != simdjson::SUCCESS ||
        parts->at(1).get(second) != simdjson::SUCCESS) {
      return Bad("a pre_tokenizer Sequence must be WhitespaceSplit and Metaspace");
    }
    type = ComponentType(first);
    if (!type.ok()) return type.status();
    if (*type != "WhitespaceSplit") {
      return Bad("pre_tokenizer type \"", *type, "\" is not known before Metaspace");
    }
    split_white_space = true;
    *object = second;
    type = ComponentType(*object);
    if (!type.ok()) return type.status();
  }
  if (*type != "Metaspace") {
    return Bad("pre_tokenizer type \"", *type, "\" is not known for a Unigram model");
  }
  absl::Status status = ReadMetaspace(*object, &out->emplace());
  (*out)->split_white_space = split_white_space;
  return status;
}

void FillTexts(const UnigramVocabulary& vocabulary, SentencePieceDescription* out) {
  const std::string mark = out->metaspace.has_value() ? out->metaspace->replacement : "";
  out->facts.texts.Grow(vocabulary.scores.size());
  vocabulary.tokens.ForEach([&](std::string_view token, uint32_t id) {
    if (vocabulary.byte_fallback && ByteTokens::Parse(token).has_value()) {
      const char byte = static_cast<char>(*ByteTokens::Parse(token));
      return out->facts.texts.Set(id, std::string_view(&byte, 1), false);
    }
    std::string text(token);
    if (!mark.empty()) absl::StrReplaceAll({{mark, " "}}, &text);
    out->facts.texts.Set(id, text, id == vocabulary.unknown_id);
  });
  out->facts.unknown_id = vocabulary.unknown_id;
  out->facts.starts_with_space =
      out->metaspace.has_value() && out->metaspace->prepend != Metaspace::Prepend::kNever;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadUnigramJson(const TokenizerJson& file) {
  UnigramVocabulary vocabulary;
  SentencePieceDescription read;
  absl::Status status = ReadPreTokenizer(file.root, &read.metaspace);
  if (status.ok()) status = ReadVocabulary(file.model, &vocabulary);
  if (!status.ok()) return status;
  absl::StatusOr<std::vector<NormalizerStep>> steps = ReadNormalizers(file.root);
  if (!steps.ok()) return steps.status();
  read.normalizer = *std::move(steps);
  const auto find = [&](std::string_view token) { return vocabulary.tokens.Find(token); };
  absl::StatusOr<std::vector<AddedToken>> added =
      ReadAddedTokens(file.root, vocabulary.scores.size(), find);
  if (!added.ok()) return added.status();
  read.added_tokens = *std::move(added);
  FillTexts(vocabulary, &read);
  AddTexts(read.added_tokens, &read.facts);
  read.facts.documents = ControlText::kAsTokens;
  status = ReadPostProcessor(file.root, &read.facts.special);
  if (status.ok()) status = ApplyTokenizerConfig(file.config, find, &read.facts.special);
  if (status.ok()) status = FinishFacts(&read.facts);
  if (!status.ok()) return status;
  read.model = std::make_unique<UnigramModel>(std::move(vocabulary));
  return std::make_unique<SentencePieceTokenizer>(std::move(read));
}

}  // namespace cairn::chunking
