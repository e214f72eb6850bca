#include "engine/batch/batch_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace cairn::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(PlanBatches, PutsLikeCostsTogetherMostExpensiveFirst) {
  EXPECT_THAT(PlanBatches({1, 9, 2, 8, 9}, {2, 100}),
              ElementsAre(ElementsAre(1, 4), ElementsAre(3, 2), ElementsAre(0)));
  EXPECT_THAT(PlanBatches({}, {}), IsEmpty());
}

TEST(PlanBatches, AnItemBeyondTheLimitGoesAlone) {
  EXPECT_THAT(PlanBatches({50, 3, 4}, {8, 7}), ElementsAre(ElementsAre(0), ElementsAre(2, 1)));
}

TEST(PlanBatches, EveryItemIsInOneBatchWithinTheLimits) {
  std::mt19937 random(1);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<size_t> costs(random() % 100);
    for (size_t& c : costs) c = random() % 50;
    const BatchLimits limits = {1 + random() % 10, 1 + random() % 100};
    std::vector<int> seen(costs.size());
    for (const std::vector<size_t>& batch : PlanBatches(costs, limits)) {
      ASSERT_FALSE(batch.empty());
      ASSERT_LE(batch.size(), limits.max_items);
      size_t sum = 0;
      for (const size_t i : batch) {
        ++seen[i];
        sum += costs[i];
      }
      EXPECT_TRUE(sum <= limits.max_cost || batch.size() == 1);
    }
    for (const int n : seen) EXPECT_EQ(n, 1);
  }
}

TEST(SharedLimits, AFewItemsAreSharedBetweenThreads) {
  EXPECT_EQ(SharedLimits({32, 100}, 10, 4).max_items, 3u);
  EXPECT_EQ(SharedLimits({32, 100}, 1000, 4).max_items, 32u);
  EXPECT_EQ(SharedLimits({32, 100}, 0, 0).max_items, 1u);
}

}  // namespace
}  // namespace cairn::engine
