// The tokenizer_config.json beside a tokenizer's own files.
#ifndef CAIRN_CHUNKING_TEXT_TOKENIZER_CONFIG_H_
#define CAIRN_CHUNKING_TEXT_TOKENIZER_CONFIG_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "chunking/text/added_tokens.h"

namespace cairn::chunking {

struct TokenizerConfig {
  std::string tokenizer_class;  // Without "Fast" at its end; may be empty.
  std::string bos_token;        // Empty where there is none, as the others.
  std::string eos_token;
  std::string unk_token;
  std::optional<bool> add_bos_token;
  std::optional<bool> add_eos_token;
  std::optional<bool> add_prefix_space;
  std::vector<AddedToken> added_tokens;  // "added_tokens_decoder".
};

// Nothing but defaults where `json` is empty. InvalidArgument, naming the file, where it is wrong.
absl::StatusOr<TokenizerConfig> ReadTokenizerConfig(std::string_view json);

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_TOKENIZER_CONFIG_H_
