#include "engine/model/model_layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/engine/model/tiny_models.h"

namespace cairn::engine {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using testing::TinyConfig;

TEST(ModelLayout, ChecksEverySetting) {
  const ModelConfig good = TinyConfig(Architecture::kLlama);
  ASSERT_TRUE(CheckConfig(good).ok());
  uint32_t ModelConfig::*const counts[] = {
      &ModelConfig::layers,          &ModelConfig::hidden_size,    &ModelConfig::intermediate_size,
      &ModelConfig::heads,           &ModelConfig::kv_heads,       &ModelConfig::head_dim,
      &ModelConfig::vocabulary_size, &ModelConfig::context_length, &ModelConfig::rope_dims};
  for (uint32_t ModelConfig::*count : counts) {
    for (uint32_t bad : {0u, 0x7fffffffu, 0xffffffffu}) {
      ModelConfig config = good;
      config.*count = bad;
      EXPECT_EQ(CheckConfig(config).code(), absl::StatusCode::kInvalidArgument);
    }
  }
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  for (float bad : {0.0f, -1.0f, nan, infinity}) {
    ModelConfig config = good;
    config.norm_epsilon = bad;
    EXPECT_FALSE(CheckConfig(config).ok());
    config = good;
    config.rope_theta = bad;
    EXPECT_FALSE(CheckConfig(config).ok());
    config = good;
    config.rope_scaling.kind = RopeScaling::Kind::kLinear;
    config.rope_scaling.factor = bad;
    EXPECT_FALSE(CheckConfig(config).ok());
    config = good;
    config.rope_divisors.assign(8, bad);
    EXPECT_FALSE(CheckConfig(config).ok());
  }
}

// Every pattern that can be said comes back; others are refused, not misread.
TEST(ModelLayout, SlidingLayersComeBackOrAreRefused) {
  int fits = 0;
  for (uint32_t bits = 0; bits < 64; ++bits) {
    std::vector<bool> slides(6);
    for (uint32_t l = 0; l < 6; ++l) slides[l] = bits >> l & 1;
    ModelConfig config;
    config.layers = 6;
    config.sliding_window = 10;
    const absl::Status set = SetSlidingLayers(slides, &config);
    if (!set.ok()) {
      EXPECT_THAT(set.message(), HasSubstr("irregular"));
      continue;
    }
    ++fits;
    for (uint32_t l = 0; l < 6; ++l) EXPECT_EQ(config.WindowOf(l), slides[l] ? 10u : 0u) << bits;
  }
  EXPECT_GE(fits, 12);  // Seven beginnings, and periods of two to six.
  EXPECT_LT(fits, 64);
}

// The example of Llama 3.1: factor 8 over 8,192 positions, base 500,000, 128 dimensions.
TEST(ModelLayout, Llama3DivisorsGoFromOneToTheFactor) {
  ModelConfig config;
  config.rope_dims = config.head_dim = 128;
  config.rope_theta = 500'000;
  config.rope_scaling = {.kind = RopeScaling::Kind::kLlama3, .factor = 8, .original_context = 8192};
  const std::vector<float> divisors = RopeDivisors(config);
  ASSERT_EQ(divisors.size(), 64u);
  for (size_t i = 0; i < 64; ++i) {
    const double wavelength = 2 * M_PI * std::pow(500'000.0, 2.0 * static_cast<double>(i) / 128);
    if (wavelength < 8192.0 / 4) {
      EXPECT_EQ(divisors[i], 1) << i;
    } else if (wavelength > 8192.0) {
      EXPECT_EQ(divisors[i], 8) << i;
    } else {
      EXPECT_GT(divisors[i], divisors[i - 1]);
      EXPECT_LT(divisors[i], 8);
    }
  }
  EXPECT_EQ(divisors.front(), 1);
  EXPECT_EQ(divisors.back(), 8);
  config.rope_scaling.kind = RopeScaling::Kind::kNone;
  EXPECT_TRUE(RopeDivisors(config).empty());
  config.rope_divisors.assign(64, 2);
  EXPECT_THAT(RopeDivisors(config), Each(2));
}

TEST(ModelLayout, FormatsFallBackToWholeBlocks) {
  using kernels::BlockFormat;
  const auto format = [](uint64_t columns, BlockFormat wanted) {
    return FormatFor({"m", {3, columns}}, wanted);
  };
  EXPECT_EQ(format(512, BlockFormat::kQ4_K), BlockFormat::kQ4_K);
  EXPECT_EQ(format(896, BlockFormat::kQ4_K), BlockFormat::kQ8_0);
  EXPECT_EQ(format(896, BlockFormat::kQ4_0), BlockFormat::kQ4_0);
  EXPECT_EQ(format(100, BlockFormat::kQ4_0), BlockFormat::kF16);
  EXPECT_EQ(format(100, BlockFormat::kBF16), BlockFormat::kBF16);
  EXPECT_EQ(FormatFor({"v", {512}}, BlockFormat::kQ4_0), BlockFormat::kF32);
}

}  // namespace
}  // namespace cairn::engine
