// Which blobs stay in memory.
#include "engine/kv/kv_memory_tier.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "engine/kv/kv_eviction.h"
#include "tests/support/kv_blobs.h"

namespace cairn::engine {
namespace {

using ::cairn::testing::CheckKv;
using ::cairn::testing::MakeKvBlob;

KvKey KeyOf(uint32_t seed) {
  KvKey key;
  key.collection = 1;
  key.name.bytes[0] = static_cast<uint8_t>(seed);
  key.name.bytes[1] = static_cast<uint8_t>(seed >> 8);
  return key;
}

std::shared_ptr<StoredKv> Stored(uint32_t seed, double seconds = 1, uint32_t tokens = 3) {
  KvBlob blob = MakeKvBlob(seed, tokens, 4, seconds);
  return std::make_shared<StoredKv>(KeyOf(seed), std::move(blob.metadata), std::move(blob.layers),
                                    seconds);
}

const uint64_t kBlobBytes = Stored(0)->bytes();

TEST(KvMemoryTierTest, KeepsWhatFits) {
  KvMemoryTier tier(3 * kBlobBytes, absl::Hours(1));
  for (uint32_t i = 1; i <= 3; ++i) tier.Insert(Stored(i), 0);
  tier.Insert(Stored(3), 0);  // Again.
  EXPECT_EQ(tier.counts().bytes, 3 * kBlobBytes);
  for (uint32_t i = 1; i <= 3; ++i) {
    const auto kv = tier.Find(KeyOf(i).name, 0);
    ASSERT_NE(kv, nullptr);
    EXPECT_TRUE(CheckKv(*kv, i).ok());
  }
  tier.Erase(KeyOf(2).name);
  EXPECT_EQ(tier.Find(KeyOf(2).name, 0), nullptr);
  EXPECT_EQ(tier.counts().blobs, 2u);
  EXPECT_EQ(tier.counts().evictions, 0u);
}

TEST(KvMemoryTierTest, ABudgetSmallerThanABlobKeepsNothing) {
  KvMemoryTier tier(kBlobBytes - 1, absl::Hours(1));
  tier.Insert(Stored(1), 0);
  EXPECT_EQ(tier.counts().blobs, 0u);
  EXPECT_EQ(tier.counts().evictions, 0u);
}

TEST(KvMemoryTierTest, TheCheapUnusedAndLargeGoFirst) {
  KvMemoryTier tier(3 * kBlobBytes, absl::Hours(1));
  tier.Insert(Stored(1, 1), 0);
  tier.Insert(Stored(2, 5), 0);  // Costly.
  tier.Insert(Stored(3, 1), 0);
  for (int i = 0; i < 3; ++i) tier.Find(KeyOf(3).name, 0);  // Used.
  tier.Insert(Stored(4, 1), 0);
  EXPECT_FALSE(tier.Contains(KeyOf(1).name));
  EXPECT_TRUE(tier.Contains(KeyOf(2).name));
  EXPECT_TRUE(tier.Contains(KeyOf(3).name));
  EXPECT_TRUE(tier.Contains(KeyOf(4).name));
  EXPECT_EQ(tier.counts().evictions, 1u);
}

TEST(KvMemoryTierTest, WhatIsUsedNoMoreIsOvertaken) {
  KvMemoryTier tier(2 * kBlobBytes, absl::InfiniteDuration());
  tier.Insert(Stored(1, 10), 0);
  uint32_t next = 2;
  while (tier.Contains(KeyOf(1).name) && next < 1000) tier.Insert(Stored(next++, 1), 0);
  EXPECT_GT(next, 5u);
  EXPECT_LT(next, 50u);
}

TEST(KvMemoryTierTest, UsesCountLessWithTime) {
  EXPECT_DOUBLE_EQ(KvUses(8, 1000, 1000, absl::Seconds(1)), 8);
  EXPECT_DOUBLE_EQ(KvUses(8, 1000, 2000, absl::Seconds(1)), 4);
  EXPECT_DOUBLE_EQ(KvUses(8, 1000, 4000, absl::Seconds(1)), 1);
  EXPECT_DOUBLE_EQ(KvUses(8, 5000, 4000, absl::Seconds(1)), 8);  // A clock set back.
  EXPECT_DOUBLE_EQ(KvUses(8, 0, 4000, absl::InfiniteDuration()), 8);
  EXPECT_GT(KvPriority(0, 2, 1, 100), KvPriority(0, 1, 1, 100));
  EXPECT_GT(KvPriority(0, 1, 2, 100), KvPriority(0, 1, 1, 100));
  EXPECT_GT(KvPriority(0, 1, 1, 100), KvPriority(0, 1, 1, 200));
  EXPECT_GT(KvPriority(3, 1, 1, 100), KvPriority(2, 1, 1, 100));
}

TEST(KvMemoryTierTest, WhatIsEvictedLivesOnWhileItIsInUse) {
  KvMemoryTier tier(kBlobBytes, absl::Hours(1));
  tier.Insert(Stored(1), 0);
  const std::shared_ptr<StoredKv> kv = tier.Find(KeyOf(1).name, 0);
  tier.Insert(Stored(2), 0);
  EXPECT_FALSE(tier.Contains(KeyOf(1).name));
  EXPECT_TRUE(CheckKv(*kv, 1).ok());
}

TEST(KvMemoryTierTest, NeverAboveItsBudget) {
  std::mt19937 random(5);
  KvMemoryTier tier(10 * kBlobBytes, absl::Seconds(10));
  for (int i = 0; i < 2000; ++i) {
    const uint32_t seed = random() % 300;
    switch (random() % 4) {
      case 0:
        tier.Erase(KeyOf(seed).name);
        break;
      case 1:
        tier.Find(KeyOf(seed).name, i);
        break;
      default:
        tier.Insert(Stored(seed, random() % 5, 1 + random() % 20), i);
    }
    ASSERT_LE(tier.counts().bytes, 10 * kBlobBytes);
  }
}

}  // namespace
}  // namespace cairn::engine
