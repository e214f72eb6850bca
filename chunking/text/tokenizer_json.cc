#include <string>

#include "chunking/text/json_members.h"
#include "chunking/text/tokenizer.h"
#include "chunking/text/tokenizer_json_models.h"
#include "chunking/text/tokenizer_json_parts.h"

namespace cairn::chunking {
namespace {

namespace dom = simdjson::dom;

// Older files have no model type.
std::string GuessModelType(const dom::object& model) {
  if (Member(model, "merges").has_value()) return "BPE";
  const std::optional<dom::element> vocabulary = Member(model, "vocab");
  return vocabulary.has_value() && vocabulary->is_array() ? "Unigram" : "WordPiece";
}

absl::StatusOr<std::unique_ptr<Tokenizer>> Load(std::string_view json, std::string_view config) {
  dom::parser parser;
  absl::StatusOr<dom::object> root = ParseObject(json, &parser);
  if (!root.ok()) return root.status();
  absl::StatusOr<dom::object> model = ReadObject(*root, "model");
  if (!model.ok()) return model.status();
  absl::StatusOr<std::string> type = ComponentType(*model);
  if (!type.ok()) return type.status();
  if (type->empty()) *type = GuessModelType(*model);
  const TokenizerJson file = {*root, *model, config};
  if (*type == "WordPiece") return LoadWordPieceJson(file);
  if (*type == "Unigram") return LoadUnigramJson(file);
  if (*type == "BPE") return LoadBytePairJson(file);
  return Bad("model type \"", *type, "\" is not known; WordPiece, Unigram and BPE are");
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizerJson(std::string_view json,
                                                             std::string_view config) {
  absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer = Load(json, config);
  if (!tokenizer.ok()) return InFile("tokenizer.json", tokenizer.status());
  return tokenizer;
}

}  // namespace cairn::chunking
