#include "kernels/block_format.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/kernels/block_vectors.h"

namespace cairn::kernels {
namespace {

using testing::BlockVector;
using testing::BlockVectors;

std::vector<BlockFormat> AllFormats() {
  std::vector<BlockFormat> formats;
  for (size_t i = 0; i < kBlockFormats; ++i) formats.push_back(static_cast<BlockFormat>(i));
  return formats;
}

std::vector<float> Normal(size_t n, uint32_t seed, float deviation) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

// Through blocks and back. The blocks lie at an odd address, in memory that ends where they do: a
// sanitizer sees any access beyond it.
std::vector<float> RoundTrip(BlockFormat format, const std::vector<float>& values) {
  const size_t bytes = FormatBytes(format, values.size());
  const std::unique_ptr<uint8_t[]> blocks(new uint8_t[bytes + 1]);
  Quantize(format, values.data(), values.size(), blocks.get() + 1);
  std::vector<float> result(values.size());
  Dequantize(format, blocks.get() + 1, values.size(), result.data());
  return result;
}

double RelativeError(const std::vector<float>& a, const std::vector<float>& b) {
  double error = 0, square = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    error += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
    square += double{a[i]} * a[i];
  }
  return std::sqrt(error / square);
}

TEST(BlockFormat, NamesParseBackInAnyCase) {
  for (BlockFormat format : AllFormats()) {
    const std::string name(BlockFormatName(format));
    EXPECT_EQ(ParseBlockFormat(name), format);
    std::string lower = name;
    for (char& c : lower) c = static_cast<char>(std::tolower(c));
    EXPECT_EQ(ParseBlockFormat(lower), format);
  }
  for (const char* unknown : {"", "Q4", "Q4_K_M", "Q2_K", "F32 "}) {
    EXPECT_EQ(ParseBlockFormat(unknown), std::nullopt) << unknown;
  }
}

TEST(BlockFormat, SizesAreThoseOfWholeBlocks) {
  EXPECT_EQ(FormatBytes(BlockFormat::kF32, 5), 20u);
  EXPECT_EQ(FormatBytes(BlockFormat::kBF16, 5), 10u);
  EXPECT_EQ(FormatBytes(BlockFormat::kQ8_0, 64), 68u);
  EXPECT_EQ(FormatBytes(BlockFormat::kQ6_K, 512), 420u);
  EXPECT_EQ(FormatBytes(BlockFormat::kQ4_0, uint64_t{1} << 40), (uint64_t{1} << 35) * 18);
}

// Every one of the 65,536 halves against the definition.
TEST(HalfPrecision, EveryHalfHasItsValueAndComesBack) {
  for (uint32_t bits = 0; bits < 65'536; ++bits) {
    const uint16_t half = static_cast<uint16_t>(bits);
    const int exponent = bits >> 10 & 31;
    const int fraction = bits & 1023;
    const float value = HalfToFloat(half);
    ASSERT_EQ(std::signbit(value), bits >= 0x8000) << bits;
    if (exponent == 31 && fraction != 0) {
      ASSERT_TRUE(std::isnan(value)) << bits;
      ASSERT_TRUE(std::isnan(HalfToFloat(FloatToHalf(value)))) << bits;
      continue;
    }
    double expected =
        exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    if (exponent == 31) expected = std::numeric_limits<double>::infinity();
    ASSERT_EQ(std::fabs(value), expected) << bits;
    ASSERT_EQ(FloatToHalf(value), half) << bits;
  }
}

TEST(HalfPrecision, RoundsToNearestAndTiesToEven) {
  for (uint32_t bits = 0; bits < 0x7bff; ++bits) {
    const float low = HalfToFloat(static_cast<uint16_t>(bits));
    const float high = HalfToFloat(static_cast<uint16_t>(bits + 1));
    const float middle = low + (high - low) / 2;  // Exact: one bit more than a half has.
    const uint16_t even = static_cast<uint16_t>(bits + (bits & 1));
    ASSERT_EQ(FloatToHalf(middle), even) << bits;
    ASSERT_EQ(FloatToHalf(std::nextafter(middle, 0.0f)), bits) << bits;
    ASSERT_EQ(FloatToHalf(std::nextafter(middle, 1e9f)), bits + 1) << bits;
    ASSERT_EQ(FloatToHalf(-middle), even | 0x8000) << bits;
  }
  EXPECT_EQ(FloatToHalf(65519.99f), 0x7bff);
  EXPECT_EQ(FloatToHalf(65520.0f), 0x7c00);
  EXPECT_EQ(FloatToHalf(3e38f), 0x7c00);
  EXPECT_EQ(FloatToHalf(-std::numeric_limits<float>::infinity()), 0xfc00);
  EXPECT_EQ(FloatToHalf(std::numeric_limits<float>::denorm_min()), 0);
}

TEST(Dequantize, GivesTheBitsOfTheReference) {
  for (const BlockVector& vector : BlockVectors()) {
    const BlockShape shape = ShapeOf(vector.format);
    ASSERT_EQ(vector.block.size(), shape.bytes);
    ASSERT_EQ(vector.values.size(), shape.values);
    // Twice, at an odd address: blocks follow each other without padding.
    std::vector<uint8_t> blocks(1);
    for (int i = 0; i < 2; ++i) {
      blocks.insert(blocks.end(), vector.block.begin(), vector.block.end());
    }
    std::vector<float> out(2 * shape.values);
    Dequantize(vector.format, blocks.data() + 1, out.size(), out.data());
    for (size_t i = 0; i < out.size(); ++i) {
      ASSERT_EQ(std::bit_cast<uint32_t>(out[i]), vector.values[i % shape.values])
          << BlockFormatName(vector.format) << " " << i;
    }
  }
}

TEST(Dequantize, UsesEveryBitOfABlock) {
  for (const BlockVector& vector : BlockVectors()) {
    const size_t n = vector.values.size();
    std::vector<float> before(n), after(n);
    Dequantize(vector.format, vector.block.data(), n, before.data());
    for (size_t bit = 0; bit < 8 * vector.block.size(); ++bit) {
      std::vector<uint8_t> block = vector.block;
      block[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
      Dequantize(vector.format, block.data(), n, after.data());
      EXPECT_NE(std::memcmp(before.data(), after.data(), n * sizeof(float)), 0)
          << BlockFormatName(vector.format) << " bit " << bit;
    }
  }
}

TEST(Quantize, FloatsOfThirtyTwoBitsStay) {
  const std::vector<float> values = Normal(1000, 1, 1);
  EXPECT_EQ(RoundTrip(BlockFormat::kF32, values), values);
}

TEST(Quantize, SixteenBitsRoundToNearest) {
  const std::vector<float> values = Normal(100'000, 2, 1);
  const std::vector<float> half = RoundTrip(BlockFormat::kF16, values);
  const std::vector<float> brain = RoundTrip(BlockFormat::kBF16, values);
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_LE(std::fabs(half[i] - values[i]), std::max(std::fabs(values[i]), 6.2e-5f) / 2048);
    EXPECT_LE(std::fabs(brain[i] - values[i]), std::fabs(values[i]) / 256);
  }
  // Ties go to even: 1 + 2^-8 lies between 1 and 1 + 2^-7.
  EXPECT_EQ(RoundTrip(BlockFormat::kBF16, {1 + 0x1p-8f}), std::vector<float>{1});
  EXPECT_EQ(RoundTrip(BlockFormat::kBF16, {1 + 3 * 0x1p-8f}), std::vector<float>{1 + 0x1p-6f});
  EXPECT_TRUE(std::isnan(RoundTrip(BlockFormat::kBF16, {std::bit_cast<float>(0x7f800001u)})[0]));
}

// Half a step on either side, and what rounding the scale to half precision adds.
TEST(Quantize, NoValueOfASimpleBlockIsOffByMoreThanAStep) {
  const struct {
    BlockFormat format;
    bool symmetric;
    float steps;
  } cases[] = {{BlockFormat::kQ8_0, true, 127},
               {BlockFormat::kQ4_1, false, 15},
               {BlockFormat::kQ5_1, false, 31}};
  const std::vector<float> values = Normal(32 * 1000, 3, 0.02f);
  for (const auto& c : cases) {
    const std::vector<float> back = RoundTrip(c.format, values);
    for (size_t i = 0; i < values.size(); ++i) {
      const auto begin = values.begin() + static_cast<ptrdiff_t>(i / 32 * 32);
      const auto [min, max] = std::minmax_element(begin, begin + 32);
      const float range = c.symmetric ? std::max(std::fabs(*min), *max) : *max - *min;
      EXPECT_LE(std::fabs(back[i] - values[i]), range / c.steps * 0.5f + range / 1000)
          << BlockFormatName(c.format) << " " << i;
    }
  }
}

// The errors on normally distributed values; the bounds are a few per cent above what comes out.
TEST(Quantize, ErrorsOnWeightsAreThoseOfTheFormat) {
  const std::pair<BlockFormat, double> bounds[] = {
      {BlockFormat::kF32, 0},       {BlockFormat::kF16, 0.00022}, {BlockFormat::kBF16, 0.0018},
      {BlockFormat::kQ8_0, 0.0055}, {BlockFormat::kQ4_0, 0.092},  {BlockFormat::kQ4_1, 0.082},
      {BlockFormat::kQ5_0, 0.046},  {BlockFormat::kQ5_1, 0.040},  {BlockFormat::kQ4_K, 0.075},
      {BlockFormat::kQ5_K, 0.037},  {BlockFormat::kQ6_K, 0.0187},
  };
  for (float deviation : {0.02f, 1.0f, 30.0f}) {
    const std::vector<float> values = Normal(256 * 400, 4, deviation);
    for (const auto& [format, bound] : bounds) {
      const double error = RelativeError(values, RoundTrip(format, values));
      EXPECT_LE(error, bound) << BlockFormatName(format) << " at " << deviation;
      EXPECT_GE(error, bound * 0.8) << BlockFormatName(format) << ": the bound says too little";
    }
  }
}

TEST(Quantize, ValuesOnTheGridStay) {
  // -8..7 with scale 1, for each symmetric format of at least four bits.
  std::vector<float> grid(256);
  for (size_t i = 0; i < grid.size(); ++i)
    grid[i] = static_cast<float>(static_cast<int>(i % 16) - 8);
  EXPECT_EQ(RoundTrip(BlockFormat::kQ4_0, grid), grid);
  EXPECT_EQ(RoundTrip(BlockFormat::kQ4_1, grid), grid);
  EXPECT_EQ(RoundTrip(BlockFormat::kF16, grid), grid);
  for (BlockFormat format : AllFormats()) {
    EXPECT_LE(RelativeError(grid, RoundTrip(format, grid)), 0.035) << BlockFormatName(format);
  }
}

TEST(Quantize, ConstantBlocksKeepTheirValue) {
  for (BlockFormat format : AllFormats()) {
    for (float value : {0.0f, 1.0f, -1.0f, 0.37f, -0.011f}) {
      const std::vector<float> values(256, value);
      for (float back : RoundTrip(format, values)) {
        ASSERT_NEAR(back, value, std::fabs(value) * 0.017f) << BlockFormatName(format);
      }
    }
  }
}

// Sizes at which scales leave half's range, single outliers, huge and tiny values: whatever comes
// back is finite.
TEST(Quantize, AnyFiniteValuesGiveFiniteValues) {
  std::mt19937 random(5);
  std::vector<float> values(512);
  for (int round = 0; round < 2000; ++round) {
    for (float& value : values) {
      uint32_t bits = random();
      if (round % 2 == 1) bits &= 0xc0000000u | random();  // More small exponents.
      value = std::bit_cast<float>(bits);
      if (!std::isfinite(value) || random() % 4 == 0) value = 0;
    }
    for (BlockFormat format : AllFormats()) {
      const std::vector<float> back = RoundTrip(format, values);
      if (format <= BlockFormat::kBF16) continue;  // Round to infinity, as the formats define.
      for (float value : back) ASSERT_TRUE(std::isfinite(value)) << BlockFormatName(format);
    }
  }
}

TEST(Quantize, IsTheSameEveryTimeAndForEachBlockAlone) {
  const std::vector<float> values = Normal(1024, 6, 0.1f);
  for (BlockFormat format : AllFormats()) {
    std::vector<uint8_t> whole(FormatBytes(format, 1024)), parts(whole.size());
    Quantize(format, values.data(), 1024, whole.data());
    for (size_t i = 0; i < 1024; i += 256) {
      Quantize(format, values.data() + i, 256, parts.data() + FormatBytes(format, i));
    }
    EXPECT_EQ(whole, parts) << BlockFormatName(format);
  }
}

}  // namespace
}  // namespace cairn::kernels
