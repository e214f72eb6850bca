#include "engine/kv/paired_bootstrap.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace cairn::engine {
namespace {

TEST(PairedBootstrap, FindsTheIntervalOfAKnownSpread) {
  // 400 differences, half of them 1: the mean's standard deviation is .5 / 20, and 95 % lie within
  // 1.96 of it.
  std::vector<float> differences(400);
  for (size_t i = 0; i < 200; ++i) differences[i] = 1;
  const MeanInterval interval = PairedBootstrap(differences, 4000, 1);
  EXPECT_DOUBLE_EQ(interval.mean, 0.5);
  EXPECT_NEAR(interval.low, 0.5 - 1.96 * 0.025, 0.005);
  EXPECT_NEAR(interval.high, 0.5 + 1.96 * 0.025, 0.005);
}

TEST(PairedBootstrap, IsSureWhereAllDifferencesAreOne) {
  const std::vector<float> differences(30, -1);
  const MeanInterval interval = PairedBootstrap(differences, 100, 7);
  EXPECT_EQ(interval.mean, -1);
  EXPECT_EQ(interval.low, -1);
  EXPECT_EQ(interval.high, -1);
}

TEST(PairedBootstrap, EqualSeedsGiveEqualIntervals) {
  std::vector<float> differences(50);
  for (size_t i = 0; i < 50; ++i) differences[i] = static_cast<float>(i % 3) - 1;
  const MeanInterval a = PairedBootstrap(differences, 200, 3);
  const MeanInterval b = PairedBootstrap(differences, 200, 3);
  EXPECT_EQ(a.low, b.low);
  EXPECT_EQ(a.high, b.high);
}

TEST(PairedBootstrap, OfNothingIsNothing) {
  const MeanInterval interval = PairedBootstrap({}, 100, 1);
  EXPECT_EQ(interval.mean, 0);
  EXPECT_EQ(interval.low, 0);
  EXPECT_EQ(interval.high, 0);
}

}  // namespace
}  // namespace cairn::engine
