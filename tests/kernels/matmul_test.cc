#include "kernels/matmul.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/matmul_variants.h"
#include "tests/support/random_blocks.h"

namespace cairn::kernels {
namespace {

constexpr float kMatMulGuard = -98765.0f;

struct Shape {
  size_t outputs, columns, batch;
};

// Edges of tiles and panels, of groups of activations, of row groups, and of the columns that are
// unpacked at a time.
std::vector<Shape> ShapesFor(BlockFormat format) {
  std::vector<Shape> shapes = {{16, 256, 1},  {37, 512, 2},  {50, 256, 3},  {33, 768, 4},
                               {37, 512, 5},  {64, 256, 12}, {65, 512, 13}, {31, 256, 30},
                               {49, 512, 65}, {18, 8448, 3}, {34, 8448, 7}};
  if (ShapeOf(format).values <= 32) {
    for (size_t columns : {32, 64, 96, 160, 2080}) {
      shapes.push_back({21, columns, 1});
      shapes.push_back({47, columns, 4});
      shapes.push_back({47, columns, 9});
    }
  }
  if (!IsQuantised(format)) {
    for (size_t columns : {2, 6, 34, 66}) {
      shapes.push_back({21, columns, 2});
      shapes.push_back({47, columns, 8});
    }
  }
  return shapes;
}

float Bf16Value(bf16 narrow) { return std::bit_cast<float>(uint32_t{narrow} << 16); }

std::vector<float> RoundedToBf16(const std::vector<float>& values) {
  std::vector<bf16> narrow(values.size());
  EncodeBf16(values.data(), values.size(), narrow.data());
  std::vector<float> rounded(values.size());
  for (size_t i = 0; i < values.size(); ++i) rounded[i] = Bf16Value(narrow[i]);
  return rounded;
}

// One product: weights, activations, and what the outputs are computed from.
struct Case {
  Case(BlockFormat format, const Shape& shape_in, ComputeType compute_in, std::mt19937& rng,
       float scale = 1.0f)
      : shape(shape_in),
        compute(compute_in),
        matrix(format, shape.outputs, shape.columns),
        x(shape.batch * shape.columns),
        w(shape.outputs * shape.columns) {
    const std::vector<uint8_t> blocks = cairn::testing::RandomBlocks(format, w.size(), rng);
    Dequantize(format, blocks.data(), w.size(), w.data());
    matrix.PackRows(0, shape.outputs, blocks.data());
    std::normal_distribution<float> normal(0, scale);
    for (float& v : x) v = normal(rng);
    Encode();
  }

  void Encode() {
    activations.Reset(shape.batch, shape.columns, compute);
    for (size_t r = 0; r < shape.batch; ++r) {
      activations.EncodeRow(r, x.data() + r * shape.columns);
    }
    used_x = x;
    used_w = w;
    if (compute == ComputeType::kBF16 && shape.batch > kVectorRows) {
      used_x = RoundedToBf16(x);
      used_w = RoundedToBf16(w);
    } else if (compute == ComputeType::kI8) {
      for (size_t i = 0; i < x.size(); ++i) {
        const size_t row = i / shape.columns, column = i % shape.columns;
        const size_t group = row * activations.groups() + column / kActivationGroup;
        used_x[i] = activations.scales()[group] * static_cast<float>(activations.i8()[i]);
      }
    }
  }

  std::string Name(Isa isa) const {
    return std::string(IsaName(isa)) + " " + std::string(BlockFormatName(matrix.format())) + " " +
           std::to_string(shape.outputs) + " x " + std::to_string(shape.columns) + " batch " +
           std::to_string(shape.batch) + " compute " + std::to_string(static_cast<int>(compute));
  }

