// What is said of keys and values beside them.
#include "engine/kv/kv_blob.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <string>

#include "index/kv_blob_files.h"
#include "index/row_codec.h"

namespace cairn::engine {
namespace {

KvMetadata Example() {
  KvMetadata m;
  m.shape = {28, 8, 128};
  m.encoding = KvEncoding::kI8;
  m.tokens = 3;
  m.first_position = 1000;
  m.attention.emplace();
  m.attention->before = {{1, 10, 0.5f}, {~uint64_t{0}, 300, 0.25f}};
  m.attention->intra = 2.5f;
  m.attention->token_inter = {0.125f, 0, 1};
  return m;
}

void ExpectSame(const KvMetadata& a, const KvMetadata& b) {
  EXPECT_EQ(a.shape, b.shape);
  EXPECT_EQ(a.encoding, b.encoding);
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.first_position, b.first_position);
  ASSERT_EQ(a.attention.has_value(), b.attention.has_value());
  if (!a.attention.has_value()) return;
  ASSERT_EQ(a.attention->before.size(), b.attention->before.size());
  for (size_t i = 0; i < a.attention->before.size(); ++i) {
    EXPECT_EQ(a.attention->before[i].hash, b.attention->before[i].hash);
    EXPECT_EQ(a.attention->before[i].tokens, b.attention->before[i].tokens);
    EXPECT_EQ(a.attention->before[i].inter, b.attention->before[i].inter);
  }
  EXPECT_EQ(a.attention->intra, b.attention->intra);
  EXPECT_EQ(a.attention->token_inter, b.attention->token_inter);
}

TEST(KvMetadataTest, RoundTrip) {
  KvMetadata m = Example();
  absl::StatusOr<KvMetadata> read = DecodeKvMetadata(EncodeKvMetadata(m));
  ASSERT_TRUE(read.ok()) << read.status();
  ExpectSame(*read, m);
  m.attention->token_inter.clear();
  ExpectSame(*DecodeKvMetadata(EncodeKvMetadata(m)), m);
  m.attention.reset();
  ExpectSame(*DecodeKvMetadata(EncodeKvMetadata(m)), m);
}

TEST(KvMetadataTest, AttentionThatDoesNotFitIsLeftOut) {
  KvMetadata m = Example();
  m.tokens = 20000;
  m.attention->token_inter.assign(m.tokens, 1);
  const std::string bytes = EncodeKvMetadata(m);
  EXPECT_LE(bytes.size(), index::kMaxKvMetadataBytes);
  absl::StatusOr<KvMetadata> read = DecodeKvMetadata(bytes);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->tokens, 20000u);
  EXPECT_FALSE(read->attention.has_value());
}

TEST(KvMetadataTest, DamageIsFound) {
  const std::string bytes = EncodeKvMetadata(Example());
  for (size_t i = 0; i < bytes.size(); ++i) {
    EXPECT_FALSE(DecodeKvMetadata(bytes.substr(0, i)).ok());
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 4);
    EXPECT_FALSE(DecodeKvMetadata(damaged).ok());
  }
}

TEST(KvMetadataTest, SizesOutOfRangeAreRefused) {
  const auto with = [](auto change) {
    KvMetadata m = Example();
    change(&m);
    return DecodeKvMetadata(EncodeKvMetadata(m)).status();
  };
  EXPECT_TRUE(absl::IsDataLoss(with([](KvMetadata* m) { m->shape.layers = 0; })));
  EXPECT_TRUE(absl::IsDataLoss(with([](KvMetadata* m) { m->shape.layers = 5000; })));
  EXPECT_TRUE(absl::IsDataLoss(with([](KvMetadata* m) { m->shape.kv_heads = 0; })));
  EXPECT_TRUE(absl::IsDataLoss(with([](KvMetadata* m) { m->shape.head_dim = 1u << 20; })));
  EXPECT_TRUE(absl::IsDataLoss(with([](KvMetadata* m) { m->tokens = 0; })));
  EXPECT_TRUE(absl::IsDataLoss(with([](KvMetadata* m) { m->tokens = 1u << 30; })));
  EXPECT_TRUE(absl::IsDataLoss(with([](KvMetadata* m) { m->tokens = 4; })));  // Masses of 3.
  EXPECT_TRUE(
      absl::IsDataLoss(with([](KvMetadata* m) { m->encoding = static_cast<KvEncoding>(3); })));
  EXPECT_TRUE(absl::IsDataLoss(
      with([](KvMetadata* m) { m->attention->intra = std::numeric_limits<float>::quiet_NaN(); })));
}

}  // namespace
}  // namespace cairn::engine
