#include "engine/kv/kv_identity.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

namespace cairn::engine {
namespace {

template <typename T>
void AppendLittleEndian(T value, std::string* to) {
  for (size_t i = 0; i < sizeof value; ++i) to->push_back(static_cast<char>(value >> (8 * i)));
}

// Each field with its length before it, so that two that run into each other are not the same.
void AppendString(std::string_view s, std::string* to) {
  AppendLittleEndian(uint64_t{s.size()}, to);
  to->append(s);
}

void AppendIds(absl::Span<const uint32_t> ids, std::string* to) {
  AppendLittleEndian(uint64_t{ids.size()}, to);
  for (uint32_t id : ids) AppendLittleEndian(id, to);
}

std::array<uint8_t, 32> KeyedHash(const KvIdentity::Secret& secret, std::string_view text) {
  std::array<uint8_t, 32> digest{};
  unsigned size = 0;
  if (HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
           reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(),
           &size) == nullptr ||
      size != digest.size()) {
    std::abort();  // SHA-256 is in every build of the library.
  }
  return digest;
}

}  // namespace

KvConfigurationId KvIdentity::Configuration(const KvConfiguration& configuration) const {
  std::string text = "cairn kv configuration 1";
  AppendString(configuration.model_fingerprint, &text);
  AppendString(configuration.tokenizer_fingerprint, &text);
  AppendLittleEndian(static_cast<uint8_t>(configuration.encoding), &text);
  AppendLittleEndian(static_cast<uint8_t>(configuration.positions), &text);
  AppendLittleEndian(static_cast<uint8_t>(configuration.source), &text);
  AppendIds(configuration.preface, &text);
  if (!configuration.scope.empty()) AppendString(configuration.scope, &text);
  return KeyedHash(secret_, text);
}

KvKey KvIdentity::Key(const KvConfigurationId& configuration, absl::Span<const uint32_t> before,
                      absl::Span<const uint32_t> tokens) const {
  std::string text = "cairn kv blob 1";
  text.reserve(text.size() + configuration.size() + 16 + 4 * (before.size() + tokens.size()));
  text.append(configuration.begin(), configuration.end());
  AppendIds(before, &text);
  AppendIds(tokens, &text);
  KvKey key;
  key.collection = collection_;
  key.name.bytes = KeyedHash(secret_, text);
  return key;
}

}  // namespace cairn::engine
