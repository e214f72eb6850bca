#include "engine/model/hf_files.h"

#include "absl/status/status.h"
#include "engine/model/json_document.h"
#include "engine/model/model_file.h"

namespace cairn::engine {

using nlohmann::json;

absl::StatusOr<std::optional<std::string>> ReadOptionalFile(const std::string& path,
                                                            uint64_t max_bytes) {
  const auto bytes = ReadModelFile(path, max_bytes);
  if (absl::IsNotFound(bytes.status())) return std::nullopt;
  if (!bytes.ok()) return bytes.status();
  return std::string(bytes->view());
}

absl::StatusOr<std::string> ParseChatTemplate(std::string_view tokenizer_config_json) {
  const auto tree = ParseJsonObject(tokenizer_config_json);
  if (!tree.ok()) return tree.status();
  const auto found = tree->find("chat_template");
  if (found == tree->end() || found->is_null()) return std::string();
  if (found->is_string()) return found->get<std::string>();
  const absl::Status fault =
      absl::InvalidArgumentError("chat_template is neither a string nor a list of named ones");
  if (!found->is_array()) return fault;
  std::optional<std::string> chosen;
  for (const json& entry : *found) {
    absl::Status status;
    const JsonObject named(entry, &status);
    const auto name = named.String("name");
    const auto text = named.String("template");
    if (!status.ok() || !name.has_value() || !text.has_value()) return fault;
    if (!chosen.has_value() || *name == "default") chosen = text;
  }
  return chosen.value_or("");
}

absl::StatusOr<std::vector<uint32_t>> ParseEndTokens(std::string_view generation_config_json,
                                                     uint32_t vocabulary_size) {
  const auto tree = ParseJsonObject(generation_config_json);
  if (!tree.ok()) return tree.status();
  std::vector<uint32_t> ids;
  const auto found = tree->find("eos_token_id");
  if (found == tree->end() || found->is_null()) return ids;
  const json list = found->is_array() ? *found : json::array({*found});
  for (const json& id : list) {
    if (!id.is_number_unsigned()) {
      return absl::InvalidArgumentError("eos_token_id is neither a token's id nor a list of ids");
    }
    const auto number = id.get<uint64_t>();
    if (number < vocabulary_size) ids.push_back(static_cast<uint32_t>(number));
  }
  return ids;
}

}  // namespace cairn::engine
