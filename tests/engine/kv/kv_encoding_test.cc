#include "engine/kv/kv_encoding.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "engine/kv/chunk_kv_buffer.h"

namespace cairn::engine {
namespace {

constexpr KvShape kEncodedShape = {.layers = 2, .kv_heads = 3, .head_dim = 20};

std::vector<float> RandomFloats(size_t n, uint32_t seed, float size = 3) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, size);
  std::vector<float> values(n);
  for (float& v : values) v = normal(random);
  return values;
}

class EachKvEncoding : public ::testing::TestWithParam<KvEncoding> {};
INSTANTIATE_TEST_SUITE_P(KvEncoding, EachKvEncoding,
                         ::testing::Values(KvEncoding::kF32, KvEncoding::kF16, KvEncoding::kI8));

TEST_P(EachKvEncoding, GivesBackWhatItTookUpToItsRounding) {
  const size_t tokens = 13;
  const std::vector<float> keys = RandomFloats(tokens * 60, 1),
                           values = RandomFloats(tokens * 60, 2);
  std::vector<std::byte> layer(KvLayerBytes(GetParam(), kEncodedShape, tokens));
  // In two pieces, the later first.
  EncodeKvTokens(GetParam(), kEncodedShape, tokens, 5, 8, &keys[300], &values[300], layer.data());
  EncodeKvTokens(GetParam(), kEncodedShape, tokens, 0, 5, &keys[0], &values[0], layer.data());
  for (const auto& [first, count] : {std::pair<size_t, size_t>{0, 13}, {4, 3}, {12, 1}, {6, 0}}) {
    std::vector<float> k(count * 60), v(count * 60);
    DecodeKvTokens(GetParam(), kEncodedShape, tokens, first, count, layer.data(), k.data(),
                   v.data());
    for (size_t i = 0; i < k.size(); ++i) {
      for (const auto& [got, expected] :
           {std::pair<float, float>{k[i], keys[first * 60 + i]}, {v[i], values[first * 60 + i]}}) {
        const float step = GetParam() == KvEncoding::kF32   ? 0
                           : GetParam() == KvEncoding::kF16 ? std::fabs(expected) / 2048 + 1e-7f
                                                            : 15.f / 127;
        EXPECT_NEAR(got, expected, step);
      }
    }
  }
}

TEST_P(EachKvEncoding, WhatIsNoFiniteNumberBecomesOne) {
  const float infinity = std::numeric_limits<float>::infinity();
  std::vector<float> keys(60, 1.f), values(60, 2.f);
  keys[0] = infinity;
  keys[1] = -infinity;
  keys[2] = std::numeric_limits<float>::quiet_NaN();
  std::vector<std::byte> layer(KvLayerBytes(GetParam(), kEncodedShape, 1));
  EncodeKvTokens(GetParam(), kEncodedShape, 1, 0, 1, keys.data(), values.data(), layer.data());
  std::vector<float> k(60), v(60);
  DecodeKvTokens(GetParam(), kEncodedShape, 1, 0, 1, layer.data(), k.data(), v.data());
  for (float x : k) EXPECT_TRUE(std::isfinite(x));
  EXPECT_GT(k[0], 1e4f);
  EXPECT_LT(k[1], -1e4f);
  EXPECT_EQ(v[7], 2.f);
}

TEST(KvEncoding, AHeadsScaleIsItsOwn) {
  std::vector<float> keys(60, 0.01f), values(60, 0.f);
  keys[0] = 1000;  // In the first head.
  std::vector<std::byte> layer(KvLayerBytes(KvEncoding::kI8, kEncodedShape, 1));
  EncodeKvTokens(KvEncoding::kI8, kEncodedShape, 1, 0, 1, keys.data(), values.data(), layer.data());
  std::vector<float> k(60), v(60);
  DecodeKvTokens(KvEncoding::kI8, kEncodedShape, 1, 0, 1, layer.data(), k.data(), v.data());
  EXPECT_EQ(k[1], 0);
  EXPECT_NEAR(k[20], 0.01f, 1e-6f);
  EXPECT_EQ(v[59], 0);
}

TEST(KvEncoding, NamesAreReadBack) {
  for (KvEncoding encoding : {KvEncoding::kF32, KvEncoding::kF16, KvEncoding::kI8}) {
    EXPECT_EQ(ParseKvEncoding(KvEncodingName(encoding)), encoding);
  }
  EXPECT_FALSE(ParseKvEncoding("f8").has_value());
}

TEST(ChunkKvBuffer, HoldsEveryLayersTokens) {
  ChunkKvBuffer buffer(KvEncoding::kF32, kEncodedShape, 4, 7);
  const std::vector<float> keys = RandomFloats(240, 3), values = RandomFloats(240, 4);
  buffer.Fill(1, 0, 4, keys.data(), values.data());
  std::vector<float> k(120), v(120);
  ASSERT_TRUE(buffer.Read(1, 2, 2, k.data(), v.data()).ok());
  EXPECT_EQ(k, std::vector<float>(keys.begin() + 120, keys.end()));
  EXPECT_EQ(v, std::vector<float>(values.begin() + 120, values.end()));
  EXPECT_EQ(buffer.bytes(), 2u * 2 * 4 * 60 * 4);
  EXPECT_EQ(buffer.first_position(), 7u);
  EXPECT_EQ(buffer.attention(), nullptr);
}

}  // namespace
}  // namespace cairn::engine
