#include <utility>

#include "chunking/text/json_members.h"
#include "chunking/text/tokenizer_json_models.h"
#include "chunking/text/tokenizer_json_parts.h"
#include "chunking/text/wordpiece.h"

namespace cairn::chunking {
namespace {

namespace dom = simdjson::dom;

// Reads the optional decoder's clean-up.
absl::Status ReadDecoder(const dom::object& root, bool* clean_up) {
  if (!Member(root, "decoder").has_value()) return absl::OkStatus();
  absl::StatusOr<dom::object> decoder = ReadObject(root, "decoder");
  return decoder.ok() ? ReadBool(*decoder, "cleanup", clean_up) : decoder.status();
}

absl::Status ReadVocabulary(const dom::object& model, std::string_view prefix, bool clean_up,
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
      const std::string_view rest = token.substr(prefix.size());
      out->continuing.Insert(rest, static_cast<uint32_t>(id));
      out->facts.texts.Set(static_cast<uint32_t>(id), rest, false);
    } else {
      out->facts.texts.Set(static_cast<uint32_t>(id), WordPieceText(token, clean_up), false);
    }
  }
  return absl::OkStatus();
}

absl::Status ReadPipeline(const dom::object& root, WordPieceModel* out) {
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

absl::Status ReadSpecial(const TokenizerJson& file, WordPieceModel* model) {
  const auto find = [&](std::string_view token) { return model->initial.Find(token); };
  absl::StatusOr<std::vector<AddedToken>> added =
      ReadAddedTokens(file.root, model->initial.size(), find);
  if (!added.ok()) return added.status();
  model->added_tokens = *std::move(added);
  AddTexts(model->added_tokens, &model->facts);
  absl::Status status = ReadPostProcessor(file.root, &model->facts.special);
  if (status.ok()) status = ApplyTokenizerConfig(file.config, find, &model->facts.special);
  return status.ok() ? FinishFacts(&model->facts) : status;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadWordPieceJson(const TokenizerJson& file) {
  WordPieceModel read;
  std::string unknown = "[UNK]", prefix = "##";
  uint64_t max_chars = read.max_input_chars_per_word;
  bool clean_up = true;
  absl::Status status = ReadString(file.model, "unk_token", &unknown);
  status.Update(ReadString(file.model, "continuing_subword_prefix", &prefix));
  status.Update(
      ReadOptional(file.model, "max_input_chars_per_word", "a non-negative integer", &max_chars));
  status.Update(ReadDecoder(file.root, &clean_up));
  if (status.ok()) status = ReadPipeline(file.root, &read);
  if (status.ok()) status = ReadVocabulary(file.model, prefix, clean_up, &read);
  if (!status.ok()) return status;
  if (max_chars == 0 || max_chars > WordPieceModel::kLongestWord) {
    return Bad("\"max_input_chars_per_word\" must be 1 to ", WordPieceModel::kLongestWord);
  }
  read.max_input_chars_per_word = max_chars;
  const uint32_t unknown_id = read.initial.Find(unknown);
  if (unknown_id == Vocabulary::kNone) {
    return Bad("the unknown token \"", unknown, "\" is not in the vocabulary");
  }
  read.facts.unknown_id = unknown_id;
  read.facts.starts_with_space = true;
  read.facts.documents = ControlText::kAsTokens;
  if (status = ReadSpecial(file, &read); !status.ok()) return status;
  return std::make_unique<WordPieceTokenizer>(std::move(read));
}

}  // namespace cairn::chunking
