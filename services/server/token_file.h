// Token files: docs/formats/tokens.md.
#ifndef CAIRN_SERVICES_SERVER_TOKEN_FILE_H_
#define CAIRN_SERVICES_SERVER_TOKEN_FILE_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "services/server/access.h"
#include "services/server/token_secret.h"

namespace cairn::services {

// The first line.
inline constexpr char kTokenFileHeader[] = "cairn-tokens 1\n";
inline constexpr size_t kMaxTokenFileBytes = 1 << 20;
inline constexpr size_t kMaxTokens = 4096;
inline constexpr size_t kMaxTokenLineBytes = 4096;  // Without the line feed.

struct TokenEntry {
  Identity identity;
  TokenDigest digest = {};
  std::optional<absl::CivilDay> last_day;  // In UTC; none: never expires.
  size_t line = 0;                         // Where it stands, from 1.

  bool ExpiredAt(absl::Time now) const;
};

// InvalidArgument unless `name` may name a token.
absl::Status CheckTokenName(std::string_view name);
// "YYYY-MM-DD", from 1970 on. InvalidArgument for what is no day.
absl::StatusOr<absl::CivilDay> ParseDay(std::string_view text);

// A file's tokens in its order; each one's grants in the order of their patterns. InvalidArgument
// with "line L, column C: ", and without a quotation of the text: a secret may stand there by
// mistake.
absl::StatusOr<std::vector<TokenEntry>> ParseTokenFile(std::string_view text);

// The token's line, with its line feed; ParseTokenFile reads it back if the parts are good.
std::string FormatToken(const TokenEntry& token);
// The permissions as they stand in the line: "read=* write=a,b-*".
std::string FormatGrants(const std::vector<Grant>& grants);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_SERVER_TOKEN_FILE_H_
