#include "kernels/elementwise.h"

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace cairn::kernels {
namespace {

constexpr float kGuard = 12345.0f;

class ElementwiseTest : public ::testing::TestWithParam<Isa> {
 protected:
  std::vector<float> Random(size_t n) {
    std::normal_distribution<float> value;
    std::vector<float> result(n);
    for (float& v : result) v = value(rng_);
    return result;
  }

  // `values` with a value behind them that nothing may change.
  static std::vector<float> Guarded(std::vector<float> values) {
    values.push_back(kGuard);
    return values;
  }

  static std::vector<size_t> Sizes() {
    std::vector<size_t> sizes;
    for (size_t n = 1; n <= 70; ++n) sizes.push_back(n);
    for (size_t n : {127, 128, 129, 896, 2049}) sizes.push_back(n);
    return sizes;
  }

  const ElementwiseKernels& kernels_ = GetElementwiseKernels(GetParam());
  std::mt19937 rng_{6};
};

TEST_P(ElementwiseTest, RmsNormIsThatOfDoubleAtEverySizeAndInPlace) {
  for (size_t n : Sizes()) {
    const std::vector<float> x = Random(n), weight = Random(n);
    double squares = 0;
    for (float v : x) squares += double{v} * v;
    const double scale = 1 / std::sqrt(squares / static_cast<double>(n) + 1e-5);
    std::vector<float> out = Guarded(std::vector<float>(n)), in_place = Guarded(x);
    kernels_.rms_norm(x.data(), weight.data(), n, 1e-5f, out.data());
    kernels_.rms_norm(in_place.data(), weight.data(), n, 1e-5f, in_place.data());
    for (size_t i = 0; i < n; ++i) {
      const double expected = x[i] * scale * weight[i];
      ASSERT_NEAR(out[i], expected, std::fabs(expected) * 4e-6) << i << " of " << n;
    }
    ASSERT_EQ(out[n], kGuard);
    ASSERT_EQ(in_place, out) << n;
  }
}

TEST_P(ElementwiseTest, RmsNormOfZerosIsZero) {
  const std::vector<float> x(40, 0.0f), weight(40, 3.0f);
  std::vector<float> out(40, 1.0f);
  kernels_.rms_norm(x.data(), weight.data(), 40, 1e-6f, out.data());
  EXPECT_EQ(out, x);
}

TEST_P(ElementwiseTest, SiluMultiplyIsThatOfDoubleAtEverySizeAndInPlace) {
  for (size_t n : Sizes()) {
    std::vector<float> gate = Random(n), up = Random(n);
    for (float& g : gate) g *= 8;
    std::vector<float> out = Guarded(std::vector<float>(n));
    std::vector<float> over_gate = Guarded(gate), over_up = Guarded(up);
    kernels_.silu_multiply(gate.data(), up.data(), n, out.data());
    kernels_.silu_multiply(over_gate.data(), up.data(), n, over_gate.data());
    kernels_.silu_multiply(gate.data(), over_up.data(), n, over_up.data());
    for (size_t i = 0; i < n; ++i) {
      const double expected = gate[i] / (1 + std::exp(-double{gate[i]})) * up[i];
      // The exponent is rounded in float: an error of half a unit in |gate| log2(e).
      const double tolerance = std::fabs(expected) * (1e-6 + std::fabs(gate[i]) * 1.2e-7);
      ASSERT_NEAR(out[i], expected, tolerance) << "gate " << gate[i] << " up " << up[i];
    }
    ASSERT_EQ(out[n], kGuard);
    ASSERT_EQ(over_gate, out) << n;
    ASSERT_EQ(over_up, out) << n;
  }
}

TEST_P(ElementwiseTest, SiluKeepsToItsLimitsAtExtremeValues) {
  const std::vector<float> gate = {100.0f, -100.0f, 1e30f,  -1e30f,  87.0f,   -87.0f,
                                   88.8f,  -88.8f,  127.0f, -127.0f, -104.0f, 0.0f};
  const std::vector<float> up(gate.size(), 1.0f);
  std::vector<float> out(gate.size());
  kernels_.silu_multiply(gate.data(), up.data(), gate.size(), out.data());
  for (size_t i = 0; i < gate.size(); ++i) {
    const double expected = gate[i] / (1 + std::exp(-double{gate[i]}));
    // Where e^-gate overflows a float, zero is as near as a float's smallest numbers.
    ASSERT_NEAR(out[i], expected, std::fabs(expected) * 2e-5 + 4e-37) << gate[i];
  }
}

TEST_P(ElementwiseTest, SiluPassesNotANumberOn) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> gate = {nan, 1.0f}, up = {1.0f, nan};
  std::vector<float> out(2);
  kernels_.silu_multiply(gate.data(), up.data(), 2, out.data());
  EXPECT_TRUE(std::isnan(out[0]));
  EXPECT_TRUE(std::isnan(out[1]));
}

// One of the two ways of pairing dimensions.
struct Pairing {
  void (*rotate)(float* x, const float* cos, const float* sin, size_t half);
  bool neighbours;
  size_t First(size_t i) const { return neighbours ? 2 * i : i; }
  size_t Second(size_t i, size_t half) const { return neighbours ? 2 * i + 1 : i + half; }
};

TEST_P(ElementwiseTest, RotationsTurnEveryPairByItsAngle) {
  for (const Pairing& pairing :
       {Pairing{kernels_.rotate_halves, false}, Pairing{kernels_.rotate_pairs, true}}) {
    for (size_t half : Sizes()) {
      const std::vector<float> x = Random(2 * half), angles = Random(half);
      std::vector<float> cos(half), sin(half), turned = Guarded(x);
      for (size_t i = 0; i < half; ++i) {
        cos[i] = std::cos(angles[i]);
        sin[i] = std::sin(angles[i]);
      }
      pairing.rotate(turned.data(), cos.data(), sin.data(), half);
      for (size_t i = 0; i < half; ++i) {
        const size_t first = pairing.First(i), second = pairing.Second(i, half);
        const double a = x[first], b = x[second];
        const double tolerance = (std::fabs(a) + std::fabs(b)) * 2e-7;
        ASSERT_NEAR(turned[first], a * cos[i] - b * sin[i], tolerance) << i << " of " << half;
        ASSERT_NEAR(turned[second], a * sin[i] + b * cos[i], tolerance) << i << " of " << half;
      }
      ASSERT_EQ(turned[2 * half], kGuard);
    }
  }
}

TEST_P(ElementwiseTest, RotationsByTheOppositeAngleTurnBack) {
  for (const auto rotate : {kernels_.rotate_halves, kernels_.rotate_pairs}) {
    for (size_t half : Sizes()) {
      const std::vector<float> x = Random(2 * half), angles = Random(half);
      std::vector<float> cos(half), sin(half), back(half), turned = x;
      for (size_t i = 0; i < half; ++i) {
        cos[i] = std::cos(angles[i]);
        sin[i] = std::sin(angles[i]);
        back[i] = -sin[i];
      }
      rotate(turned.data(), cos.data(), sin.data(), half);
      rotate(turned.data(), cos.data(), back.data(), half);
      for (size_t i = 0; i < 2 * half; ++i) ASSERT_NEAR(turned[i], x[i], 4e-6) << i;
    }
  }
}

TEST_P(ElementwiseTest, AddIsExactlyRoundedAtEverySizeAndInPlace) {
  for (size_t n : Sizes()) {
    const std::vector<float> x = Random(n), y = Random(n);
    std::vector<float> out = Guarded(y), doubled = Guarded(x);
    kernels_.add(x.data(), n, out.data());
    kernels_.add(doubled.data(), n, doubled.data());
    for (size_t i = 0; i < n; ++i) {
      ASSERT_EQ(out[i], x[i] + y[i]);
      ASSERT_EQ(doubled[i], 2 * x[i]);
    }
    ASSERT_EQ(out[n], kGuard);
    ASSERT_EQ(doubled[n], kGuard);
  }
}

TEST_P(ElementwiseTest, LayerNormIsThatOfDoubleAtEverySizeAndInPlace) {
  for (size_t n : Sizes()) {
    std::vector<float> x = Random(n);
    const std::vector<float> weight = Random(n), bias = Random(n);
    for (float& v : x) v += 5;
    double sum = 0, squares = 0;
    for (float v : x) sum += v;
    const double mean = sum / static_cast<double>(n);
    for (float v : x) squares += (v - mean) * (v - mean);
    const double scale = 1 / std::sqrt(squares / static_cast<double>(n) + 1e-5);
    std::vector<float> out = Guarded(std::vector<float>(n)), in_place = Guarded(x);
    kernels_.layer_norm(x.data(), weight.data(), bias.data(), n, 1e-5f, out.data());
    kernels_.layer_norm(in_place.data(), weight.data(), bias.data(), n, 1e-5f, in_place.data());
    for (size_t i = 0; i < n; ++i) {
      // A float has the mean to 3e-7 of it; a single value lies apart from its mean by just that.
      const double tolerance = 4e-6 * scale * std::fabs(weight[i]) + 4e-6;
      ASSERT_NEAR(out[i], (x[i] - mean) * scale * weight[i] + bias[i], tolerance)
          << i << " of " << n;
    }
    ASSERT_EQ(out[n], kGuard);
    ASSERT_EQ(in_place, out) << n;
  }
}

TEST_P(ElementwiseTest, GelusAreThoseOfDoubleAtEverySizeAndInPlace) {
  const auto exact = [](double y) { return 0.5 * y * std::erfc(-y * std::sqrt(0.5)); };
  const auto approximate = [](double y) {
    return 0.5 * y * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (y + 0.044715 * y * y * y)));
  };
  for (size_t n : Sizes()) {
    std::vector<float> x = Random(n);
    const std::vector<float> bias = Random(n);
    for (float& v : x) v *= 3;
    std::vector<float> out = Guarded(std::vector<float>(n)), in_place = Guarded(x);
    kernels_.gelu(x.data(), bias.data(), n, out.data());
    kernels_.gelu(in_place.data(), bias.data(), n, in_place.data());
    for (size_t i = 0; i < n; ++i) {
      const float y = x[i] + bias[i];
      ASSERT_NEAR(out[i], exact(y), 3e-7 * std::fabs(y) + 1e-9) << y;
    }
    ASSERT_EQ(out[n], kGuard);
    ASSERT_EQ(in_place, out) << n;
    kernels_.gelu_tanh(x.data(), bias.data(), n, out.data());
    for (size_t i = 0; i < n; ++i) {
      const float y = x[i] + bias[i];
      ASSERT_NEAR(out[i], approximate(y), 2e-6 * std::fabs(y) + 1e-9) << y;
    }
    ASSERT_EQ(out[n], kGuard);
  }
}

TEST_P(ElementwiseTest, GelusKeepToTheirLimitsAtExtremeValues) {
  const std::vector<float> x = {100.0f, -100.0f, 1e15f, -1e15f, 14.0f, -14.0f, 0.0f};
  const std::vector<float> bias(x.size(), 0.0f);
  std::vector<float> out(x.size());
  for (const auto gelu : {kernels_.gelu, kernels_.gelu_tanh}) {
    gelu(x.data(), bias.data(), x.size(), out.data());
    for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(out[i], std::fmax(x[i], 0.0f), 1e-30);
  }
}

INSTANTIATE_TEST_SUITE_P(EveryIsa, ElementwiseTest, ::testing::ValuesIn(SupportedIsas()),
                         [](const ::testing::TestParamInfo<Isa>& isa) {
                           return std::string(IsaName(isa.param));
                         });

TEST(ElementwiseKernels, DefaultTableIsThatOfTheActiveSet) {
  EXPECT_EQ(&GetElementwiseKernels(), &GetElementwiseKernels(ActiveIsa()));
}

}  // namespace
}  // namespace cairn::kernels
