#include "engine/kv/cache_craft.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "engine/kv/chunk_kv_buffer.h"

namespace cairn::engine {
namespace {

// A chunk of 10 tokens behind chunks 1, 2 and 3.
ChunkAttention Looking() {
  ChunkAttention attention;
  attention.before = {{1, 10, 2.f}, {2, 20, 4.f}, {3, 10, 2.f}};
  attention.intra = 2;
  attention.token_inter.resize(10);
  return attention;
}

TEST(CacheCraft, ContextImpactIsTheLogisticOfAttentionOutsideOverWithin) {
  // a = 2/100 + 4/200 + 2/100 = .06, b = .02
  EXPECT_NEAR(ContextImpact(Looking(), 10), 1 / (1 + std::exp(-3.0)), 1e-9);
  ChunkAttention alone;
  alone.intra = 10;
  EXPECT_DOUBLE_EQ(ContextImpact(alone, 10), 0.5);
}

TEST(CacheCraft, TheSameChunksInTheSameOrderMatch) {
  const uint64_t same[] = {1, 2, 3}, more[] = {9, 1, 8, 2, 3};
  EXPECT_DOUBLE_EQ(PrefixMatch(Looking(), same), 1);
  EXPECT_DOUBLE_EQ(PrefixMatch(Looking(), more), 1);
  EXPECT_DOUBLE_EQ(FixOverhead(Looking(), 10, same, 1), 0);
}

TEST(CacheCraft, AMissingChunkCountsByTheAttentionItGot) {
  const uint64_t without_two[] = {1, 3}, only_two[] = {2};
  EXPECT_NEAR(PrefixMatch(Looking(), without_two), 0.5, 1e-9);
  EXPECT_NEAR(PrefixMatch(Looking(), only_two), 0.5, 1e-9);
  EXPECT_DOUBLE_EQ(PrefixMatch(Looking(), {}), 0);
}

TEST(CacheCraft, AnotherOrderCountsByPairs) {
  const uint64_t reversed[] = {3, 2, 1}, last_first[] = {3, 1, 2};
  EXPECT_DOUBLE_EQ(PrefixMatch(Looking(), reversed), 0);
  EXPECT_NEAR(PrefixMatch(Looking(), last_first), 1 - 2.0 / 3, 1e-9);
}

TEST(CacheCraft, TheOverheadIsAtMostEverything) {
  EXPECT_DOUBLE_EQ(FixOverhead(Looking(), 10, {}, 100), 1);
  EXPECT_NEAR(FixOverhead(Looking(), 10, {}, 0.5), 0.5 / (1 + std::exp(-3.0)), 1e-9);
}

TEST(CacheCraft, AChunkThatLookedAtNothingBeforeItNeedsNothing) {
  ChunkAttention inward;
  inward.before = {{7, 10, 0.f}};
  inward.intra = 3;
  const uint64_t others[] = {5};
  EXPECT_DOUBLE_EQ(FixOverhead(inward, 10, others, 1), 0);
}

TEST(CacheCraft, WhatAChunkThatStoodAloneWouldHaveLookedAtIsNotKnown) {
  ChunkAttention alone;
  alone.intra = 3;
  const uint64_t others[] = {5};
  EXPECT_DOUBLE_EQ(FixOverhead(alone, 10, others, 1), 0.5);
  EXPECT_DOUBLE_EQ(FixOverhead(alone, 10, {}, 1), 0);
}

TEST(CacheCraft, TheVariantThatFitsIsTaken) {
  const ChunkAttention fits = Looking();
  ChunkAttention elsewhere = Looking(), alone;
  for (ChunkAttention::Before& before : elsewhere.before) before.hash += 10;
  alone.intra = 3;
  const uint64_t now[] = {1, 2, 3};
  const ChunkAttention* const all[] = {nullptr, &elsewhere, &alone, &fits};
  VariantChoice choice = BestVariant(all, 10, now, 1);
  EXPECT_EQ(choice.variant, 3u);
  EXPECT_DOUBLE_EQ(choice.overhead, 0);
  choice = BestVariant({all, 3}, 10, now, 1);
  EXPECT_EQ(choice.variant, 2u);
  EXPECT_DOUBLE_EQ(choice.overhead, 0.5);
  EXPECT_DOUBLE_EQ(BestVariant({all, 3}, 10, {}, 1).overhead, 0);
  choice = BestVariant({all, 2}, 10, now, 1);
  EXPECT_EQ(choice.variant, 1u);
  EXPECT_NEAR(choice.overhead, ContextImpact(elsewhere, 10), 1e-9);
  EXPECT_DOUBLE_EQ(BestVariant({all, 1}, 10, now, 1).overhead, 1);
}

}  // namespace
}  // namespace cairn::engine
