#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/distance.h"

namespace cairn::kernels {
namespace {

bf16 ToBf16(float value) {
  bf16 result = 0;
  EncodeBf16(&value, 1, &result);
  return result;
}

float FromBits(uint32_t bits) { return std::bit_cast<float>(bits); }
float FromBf16(bf16 value) { return FromBits(uint32_t{value} << 16); }

TEST(EncodeBf16, RoundsTiesToEven) {
  EXPECT_EQ(ToBf16(FromBits(0x3f808000)), 0x3f80);  // Halfway, even below.
  EXPECT_EQ(ToBf16(FromBits(0x3f818000)), 0x3f82);  // Halfway, even above.
  EXPECT_EQ(ToBf16(FromBits(0x3f808001)), 0x3f81);
  EXPECT_EQ(ToBf16(FromBits(0x3f807fff)), 0x3f80);
  EXPECT_EQ(ToBf16(FromBits(0xbf818000)), 0xbf82);
}

TEST(EncodeBf16, CarriesIntoTheExponent) {
  EXPECT_EQ(ToBf16(FromBits(0x3fffffff)), 0x4000);  // Just below 2 becomes 2.
}

TEST(EncodeBf16, KeepsZerosDenormalsAndTheLargestValue) {
  EXPECT_EQ(ToBf16(0.0f), 0);
  EXPECT_EQ(ToBf16(-0.0f), 0x8000);
  EXPECT_EQ(ToBf16(FromBits(0x00010000)), 0x0001);  // The least bfloat16.
  EXPECT_EQ(ToBf16(FromBits(0x00008000)), 0x0000);  // Half of it ties to even.
  EXPECT_EQ(ToBf16(FromBits(0x7f7f0000)), 0x7f7f);  // The largest finite bfloat16.
  EXPECT_EQ(ToBf16(FromBits(0x7f7f7fff)), 0x7f7f);
  EXPECT_EQ(ToBf16(std::numeric_limits<float>::max()), 0x7f80);  // Rounds to infinity.
}

TEST(EncodeBf16, PicksTheNearestOfItsNeighbours) {
  std::mt19937 rng(2);
  for (int i = 0; i < 100000; ++i) {
    const float value = FromBits(rng() & 0xbfffffffu);  // Finite, magnitude below 2.
    const bf16 code = ToBf16(value);
    const double error = std::fabs(double{FromBf16(code)} - double{value});
    for (int step : {-1, 1}) {
      if ((code & 0x7fff) == 0 && step == -1) continue;  // Zero has no neighbour below.
      const bf16 neighbour = static_cast<bf16>(code + step);
      const double other = std::fabs(double{FromBf16(neighbour)} - double{value});
      ASSERT_LE(error, other) << value;
      if (error == other) {
        ASSERT_EQ(code & 1, 0) << value;
      }
    }
  }
}

TEST(EncodeI8, AllZerosHaveScaleZero) {
  const std::vector<float> zeros = {0.0f, -0.0f, 0.0f};
  std::vector<int8_t> codes(3, 99);
  EXPECT_EQ(EncodeI8(zeros.data(), zeros.size(), codes.data()), 0.0f);
  EXPECT_EQ(codes, std::vector<int8_t>(3, 0));
  EXPECT_EQ(EncodeI8(nullptr, 0, nullptr), 0.0f);
}

TEST(EncodeI8, LargestMagnitudeBecomes127) {
  const std::vector<float> values = {-2.54f, 1.27f, 0.0f, 2.54f, 0.0101f, -0.0099f};
  std::vector<int8_t> codes(values.size());
  EXPECT_FLOAT_EQ(EncodeI8(values.data(), values.size(), codes.data()), 0.02f);
  EXPECT_EQ(codes[0], -127);
  EXPECT_EQ(codes[2], 0);
  EXPECT_EQ(codes[3], 127);
  EXPECT_EQ(codes[4], 1);
  EXPECT_EQ(codes[5], 0);
}

TEST(EncodeI8, ErrorIsAtMostHalfAStep) {
  std::mt19937 rng(3);
  std::normal_distribution<float> value;
  for (int round = 0; round < 200; ++round) {
    std::vector<float> values(1 + rng() % 300);
    const float magnitude = std::ldexp(1.0f, static_cast<int>(rng() % 200) - 100);
    for (float& v : values) v = value(rng) * magnitude;
    std::vector<int8_t> codes(values.size());
    const float scale = EncodeI8(values.data(), values.size(), codes.data());
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_GE(codes[i], -127);
      ASSERT_LE(std::fabs(double{scale} * codes[i] - double{values[i]}), 0.5001 * double{scale});
    }
  }
}

TEST(EncodeI8, SurvivesDenormalAndLargestInputs) {
  const float least = std::numeric_limits<float>::denorm_min();
  const float most = std::numeric_limits<float>::max();
  for (float largest : {least, 60 * least, 100 * least, 190 * least, 1000 * least, most}) {
    const std::vector<float> values = {largest, -largest, 0};
    std::vector<int8_t> codes(3, 99);
    const float scale = EncodeI8(values.data(), values.size(), codes.data());
    EXPECT_EQ(codes[0], -codes[1]) << largest;
    EXPECT_EQ(codes[2], 0) << largest;
    EXPECT_EQ(scale == 0, codes[0] == 0) << largest;
    EXPECT_TRUE(std::isfinite(scale));
  }
}

}  // namespace
}  // namespace cairn::kernels
