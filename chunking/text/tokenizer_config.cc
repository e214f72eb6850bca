#include "chunking/text/tokenizer_config.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "chunking/text/json_members.h"
#include "chunking/text/tokenizer_json_parts.h"

namespace cairn::chunking {
namespace {

namespace dom = simdjson::dom;

// Reads a token that is a string, or an object with its content.
absl::Status ReadToken(const dom::object& config, std::string_view key, std::string* out) {
  const std::optional<dom::element> value = Member(config, key);
  dom::object object;
  if (value.has_value() && value->get(object) == simdjson::SUCCESS) {
    return ReadString(object, "content", out);
  }
  return ReadString(config, key, out);
}

absl::Status ReadFlag(const dom::object& config, std::string_view key, std::optional<bool>* out) {
  bool flag = false;
  absl::Status status = ReadBool(config, key, &flag);
  if (status.ok() && Member(config, key).has_value()) *out = flag;
  return status;
}

absl::Status ReadAdded(const dom::object& config, std::vector<AddedToken>* out) {
  if (!Member(config, "added_tokens_decoder").has_value()) return absl::OkStatus();
  const absl::StatusOr<dom::object> tokens = ReadObject(config, "added_tokens_decoder");
  if (!tokens.ok()) return tokens.status();
  if (tokens->size() > kMaxAddedTokens) return Bad("more than ", kMaxAddedTokens, " added tokens");
  for (const auto [id, value] : *tokens) {
    AddedToken token;
    dom::object object;
    if (!absl::SimpleAtoi(AbslView(id), &token.id) || token.id > kMaxTokenId ||
        value.get(object) != simdjson::SUCCESS) {
      return Bad("\"added_tokens_decoder\" has no token for \"", id, "\"");
    }
    absl::Status status = ReadAddedTokenFlags(object, &token);
    if (!status.ok()) return status;
    if (token.content.empty()) return Bad("added token ", token.id, " has no \"content\"");
    out->push_back(std::move(token));
  }
  return absl::OkStatus();
}

absl::Status Read(const dom::object& root, TokenizerConfig* out) {
  absl::Status status = ReadString(root, "tokenizer_class", &out->tokenizer_class);
  status.Update(ReadToken(root, "bos_token", &out->bos_token));
  status.Update(ReadToken(root, "eos_token", &out->eos_token));
  status.Update(ReadToken(root, "unk_token", &out->unk_token));
  status.Update(ReadFlag(root, "add_bos_token", &out->add_bos_token));
  status.Update(ReadFlag(root, "add_eos_token", &out->add_eos_token));
  status.Update(ReadFlag(root, "add_prefix_space", &out->add_prefix_space));
  status.Update(ReadAdded(root, &out->added_tokens));
  std::string& name = out->tokenizer_class;
  if (name.size() > 4 && name.compare(name.size() - 4, 4, "Fast") == 0)
    name.resize(name.size() - 4);
  return status;
}

}  // namespace

absl::StatusOr<TokenizerConfig> ReadTokenizerConfig(std::string_view json) {
  TokenizerConfig config;
  if (json.empty()) return config;
  dom::parser parser;
  const absl::StatusOr<dom::object> root = ParseObject(json, &parser);
  absl::Status status = root.ok() ? Read(*root, &config) : root.status();
  if (!status.ok()) return InFile("tokenizer_config.json", status);
  return config;
}

}  // namespace cairn::chunking
