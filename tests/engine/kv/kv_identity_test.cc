#include "engine/kv/kv_identity.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>
#include <vector>

namespace cairn::engine {
namespace {

KvIdentity::Secret SecretOf(uint8_t seed) {
  KvIdentity::Secret secret;
  secret.fill(seed);
  return secret;
}

KvConfiguration Base() {
  KvConfiguration c;
  c.model_fingerprint = "model";
  c.tokenizer_fingerprint = "tokenizer";
  c.preface = {1, 2};
  return c;
}

const std::vector<uint32_t> kTokens = {5, 6, 7};

TEST(KvIdentityTest, TheSameIsTheSame) {
  const KvIdentity a(1, SecretOf(1)), b(1, SecretOf(1));
  EXPECT_EQ(a.Configuration(Base()), b.Configuration(Base()));
  EXPECT_EQ(a.Key(a.Configuration(Base()), {}, kTokens),
            b.Key(b.Configuration(Base()), {}, kTokens));
}

TEST(KvIdentityTest, EverythingMatters) {
  const std::vector<std::function<void(KvConfiguration*)>> changes = {
      [](KvConfiguration*) {},
      [](KvConfiguration* c) { c->model_fingerprint = "mode"; },
      [](KvConfiguration* c) { c->tokenizer_fingerprint = "ltokenizer"; },
      // What runs into the next field is not the same.
      [](KvConfiguration* c) {
        c->model_fingerprint = "mode";
        c->tokenizer_fingerprint = "ltokenizer";
      },
      [](KvConfiguration* c) { c->encoding = KvEncoding::kI8; },
      [](KvConfiguration* c) { c->positions = KvPositions::kRotated; },
      [](KvConfiguration* c) { c->source = KvSource::kPreface; },
      [](KvConfiguration* c) { c->source = KvSource::kDocument; },
      [](KvConfiguration* c) { c->preface = {1}; },
      [](KvConfiguration* c) { c->preface = {}; },
  };
  std::set<index::KvBlobName> names;
  size_t made = 0;
  for (uint8_t secret : {1, 2}) {
    const KvIdentity identity(1, SecretOf(secret));
    for (const auto& change : changes) {
      KvConfiguration configuration = Base();
      change(&configuration);
      const KvConfigurationId id = identity.Configuration(configuration);
      using Ids = std::vector<uint32_t>;
      for (const auto& [before, tokens] : std::vector<std::pair<Ids, Ids>>{
               {{}, {5, 6, 7}}, {{}, {5, 6}}, {{5}, {6, 7}}, {{5, 6}, {7}}, {{}, {5, 6, 263}}}) {
        names.insert(identity.Key(id, before, tokens).name);
        ++made;
      }
    }
  }
  EXPECT_EQ(names.size(), made);
}

TEST(KvIdentityTest, KeysCarryTheirCollection) {
  const KvIdentity identity(42, SecretOf(1));
  EXPECT_EQ(identity.Key(identity.Configuration(Base()), {}, kTokens).collection, 42u);
}

// As computed with Python's hmac: names must not change, or every blob is lost.
TEST(KvIdentityTest, NamesAreWhatTheFormatSays) {
  const KvIdentity identity(1, SecretOf(7));
  const KvKey key = identity.Key(identity.Configuration(Base()), {9}, kTokens);
  EXPECT_EQ(key.name.Hex(), "4a8dca4bd362e4e7424755f4522c339c436cfd6b74a3ff79bfebee94d66cce6f");
}

}  // namespace
}  // namespace cairn::engine
