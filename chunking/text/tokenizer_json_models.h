// The models of a tokenizer.json.
#ifndef CAIRN_CHUNKING_TEXT_TOKENIZER_JSON_MODELS_H_
#define CAIRN_CHUNKING_TEXT_TOKENIZER_JSON_MODELS_H_

#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "chunking/text/json_members.h"
#include "chunking/text/tokenizer.h"

namespace cairn::chunking {

// A file's root object, its "model", and the tokenizer_config.json beside it or nothing.
struct TokenizerJson {
  simdjson::dom::object root;
  simdjson::dom::object model;
  std::string_view config;
};

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadWordPieceJson(const TokenizerJson& file);
absl::StatusOr<std::unique_ptr<Tokenizer>> LoadUnigramJson(const TokenizerJson& file);
absl::StatusOr<std::unique_ptr<Tokenizer>> LoadBytePairJson(const TokenizerJson& file);

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_TOKENIZER_JSON_MODELS_H_
