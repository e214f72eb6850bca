// Token files: what parses keeps the limits, and its lines written anew parse to the same tokens.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "services/server/token_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cairn::services;
  const auto write = [](const std::vector<TokenEntry>& tokens) {
    std::string text(kTokenFileHeader);
    for (const TokenEntry& token : tokens) text += FormatToken(token);
    return text;
  };
  const auto tokens = ParseTokenFile(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!tokens.ok()) {
    const std::string message(tokens.status().message());
    if (!message.starts_with("line ") && !message.starts_with("the file ")) std::abort();
    return 0;
  }
  if (tokens->size() > kMaxTokens) std::abort();
  size_t line = 1;
  for (const TokenEntry& token : *tokens) {
    if (token.line <= line || !CheckTokenName(token.identity.token).ok()) std::abort();
    line = token.line;
    for (const Grant& grant : token.identity.grants) {
      if (!grant.read && !grant.write && !grant.admin) std::abort();
      if (!CheckCollectionPattern(grant.collections).ok()) std::abort();
    }
  }
  const std::string normal = write(*tokens);
  const auto again = ParseTokenFile(normal);
  // No longer than the text was: a pattern is written once, blanks are single.
  if (!again.ok() || again->size() != tokens->size() || write(*again) != normal) std::abort();
  for (size_t i = 0; i < tokens->size(); ++i) {
    const TokenEntry &a = (*tokens)[i], &b = (*again)[i];
    if (a.identity.token != b.identity.token || a.identity.tenant != b.identity.tenant ||
        a.digest != b.digest || a.last_day != b.last_day) {
      std::abort();
    }
  }
  return 0;
}
