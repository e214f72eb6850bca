#include "services/server/fair_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace cairn::services {
namespace {

using ::testing::ElementsAre;

std::vector<int> PopAll(FairQueue<int>& queue) {
  std::vector<int> items;
  while (!queue.empty()) items.push_back(queue.Pop());
  return items;
}

TEST(FairQueue, TenantsTakeTurnsWhateverTheyQueued) {
  FairQueue<int> queue;
  for (const int item : {1, 2, 3, 4}) queue.Push("a", item);
  for (const int item : {11, 12}) queue.Push("b", item);
  queue.Push("c", 21);
  EXPECT_THAT(PopAll(queue), ElementsAre(1, 11, 21, 2, 12, 3, 4));
}

TEST(FairQueue, ATenantThatComesLaterWaitsForOneTurnOfEachOther) {
  FairQueue<int> queue;
  for (const int item : {1, 2, 3}) queue.Push("a", item);
  EXPECT_EQ(queue.Pop(), 1);
  queue.Push("b", 11);
  EXPECT_EQ(queue.Pop(), 2);
  EXPECT_EQ(queue.Pop(), 11);
  EXPECT_EQ(queue.Pop(), 3);
  // Nothing of turns past: the tenant that comes back is as one that is new.
  queue.Push("b", 12);
  queue.Push("a", 4);
  EXPECT_THAT(PopAll(queue), ElementsAre(12, 4));
}

TEST(FairQueue, RemovesOneItemOfTheTenantAndItsTurnWithTheLast) {
  FairQueue<int> queue;
  for (const int item : {1, 2}) queue.Push("a", item);
  queue.Push("b", 1);
  EXPECT_FALSE(queue.Remove("b", 2));
  EXPECT_FALSE(queue.Remove("nobody", 1));
  EXPECT_TRUE(queue.Remove("b", 1));
  EXPECT_FALSE(queue.Remove("b", 1));
  EXPECT_EQ(queue.size("b"), 0U);
  EXPECT_TRUE(queue.Remove("a", 1));
  EXPECT_EQ(queue.size(), 1U);
  EXPECT_THAT(PopAll(queue), ElementsAre(2));
}

}  // namespace
}  // namespace cairn::services
