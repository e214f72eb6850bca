// The small files beside the weights in a Hugging Face directory.
#ifndef CAIRN_ENGINE_MODEL_HF_FILES_H_
#define CAIRN_ENGINE_MODEL_HF_FILES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace cairn::engine {

// The file's contents, at most `max_bytes`; nothing where there is none. Errors begin with the
// path.
absl::StatusOr<std::optional<std::string>> ReadOptionalFile(const std::string& path,
                                                            uint64_t max_bytes);

// The chat template of a tokenizer_config.json: the string, or of a list of named ones that called
// "default", else the first. Empty where there is none.
absl::StatusOr<std::string> ParseChatTemplate(std::string_view tokenizer_config_json);

// eos_token_id of a generation_config.json: a number or a list. Ids from `vocabulary_size` on are
// left out.
absl::StatusOr<std::vector<uint32_t>> ParseEndTokens(std::string_view generation_config_json,
                                                     uint32_t vocabulary_size);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_HF_FILES_H_
