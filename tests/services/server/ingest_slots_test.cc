#include "services/server/ingest_slots.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace cairn::services {
namespace {

TEST(IngestSlots, ThereAreSoManyForAllAndSoManyForEach) {
  IngestSlots slots(3, 2);
  EXPECT_TRUE(slots.Take("a").ok());
  EXPECT_TRUE(slots.Take("a").ok());
  EXPECT_EQ(slots.Take("a").code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(slots.Take("b").ok());
  EXPECT_EQ(slots.Take("c").code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(slots.taken(), 3u);
}

TEST(IngestSlots, WhatIsGivenBackCanBeTakenAgain) {
  IngestSlots slots(2, 1);
  ASSERT_TRUE(slots.Take("a").ok());
  EXPECT_FALSE(slots.Take("a").ok());
  slots.GiveBack("a");
  EXPECT_EQ(slots.taken(), 0u);
  EXPECT_TRUE(slots.Take("a").ok());
}

TEST(IngestSlots, ARefusalTakesNothing) {
  IngestSlots slots(1, 1);
  ASSERT_TRUE(slots.Take("a").ok());
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(slots.Take("b").ok());
  EXPECT_EQ(slots.taken(), 1u);
  slots.GiveBack("a");
  EXPECT_TRUE(slots.Take("b").ok());
}

TEST(IngestSlots, AwaitNoneReturnsWhenTheLastIsGivenBack) {
  IngestSlots slots(8, 8);
  slots.AwaitNone();  // There are none.
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(slots.Take("a").ok());
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) threads.emplace_back([&] { slots.GiveBack("a"); });
  slots.AwaitNone();
  EXPECT_EQ(slots.taken(), 0u);
  for (std::thread& t : threads) t.join();
}

}  // namespace
}  // namespace cairn::services
