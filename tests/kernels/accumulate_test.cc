#include "kernels/accumulate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace cairn::kernels {
namespace {

enum class Type { kF32, kF16, kI8 };

float HalfValue(uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const int fraction = bits & 1023;
  const float magnitude =
      exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

// Rows in their stored type, at an odd address, and the same values as floats.
struct Matrix {
  std::string bytes;
  std::vector<float> values;
  const char* rows() const { return bytes.data() + 1; }
};

Matrix RandomMatrix(Type type, size_t count, std::mt19937* random) {
  Matrix matrix;
  matrix.bytes = "x";
  std::uniform_real_distribution<float> real(-3, 3);
  for (size_t i = 0; i < count; ++i) {
    if (type == Type::kF32) {
      matrix.values.push_back(real(*random));
      matrix.bytes.append(reinterpret_cast<const char*>(&matrix.values.back()), 4);
    } else if (type == Type::kF16) {
      uint16_t half = (*random)();
      if ((half & 0x7c00) == 0x7c00) half ^= 0x4000;  // Neither infinity nor NaN.
      matrix.values.push_back(HalfValue(half));
      matrix.bytes.append(reinterpret_cast<const char*>(&half), 2);
    } else {
      matrix.bytes.push_back(static_cast<char>((*random)()));
      matrix.values.push_back(static_cast<signed char>(matrix.bytes.back()));
    }
  }
  // An exact-size allocation, so that a sanitizer sees any read beyond it.
  matrix.bytes.shrink_to_fit();
  return matrix;
}

class AccumulateTest : public ::testing::TestWithParam<Isa> {
 protected:
  void Check(Type type, size_t dim, size_t count, std::mt19937* random) {
    const size_t rows = 1 + (*random)() % 50;
    const Matrix matrix = RandomMatrix(type, rows * dim, random);
    std::uniform_real_distribution<float> real(-2, 2);
    std::vector<uint32_t> picks(count);
    std::vector<float> weights(count);
    for (uint32_t& pick : picks) pick = (*random)() % rows;
    for (float& weight : weights) weight = real(*random);
    std::vector<float> sum(dim + 1), expected(dim + 1);
    for (size_t d = 0; d <= dim; ++d) sum[d] = expected[d] = real(*random);
    for (size_t i = 0; i < count; ++i) {
      for (size_t d = 0; d < dim; ++d) {
        const volatile float product = weights[i] * matrix.values[picks[i] * dim + d];
        expected[d] += product;  // volatile: never fused into the product
      }
    }

    const AccumulateKernels& kernels = GetAccumulateKernels(GetParam());
    const auto kernel = type == Type::kF32   ? kernels.rows_f32
                        : type == Type::kF16 ? kernels.rows_f16
                                             : kernels.rows_i8;
    kernel(matrix.rows(), picks.data(), weights.data(), count, dim, sum.data());
    EXPECT_EQ(std::memcmp(sum.data(), expected.data(), sum.size() * sizeof(float)), 0)
        << "type " << static_cast<int>(type) << " dim " << dim << " count " << count;
  }
};

TEST_P(AccumulateTest, GivesTheBitsOfThePlainLoop) {
  std::mt19937 random(11);
  for (Type type : {Type::kF32, Type::kF16, Type::kI8}) {
    for (size_t dim = 0; dim <= 100; ++dim) Check(type, dim, random() % 40, &random);
    for (size_t dim : {127, 128, 255, 256, 257, 300, 384, 519, 1000}) {
      for (size_t count : {0, 1, 7, 8, 9, 100}) Check(type, dim, count, &random);
    }
  }
}

TEST_P(AccumulateTest, DecodesEveryFiniteHalf) {
  std::vector<uint16_t> halves;
  for (uint32_t bits = 0; bits < 65'536; ++bits) {
    if ((bits & 0x7c00) != 0x7c00) halves.push_back(static_cast<uint16_t>(bits));
  }
  // Single columns pass through the code for the last ones.
  for (size_t dim : {halves.size(), size_t{1}}) {
    for (size_t i = 0; i < halves.size(); i += dim) {
      std::vector<float> sum(dim);
      const uint32_t pick = 0;
      const float weight = 1;
      GetAccumulateKernels(GetParam()).rows_f16(&halves[i], &pick, &weight, 1, dim, sum.data());
      for (size_t d = 0; d < dim; ++d) ASSERT_EQ(sum[d], HalfValue(halves[i + d]));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, AccumulateTest, ::testing::ValuesIn(SupportedIsas()),
                         [](const auto& param_info) {
                           return std::string(IsaName(param_info.param));
                         });

}  // namespace
}  // namespace cairn::kernels
