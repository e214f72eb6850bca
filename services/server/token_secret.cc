#include "services/server/token_secret.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"

namespace cairn::services {
namespace {

constexpr std::string_view kPrefix = "cairn_";
constexpr size_t kRandomBytes = 32;
constexpr size_t kEncodedBytes = 43;

}  // namespace

absl::StatusOr<std::string> NewTokenSecret() {
  std::string bytes(kRandomBytes, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(bytes.size())) !=
      1) {
    return absl::InternalError("no random bytes for a secret");
  }
  std::string encoded = absl::WebSafeBase64Escape(bytes);
  std::string secret = std::string(kPrefix).append(encoded);
  OPENSSL_cleanse(bytes.data(), bytes.size());
  OPENSSL_cleanse(encoded.data(), encoded.size());
  return secret;
}

bool IsTokenSecret(std::string_view secret) {
  return secret.size() == kPrefix.size() + kEncodedBytes && secret.starts_with(kPrefix) &&
         std::all_of(secret.begin() + kPrefix.size(), secret.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
         });
}

absl::StatusOr<TokenDigest> DigestOf(std::string_view secret) {
  TokenDigest digest;
  unsigned int size = 0;
  if (EVP_Digest(secret.data(), secret.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1 ||
      size != digest.size()) {
    return absl::InternalError("cannot compute SHA-256");
  }
  return digest;
}

bool SameDigest(const TokenDigest& a, const TokenDigest& b) {
  return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace cairn::services
