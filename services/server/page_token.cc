#include "services/server/page_token.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <xxhash.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"

namespace cairn::services {
namespace {

// A token is base64url of: version, hash of the request, key to go on after, signature.
constexpr char kVersion = 1;
constexpr size_t kHashBytes = 8;
constexpr size_t kSignatureBytes = 16;

std::string Hash(std::string_view request_key) {
  uint64_t hash = XXH3_64bits(request_key.data(), request_key.size());
  std::string bytes(kHashBytes, '\0');
  for (char& byte : bytes) {
    byte = static_cast<char>(hash & 0xFF);
    hash >>= 8;
  }
  return bytes;
}

absl::Status NoToken() {
  return absl::InvalidArgumentError(
      "the page token is none of this server's; start with the first page");
}

}  // namespace

std::string PageTokens::Signature(std::string_view payload, std::string_view request_key) const {
  // Of the whole request: the hash alone could be made to meet another's. The payload has the
  // length of the request before it, so that the two cannot run into each other.
  std::string text;
  uint64_t length = request_key.size();
  for (int i = 0; i < 8; ++i, length >>= 8) text += static_cast<char>(length & 0xFF);
  text.append(request_key).append(payload);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  if (HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()),
           reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(),
           &size) == nullptr) {
    std::abort();  // SHA-256 is in every build of the library.
  }
  return std::string(reinterpret_cast<const char*>(digest.data()), kSignatureBytes);
}

std::string PageTokens::Make(std::string_view request_key, std::string_view after) const {
  std::string payload(1, kVersion);
  payload.append(Hash(request_key)).append(after);
  payload += Signature(payload, request_key);
  return absl::WebSafeBase64Escape(payload);
}

absl::StatusOr<std::string> PageTokens::Read(std::string_view request_key,
                                             std::string_view token) const {
  std::string bytes;
  if (token.size() > kMaxTokenBytes || !absl::WebSafeBase64Unescape(std::string(token), &bytes) ||
      bytes.size() < 1 + kHashBytes + kSignatureBytes || bytes[0] != kVersion) {
    return NoToken();
  }
  // The last character has bits that stand for nothing: only one spelling is a token of ours.
  if (absl::WebSafeBase64Escape(bytes) != token) return NoToken();
  const std::string_view payload =
      std::string_view(bytes).substr(0, bytes.size() - kSignatureBytes);
  if (payload.substr(1, kHashBytes) != Hash(request_key)) {
    return absl::InvalidArgumentError(
        "the page token is of another request: all other arguments must stay as they were");
  }
  const std::string expected = Signature(payload, request_key);
  if (CRYPTO_memcmp(expected.data(), bytes.data() + payload.size(), kSignatureBytes) != 0) {
    return NoToken();
  }
  return std::string(payload.substr(1 + kHashBytes));
}

}  // namespace cairn::services
