#include "kernels/top_k.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace cairn::kernels {
namespace {

using Entry = TopK::Entry;

std::vector<Entry> SortedPrefix(std::vector<Entry> all, size_t k) {
  std::sort(all.begin(), all.end(), [](const Entry& a, const Entry& b) {
    return a.score != b.score ? a.score > b.score : a.slot < b.slot;
  });
  all.resize(std::min(k, all.size()));
  return all;
}

TEST(TopK, KeepsTheSortedPrefixOfRandomPushes) {
  std::mt19937 rng(1);
  for (int round = 0; round < 400; ++round) {
    const size_t n = rng() % 600;
    const size_t k = rng() % 40 == 0 ? 0 : 1 + rng() % 80;
    const int levels = round % 2 == 0 ? 5 : 1000000;  // Few levels: many ties.
    std::vector<Entry> all;
    for (uint32_t slot = 0; slot < n; ++slot) {
      const int level = static_cast<int>(rng() % levels) - levels / 2;
      all.push_back({static_cast<float>(level) * 0.37f, slot});
    }
    std::shuffle(all.begin(), all.end(), rng);
    TopK top(k);
    for (const Entry& e : all) top.Push(e.score, e.slot);
    ASSERT_EQ(top.TakeSorted(), SortedPrefix(all, k)) << "round " << round;
  }
}

TEST(TopK, ThresholdIsTheWorstKeptScoreOnceFull) {
  TopK top(2);
  EXPECT_EQ(top.threshold(), -std::numeric_limits<float>::infinity());
  top.Push(-3.5f, 7);
  EXPECT_EQ(top.threshold(), -std::numeric_limits<float>::infinity());
  top.Push(2.0f, 8);
  EXPECT_EQ(top.threshold(), -3.5f);
  top.Push(1.0f, 9);
  EXPECT_EQ(top.threshold(), 1.0f);
  top.Push(0.5f, 1);
  EXPECT_EQ(top.threshold(), 1.0f);
}

TEST(TopK, PrefersTheSmallerSlotAmongEqualScores) {
  TopK top(2);
  for (uint32_t slot : {5u, 9u, 3u, 4294967295u, 0u}) top.Push(1.0f, slot);
  EXPECT_EQ(top.TakeSorted(), (std::vector<Entry>{{1.0f, 0}, {1.0f, 3}}));
}

TEST(TopK, TreatsNegativeZeroAsZero) {
  TopK top(2);
  top.Push(0.0f, 4);
  top.Push(-0.0f, 1);
  top.Push(-0.0f, 9);
  EXPECT_EQ(top.TakeSorted(), (std::vector<Entry>{{0.0f, 1}, {0.0f, 4}}));
}

TEST(TopK, OrdersInfinitiesAndDenormals) {
  const float inf = std::numeric_limits<float>::infinity();
  const float tiny = std::numeric_limits<float>::denorm_min();
  TopK top(10);
  top.Push(tiny, 0);
  top.Push(-inf, 1);
  top.Push(inf, 2);
  top.Push(-tiny, 3);
  top.Push(0.0f, 4);
  EXPECT_EQ(top.TakeSorted(),
            (std::vector<Entry>{{inf, 2}, {tiny, 0}, {0.0f, 4}, {-tiny, 3}, {-inf, 1}}));
}

TEST(TopK, KeepsNothingForZeroAndAllocatesNothingForHugeK) {
  TopK none(0);
  none.Push(1.0f, 1);
  none.Push(std::numeric_limits<float>::infinity(), 2);
  EXPECT_EQ(none.threshold(), std::numeric_limits<float>::infinity());
  EXPECT_TRUE(none.TakeSorted().empty());

  TopK huge(std::numeric_limits<size_t>::max());
  huge.Push(1.0f, 1);
  EXPECT_EQ(huge.TakeSorted(), (std::vector<Entry>{{1.0f, 1}}));
}

TEST(TopK, IsEmptyAndReusableAfterTake) {
  TopK top(1);
  top.Push(5.0f, 1);
  EXPECT_EQ(top.TakeSorted(), (std::vector<Entry>{{5.0f, 1}}));
  EXPECT_EQ(top.size(), 0u);
  top.Push(-5.0f, 2);
  EXPECT_EQ(top.TakeSorted(), (std::vector<Entry>{{-5.0f, 2}}));
}

}  // namespace
}  // namespace cairn::kernels
