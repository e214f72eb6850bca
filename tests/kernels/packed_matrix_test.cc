#include "kernels/packed_matrix.h"

#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/isa.h"
#include "kernels/matmul_variants.h"
#include "tests/support/random_blocks.h"

namespace cairn::kernels {
namespace {

class PackedMatrixTest : public ::testing::TestWithParam<BlockFormat> {
 protected:
  // Widths that the format allows: single blocks, odd numbers of them, several super-blocks.
  std::vector<size_t> Widths() const {
    switch (ShapeOf(GetParam()).values) {
      case 1:
        return {2, 6, 34, 512};
      case 32:
        return {32, 96, 160, 512};
      default:
        return {256, 768};
    }
  }

  // [rows][columns] in the format's own layout.
  std::vector<uint8_t> Weights(size_t rows, size_t columns) {
    return cairn::testing::RandomBlocks(GetParam(), rows * columns, rng_);
  }

  std::mt19937 rng_{11};
};

bool SameTiles(const PackedMatrix& a, const PackedMatrix& b) {
  return a.bytes() == b.bytes() && std::memcmp(a.tile(0), b.tile(0), a.bytes()) == 0;
}

TEST_P(PackedMatrixTest, UnpacksToTheValuesOfDequantizeInEveryInstructionSet) {
  for (size_t columns : Widths()) {
    constexpr size_t kRows = 37;
    const std::vector<uint8_t> weights = Weights(kRows, columns);
    std::vector<float> expected(kRows * columns);
    Dequantize(GetParam(), weights.data(), expected.size(), expected.data());
    PackedMatrix matrix(GetParam(), kRows, columns);
    matrix.PackRows(0, kRows, weights.data());
    for (Isa isa : SupportedIsas()) {
      std::vector<float> panel(columns * kPanelWidth, -7.0f);
      for (size_t t = 0; t < matrix.tiles(); ++t) {
        GetMatmulKernels(isa).unpack_f32(GetParam(), matrix.tile(t), 0, columns, panel.data());
        for (size_t c = 0; c < columns; ++c) {
          for (size_t r = 0; r < kTileRows; ++r) {
            const size_t row = t * kTileRows + r;
            // Rows beyond the matrix are zeros.
            const float value = row < kRows ? expected[row * columns + c] : 0.0f;
            ASSERT_EQ(panel[c * kPanelWidth + r], value)
                << IsaName(isa) << " row " << row << " column " << c << " of " << columns;
          }
          ASSERT_EQ(panel[c * kPanelWidth + kTileRows], -7.0f) << "the panel's other half";
        }
      }
    }
  }
}

TEST_P(PackedMatrixTest, PartsOfARowUnpackAsTheWholeDoes) {
  constexpr size_t kColumns = 768;
  const std::vector<uint8_t> weights = Weights(kTileRows, kColumns);
  PackedMatrix matrix(GetParam(), kTileRows, kColumns);
  matrix.PackRows(0, kTileRows, weights.data());
  for (Isa isa : SupportedIsas()) {
    const MatmulKernels& kernels = GetMatmulKernels(isa);
    std::vector<float> whole(kColumns * kPanelWidth), parts(kColumns * kPanelWidth);
    kernels.unpack_f32(GetParam(), matrix.tile(0), 0, kColumns, whole.data());
    kernels.unpack_f32(GetParam(), matrix.tile(0), 0, 256, parts.data());
    kernels.unpack_f32(GetParam(), matrix.tile(0), 256, kColumns, parts.data() + 256 * kPanelWidth);
    EXPECT_EQ(whole, parts) << IsaName(isa);
  }
}

TEST_P(PackedMatrixTest, EveryInstructionSetUnpacksTheSameIntegersAndScales) {
  if (!IsQuantised(GetParam())) GTEST_SKIP() << "no integers in plain floats";
  constexpr size_t kColumns = 512;
  const std::vector<uint8_t> weights = Weights(kTileRows, kColumns);
  std::vector<float> expected(kTileRows * kColumns);
  Dequantize(GetParam(), weights.data(), expected.size(), expected.data());
  PackedMatrix matrix(GetParam(), kTileRows, kColumns);
  matrix.PackRows(0, kTileRows, weights.data());
  const size_t step = ScaleStep(GetParam());
  for (Isa isa : SupportedIsas()) {
    std::vector<uint8_t> q(kColumns * kPanelWidth);
    std::vector<float> scales(kColumns / step * kPanelWidth), minima(scales.size(), 0.0f);
    GetMatmulKernels(isa).unpack_i8(GetParam(), matrix.tile(0), 0, kColumns, q.data(),
                                    scales.data(), minima.data());
    for (size_t c = 0; c < kColumns; ++c) {
      for (size_t r = 0; r < kTileRows; ++r) {
        const size_t at = c / step * kPanelWidth + r;
        const int level = q[c / 4 * kPanelWidth * 4 + r * 4 + c % 4] - TileBlockOf(GetParam()).zero;
        // The product is rounded before the sum, as in Dequantize.
        volatile float scaled = scales[at] * static_cast<float>(level);
        ASSERT_EQ(scaled + minima[at], expected[r * kColumns + c])
            << IsaName(isa) << " row " << r << " column " << c;
      }
    }
  }
}

TEST_P(PackedMatrixTest, RowsMayBeFilledInAnyPartsOfWholeTiles) {
  constexpr size_t kRows = 59, kColumns = 256;
  const std::vector<uint8_t> weights = Weights(kRows, kColumns);
  const size_t row_bytes = FormatBytes(GetParam(), kColumns);
  PackedMatrix whole(GetParam(), kRows, kColumns), parts(GetParam(), kRows, kColumns);
  whole.PackRows(0, kRows, weights.data());
  parts.PackRows(48, 11, weights.data() + 48 * row_bytes);
  parts.PackRows(0, 16, weights.data());
  parts.PackRows(16, 32, weights.data() + 16 * row_bytes);
  EXPECT_TRUE(SameTiles(whole, parts));
}

TEST_P(PackedMatrixTest, TheSourceMayBeUnaligned) {
  constexpr size_t kRows = 16, kColumns = 256;
  const std::vector<uint8_t> weights = Weights(kRows, kColumns);
  std::vector<uint8_t> shifted(weights.size() + 1);
  std::memcpy(shifted.data() + 1, weights.data(), weights.size());
  PackedMatrix a(GetParam(), kRows, kColumns), b(GetParam(), kRows, kColumns);
  a.PackRows(0, kRows, weights.data());
  b.PackRows(0, kRows, shifted.data() + 1);
  EXPECT_TRUE(SameTiles(a, b));
}

TEST_P(PackedMatrixTest, TakesAtMostThreePercentMoreThanTheFormatDoes) {
  const PackedMatrix matrix(GetParam(), 64, 512);
  EXPECT_EQ(matrix.tiles(), 4u);
  EXPECT_EQ(matrix.bytes(), 4 * TileBytes(GetParam(), 512));
  const double stored = static_cast<double>(FormatBytes(GetParam(), 64 * 512));
  EXPECT_GE(static_cast<double>(matrix.bytes()), stored);
  EXPECT_LE(static_cast<double>(matrix.bytes()), 1.03 * stored);
}

TEST_P(PackedMatrixTest, MovesWithItsTiles) {
  const std::vector<uint8_t> weights = Weights(20, 256);
  PackedMatrix from(GetParam(), 20, 256), other(GetParam(), 20, 256);
  from.PackRows(0, 20, weights.data());
  other.PackRows(0, 20, weights.data());
  const PackedMatrix to = std::move(from);
  EXPECT_EQ(to.rows(), 20u);
  EXPECT_EQ(to.columns(), 256u);
  EXPECT_EQ(to.format(), GetParam());
  EXPECT_TRUE(SameTiles(to, other));
}

INSTANTIATE_TEST_SUITE_P(EveryFormat, PackedMatrixTest,
                         ::testing::ValuesIn(cairn::testing::AllBlockFormats()),
                         [](const ::testing::TestParamInfo<BlockFormat>& format) {
                           return std::string(BlockFormatName(format.param));
                         });

TEST(PackedMatrix, MayHaveNoRows) {
  const PackedMatrix matrix(BlockFormat::kF32, 0, 64);
  EXPECT_EQ(matrix.tiles(), 0u);
  EXPECT_EQ(matrix.bytes(), 0u);
}

}  // namespace
}  // namespace cairn::kernels
