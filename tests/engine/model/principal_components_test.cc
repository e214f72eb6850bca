#include "engine/model/principal_components.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace cairn::engine {
namespace {

// Orthonormal rows, by Gram and Schmidt.
std::vector<double> RandomAxes(size_t dim, std::mt19937* random) {
  std::normal_distribution<double> normal;
  std::vector<double> axes(dim * dim);
  for (double& x : axes) x = normal(*random);
  for (size_t i = 0; i < dim; ++i) {
    double* row = axes.data() + i * dim;
    for (int again = 0; again < 2; ++again) {
      for (size_t j = 0; j < i; ++j) {
        double dot = 0;
        for (size_t d = 0; d < dim; ++d) dot += row[d] * axes[j * dim + d];
        for (size_t d = 0; d < dim; ++d) row[d] -= dot * axes[j * dim + d];
      }
    }
    double squares = 0;
    for (size_t d = 0; d < dim; ++d) squares += row[d] * row[d];
    for (size_t d = 0; d < dim; ++d) row[d] /= std::sqrt(squares);
  }
  return axes;
}

TEST(SolveSymmetric, FindsAKnownSpectrum) {
  std::mt19937 random(5);
  constexpr size_t kDim = 53;  // No multiple of anything.
  const std::vector<double> axes = RandomAxes(kDim, &random);
  std::vector<double> values(kDim);
  // From 1000 to 1e-6, the smallest ten exactly zero.
  for (size_t i = 0; i < kDim; ++i) {
    values[i] = i + 10 < kDim ? 1000 * std::pow(10, -9.0 * static_cast<double>(i) / kDim) : 0;
  }
  std::vector<double> matrix(kDim * kDim);
  for (size_t i = 0; i < kDim; ++i) {
    for (size_t r = 0; r < kDim; ++r) {
      for (size_t c = 0; c < kDim; ++c) {
        matrix[r * kDim + c] += values[i] * axes[i * kDim + r] * axes[i * kDim + c];
      }
    }
  }
  const EigenSystem system = SolveSymmetric(matrix, kDim);
  for (size_t i = 0; i < kDim; ++i) {
    EXPECT_NEAR(system.values[i], values[i], 1e-9) << i;
    double dot = 0;
    for (size_t d = 0; d < kDim; ++d) dot += system.vectors[i * kDim + d] * axes[i * kDim + d];
    if (values[i] > 1e-3) {
      EXPECT_NEAR(std::abs(dot), 1, 1e-9) << i;
    }
  }
  // Orthonormal, also where the matrix says nothing.
  for (size_t i = 0; i < kDim; ++i) {
    for (size_t j = 0; j <= i; ++j) {
      double dot = 0;
      for (size_t d = 0; d < kDim; ++d) {
        dot += system.vectors[i * kDim + d] * system.vectors[j * kDim + d];
      }
      EXPECT_NEAR(dot, i == j ? 1 : 0, 1e-12) << i << " " << j;
    }
  }
}

TEST(SolveSymmetric, BearsZerosAndEqualValues) {
  const EigenSystem zero = SolveSymmetric(std::vector<double>(9), 3);
  EXPECT_EQ(zero.values, (std::vector<double>{0, 0, 0}));
  const EigenSystem equal = SolveSymmetric({2, 0, 0, 2}, 2);
  EXPECT_EQ(equal.values, (std::vector<double>{2, 2}));
}

std::vector<float> Cloud(size_t count, size_t dim) {
  std::mt19937 random(9);
  std::normal_distribution<float> normal;
  std::vector<float> vectors(count * dim);
  for (size_t i = 0; i < vectors.size(); ++i) {
    const auto d = static_cast<float>(i % dim);
    vectors[i] = d + normal(random) * (d + 1);  // Mean d, deviation d + 1.
  }
  return vectors;
}

TEST(PrincipalComponents, AreTheDirectionsOfMostVariance) {
  constexpr size_t kDim = 7;
  const PrincipalComponents found = ComputePrincipalComponents(Cloud(40'000, kDim), kDim, 2);
  for (size_t i = 0; i < kDim; ++i) {
    EXPECT_NEAR(found.mean[i], static_cast<double>(i), 0.15);
    const size_t d = kDim - 1 - i;  // The widest comes first.
    EXPECT_NEAR(found.variance[i], static_cast<double>((d + 1) * (d + 1)), 1.5) << i;
    EXPECT_GT(found.axes[i * kDim + d], 0.95) << i;
  }
}

TEST(PrincipalComponents, AreTheSameBitsForAnyNumberOfThreads) {
  const std::vector<float> cloud = Cloud(3'000, 40);
  const PrincipalComponents one = ComputePrincipalComponents(cloud, 40, 1);
  const PrincipalComponents five = ComputePrincipalComponents(cloud, 40, 5);
  EXPECT_EQ(one.mean, five.mean);
  EXPECT_EQ(one.variance, five.variance);
  EXPECT_EQ(one.axes, five.axes);
}

TEST(PrincipalComponents, OfOneVectorHaveNoVariance) {
  const PrincipalComponents found = ComputePrincipalComponents({1.0f, 2.0f}, 2, 4);
  EXPECT_EQ(found.mean, (std::vector<double>{1, 2}));
  EXPECT_EQ(found.variance, (std::vector<double>{0, 0}));
}

}  // namespace
}  // namespace cairn::engine
