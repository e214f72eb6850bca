// The secrets that callers present, and what the server keeps of them.
#ifndef CAIRN_SERVICES_SERVER_TOKEN_SECRET_H_
#define CAIRN_SERVICES_SERVER_TOKEN_SECRET_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace cairn::services {

// SHA-256 of a secret.
using TokenDigest = std::array<uint8_t, 32>;

// "cairn_" and 32 random bytes in base64url, 49 characters. Internal where the system has no
// randomness to give.
absl::StatusOr<std::string> NewTokenSecret();

// Whether it has the form of what NewTokenSecret makes.
bool IsTokenSecret(std::string_view secret);

// Internal where the library cannot hash.
absl::StatusOr<TokenDigest> DigestOf(std::string_view secret);

// Whether two digests are the same, in a time that does not depend on them.
bool SameDigest(const TokenDigest& a, const TokenDigest& b);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_SERVER_TOKEN_SECRET_H_