  Shape shape;
  ComputeType compute;
  PackedMatrix matrix;
  std::vector<float> x, w;            // [batch][columns], [outputs][columns]
  std::vector<float> used_x, used_w;  // As the arithmetic takes them.
  Activations activations;
};

// The sums in double of what `c` uses, and what rounding errors relate to: a row of activations'
// magnitudes times the output's largest weight, because where values have minima, parts larger than
// the values are added up.
struct Expected {
  explicit Expected(const Case& c) {
    const size_t n = c.shape.columns;
    for (size_t r = 0; r < c.shape.batch; ++r) {
      for (size_t o = 0; o < c.shape.outputs; ++o) {
        double sum = 0, magnitude = 0, largest = 0;
        for (size_t k = 0; k < n; ++k) {
          const double a = c.used_x[r * n + k], b = c.used_w[o * n + k];
          sum += a * b;
          magnitude += std::fabs(a);
          largest = std::max(largest, std::fabs(b));
        }
        sums.push_back(sum);
        magnitudes.push_back(magnitude * largest);
      }
    }
  }
  std::vector<double> sums, magnitudes;  // [batch][outputs]
};

// Rounding errors of n additions add up like a random walk, far below n steps in one direction.
double Tolerance(size_t n) { return (16 + 4 * std::sqrt(static_cast<double>(n))) * 0x1p-24; }

// The outputs of the product in rows of `ld`, guards between and behind them.
std::vector<float> Outputs(const Case& c, size_t ld, bool accumulate) {
  std::vector<float> out(c.shape.batch * ld + 64, kMatMulGuard);
  for (size_t r = 0; accumulate && r < c.shape.batch; ++r) {
    for (size_t o = 0; o < c.shape.outputs; ++o) out[r * ld + o] = static_cast<float>(o + r) / 8;
  }
  return out;
}

void CheckProduct(Isa isa, const Case& c, const Expected& expected, bool accumulate,
                  double slack = 0) {
  const size_t ld = c.shape.outputs + 3;
  std::vector<float> out = Outputs(c, ld, accumulate);
  MatmulScratch scratch;
  MatMul(isa, c.matrix, 0, c.matrix.tiles(), c.activations, out.data(), ld, accumulate, &scratch);
  for (size_t i = 0; i < out.size(); ++i) {
    const size_t r = i / ld, o = i % ld;
    if (r >= c.shape.batch || o >= c.shape.outputs) {
      ASSERT_EQ(out[i], kMatMulGuard) << c.Name(isa) << ": written beyond the outputs, at " << i;
      continue;
    }
    const size_t at = r * c.shape.outputs + o;
    const double before = accumulate ? static_cast<double>(o + r) / 8 : 0;
    const double tolerance =
        Tolerance(c.shape.columns) * (expected.magnitudes[at] + std::fabs(before)) + slack;
    ASSERT_NEAR(out[i], expected.sums[at] + before, tolerance)
        << c.Name(isa) << " row " << r << " output " << o;
  }
}

bool Runs(Isa isa, ComputeType compute, BlockFormat format) {
  return SupportedCompute(compute, format, isa) == compute;
}

constexpr ComputeType kComputeTypes[] = {ComputeType::kF32, ComputeType::kBF16, ComputeType::kI8};

class MatMulTest : public ::testing::TestWithParam<BlockFormat> {
 protected:
  std::mt19937 rng_{static_cast<unsigned>(GetParam()) + 1};
};

TEST_P(MatMulTest, AgreesWithDoubleInEveryInstructionSetAndTouchesNothingElse) {
  for (ComputeType compute : kComputeTypes) {
    if (compute == ComputeType::kI8 && !IsQuantised(GetParam())) continue;
    for (const Shape& shape : ShapesFor(GetParam())) {
      const Case c(GetParam(), shape, compute, rng_);
      const Expected expected(c);
      for (Isa isa : SupportedIsas()) {
        if (!Runs(isa, compute, GetParam())) continue;
        CheckProduct(isa, c, expected, false);
        CheckProduct(isa, c, expected, true);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST_P(MatMulTest, IntegerProductsStayWithinTheErrorOfTheActivations) {
  if (!IsQuantised(GetParam())) GTEST_SKIP() << "kI8 needs a quantised format";
  const Shape shape = {33, 768, 6};
  const Case c(GetParam(), shape, ComputeType::kI8, rng_);
  for (Isa isa : SupportedIsas()) {
    std::vector<float> out(shape.batch * shape.outputs);
    MatmulScratch scratch;
    MatMul(isa, c.matrix, 0, c.matrix.tiles(), c.activations, out.data(), shape.outputs, false,
           &scratch);
    for (size_t r = 0; r < shape.batch; ++r) {
      for (size_t o = 0; o < shape.outputs; ++o) {
        double sum = 0, bound = 0;
        for (size_t k = 0; k < shape.columns; ++k) {
          const double weight = c.w[o * shape.columns + k];
          sum += weight * c.x[r * shape.columns + k];
          // An activation is off by half a unit of its group at most.
          const size_t group = r * c.activations.groups() + k / kActivationGroup;
          bound += std::fabs(weight) * c.activations.scales()[group] * 0.5;
        }
        ASSERT_NEAR(out[r * shape.outputs + o], sum, bound * 1.001) << c.Name(isa);
      }
    }
  }
}

TEST_P(MatMulTest, TheResultDoesNotDependOnHowTilesAreSharedOut) {
  for (ComputeType compute : kComputeTypes) {
    if (compute == ComputeType::kI8 && !IsQuantised(GetParam())) continue;
    for (size_t batch : {1, 4, 5, 13}) {
      const Shape shape = {16 * 7 + 5, 512, batch};
      const Case c(GetParam(), shape, compute, rng_);
      for (Isa isa : SupportedIsas()) {
        if (!Runs(isa, compute, GetParam())) continue;
        MatmulScratch scratch;
        std::vector<float> whole(batch * shape.outputs);
        MatMul(isa, c.matrix, 0, 8, c.activations, whole.data(), shape.outputs, false, &scratch);
        for (const std::vector<size_t>& bounds : {std::vector<size_t>{0, 1, 2, 3, 4, 5, 6, 7, 8},
                                                  {0, 3, 8},
                                                  {0, 2, 7, 8},
                                                  {0, 5, 5, 8}}) {
          std::vector<float> parts(batch * shape.outputs);
          for (size_t i = 0; i + 1 < bounds.size(); ++i) {
            MatMul(isa, c.matrix, bounds[i], bounds[i + 1], c.activations, parts.data(),
                   shape.outputs, false, &scratch);
          }
          ASSERT_EQ(std::memcmp(whole.data(), parts.data(), whole.size() * sizeof(float)), 0)
              << c.Name(isa);
        }
      }
    }
  }
}

TEST_P(MatMulTest, TakesHugeTinyAndDenormalActivations) {
  for (ComputeType compute : kComputeTypes) {
    if (compute == ComputeType::kI8 && !IsQuantised(GetParam())) continue;
    for (float scale : {1e30f, 1e-20f, 1e-36f, 1e-40f, 0.0f}) {
      for (size_t batch : {2, 6}) {
        const Case c(GetParam(), {20, 512, batch}, compute, rng_, scale);
        const Expected expected(c);
        // A product below the normal numbers may be rounded to one of them or, in bfloat16, to
        // zero.
        const double slack = 512 * 0x1p-120;
        for (Isa isa : SupportedIsas()) {
          if (!Runs(isa, compute, GetParam())) continue;
          CheckProduct(isa, c, expected, false, slack);
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

TEST_P(MatMulTest, IntegersAreExactAtTheirExtremes) {
  if (!IsQuantised(GetParam())) GTEST_SKIP() << "no integers in plain floats";
  const size_t columns = 512, outputs = 16;
  for (uint8_t byte : {0x00, 0xff, 0x80, 0x7f}) {
    std::vector<uint8_t> blocks = cairn::testing::RandomBlocks(GetParam(), outputs * columns, rng_);
    // Every quantised value alike; the scales' bytes stay (see ggml's layouts).
    const BlockShape shape = ShapeOf(GetParam());
    const bool last = GetParam() == BlockFormat::kQ6_K;  // Scales behind the values.
    const size_t header = shape.values == 256 ? 16 : HasMinima(GetParam()) ? 4 : 2;
    for (size_t at = 0; at < blocks.size(); at += shape.bytes) {
      const size_t begin = last ? 0 : header, end = last ? 192 : shape.bytes;
      std::memset(blocks.data() + at + begin, byte, end - begin);
    }
    for (size_t batch : {1, 5}) {
      for (float sign : {1.0f, -1.0f}) {
        Case c(GetParam(), {outputs, columns, batch}, ComputeType::kI8, rng_);
        c.matrix = PackedMatrix(GetParam(), outputs, columns);
        c.matrix.PackRows(0, outputs, blocks.data());
        Dequantize(GetParam(), blocks.data(), c.w.size(), c.w.data());
        // All become 127 or -127.
        c.x.assign(c.x.size(), sign * 3.0f);
        c.Encode();
        const Expected expected(c);
        for (Isa isa : SupportedIsas()) {
          CheckProduct(isa, c, expected, false);
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

TEST_P(MatMulTest, NotANumberInARowOfActivationsShowsInThatRowAlone) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (ComputeType compute : kComputeTypes) {
    if (compute == ComputeType::kI8 && !IsQuantised(GetParam())) continue;
    for (size_t batch : {2, 6}) {
      for (size_t column : {0, 20, 255}) {
        Case c(GetParam(), {20, 256, batch}, compute, rng_);
        c.x[256 + column] = nan;
        c.Encode();
        for (Isa isa : SupportedIsas()) {
          if (!Runs(isa, compute, GetParam())) continue;
          std::vector<float> out(batch * 20);
          MatmulScratch scratch;
          MatMul(isa, c.matrix, 0, 2, c.activations, out.data(), 20, false, &scratch);
          for (size_t i = 0; i < out.size(); ++i) {
            ASSERT_EQ(std::isnan(out[i]), i / 20 == 1) << c.Name(isa) << " at " << i;
          }
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(EveryFormat, MatMulTest,
                         ::testing::ValuesIn(cairn::testing::AllBlockFormats()),
                         [](const ::testing::TestParamInfo<BlockFormat>& format) {
                           return std::string(BlockFormatName(format.param));
                         });

class ActivationsTest : public ::testing::TestWithParam<Isa> {};

// Rows of different magnitudes, with zeros, denormals and ties.
std::vector<float> AwkwardRow(size_t n, std::mt19937& rng) {
  std::normal_distribution<float> normal;
  std::vector<float> row(n);
  for (size_t i = 0; i < n; ++i) {
    switch (i / 128 % 5) {
      case 0:
        row[i] = normal(rng);
        break;
      case 1:
        row[i] = normal(rng) * 1e37f;
        break;
      case 2:
        row[i] = normal(rng) * 1e-39f;
        break;
      case 3:
        row[i] = static_cast<float>(static_cast<int>(rng() % 255) - 127) / 2;  // Many ties.
        break;
      default:
        row[i] = i % 2 == 0 ? 0.0f : -0.0f;
    }
  }
  return row;
}

TEST_P(ActivationsTest, EverySetEncodesTheSameBits) {
  const MatmulKernels& kernels = GetMatmulKernels(GetParam());
  std::mt19937 rng(3);
  for (size_t n : {32, 64, 96, 128, 160, 640, 1280}) {
    const std::vector<float> row = AwkwardRow(n, rng);
    const size_t groups = (n + 127) / 128;
    std::vector<int8_t> q(n + 1, 77), expected_q(n + 1, 77);
    std::vector<float> scales(groups + 1, kMatMulGuard), expected_scales(groups + 1, kMatMulGuard);
    std::vector<int32_t> sums(n / 16 + 1, 99), expected_sums(n / 16 + 1, 99);
    kernels.encode_i8(row.data(), n, q.data(), scales.data(), sums.data());
    kScalarMatmul.encode_i8(row.data(), n, expected_q.data(), expected_scales.data(),
                            expected_sums.data());
    EXPECT_EQ(q, expected_q) << n;
    EXPECT_EQ(scales, expected_scales) << n;
    EXPECT_EQ(sums, expected_sums) << n;
    for (size_t i = 0; i < n; i += 16) {
      int32_t sum = 0;
      for (size_t j = i; j < i + 16; ++j) sum += q[j];
      ASSERT_EQ(sums[i / 16], sum);
    }
  }
  for (size_t n : {1, 2, 7, 8, 15, 16, 17, 31, 33, 640, 1280}) {
    const std::vector<float> row = AwkwardRow(n, rng);
    std::vector<bf16> narrow(n + 1, 77), expected(n + 1, 77);
    kernels.encode_bf16(row.data(), n, narrow.data());
    EncodeBf16(row.data(), n, expected.data());
    EXPECT_EQ(narrow, expected) << n;
  }
}

TEST_P(ActivationsTest, ValuesThatAreNoNumbersGiveEverySetTheSameIntegersAndABadScale) {
  const MatmulKernels& kernels = GetMatmulKernels(GetParam());
  std::mt19937 rng(3);
  for (float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                    -std::numeric_limits<float>::infinity()}) {
    for (size_t at : {0, 17, 100, 127}) {
      std::vector<float> row = AwkwardRow(128, rng);
      row[at] = bad;
      std::vector<int8_t> q(128), expected_q(128);
      std::vector<int32_t> sums(8), expected_sums(8);
      float scale = 0, expected_scale = 0;
      kernels.encode_i8(row.data(), 128, q.data(), &scale, sums.data());
      kScalarMatmul.encode_i8(row.data(), 128, expected_q.data(), &expected_scale,
                              expected_sums.data());
      EXPECT_FALSE(std::isfinite(scale)) << bad << " at " << at;
      EXPECT_FALSE(std::isfinite(expected_scale)) << bad << " at " << at;
      EXPECT_EQ(q, expected_q);
      EXPECT_EQ(sums, expected_sums);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(EveryIsa, ActivationsTest, ::testing::ValuesIn(SupportedIsas()),
                         [](const ::testing::TestParamInfo<Isa>& isa) {
                           return std::string(IsaName(isa.param));
                         });

TEST(SupportedCompute, FallsBackToWhatTheFormatAndTheInstructionsAllow) {
  for (Isa isa : SupportedIsas()) {
    const ComputeType narrow = isa == Isa::kAvx512 ? ComputeType::kBF16 : ComputeType::kF32;
    EXPECT_EQ(SupportedCompute(ComputeType::kF32, BlockFormat::kQ4_0, isa), ComputeType::kF32);
    EXPECT_EQ(SupportedCompute(ComputeType::kI8, BlockFormat::kQ4_0, isa), ComputeType::kI8);
    EXPECT_EQ(SupportedCompute(ComputeType::kI8, BlockFormat::kF16, isa), narrow);
    EXPECT_EQ(SupportedCompute(ComputeType::kBF16, BlockFormat::kQ4_0, isa), narrow);
  }
}

}  // namespace
}  // namespace cairn::kernels
