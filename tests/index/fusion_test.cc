#include "index/fusion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace cairn::index {
namespace {

std::vector<ChunkId> Order(const std::vector<FusedChunk>& fused) {
  std::vector<ChunkId> ids;
  for (const FusedChunk& f : fused) ids.push_back(f.chunk);
  return ids;
}

const std::vector<ScoredChunk> kLexical = {{1, 1, 10}, {2, 2, 5}, {3, 3, 0.5f}};
const std::vector<ScoredChunk> kVector = {{3, 3, 0.8f}, {1, 1, 0.2f}, {4, 4, -0.4f}};

TEST(Fusion, ConvexWithTheoreticalMinimumWeighsNormalisedScores) {
  const std::vector<FusedChunk> fused = Fuse(kLexical, kVector, {}, {.alpha = 0.25f});
  ASSERT_THAT(Order(fused), ::testing::ElementsAre(1, 2, 3, 4));
  EXPECT_FLOAT_EQ(fused[0].score, 0.25f * (1.2f / 1.8f) + 0.75f);
  EXPECT_FLOAT_EQ(fused[1].score, 0.75f * 0.5f);
  EXPECT_FLOAT_EQ(fused[2].score, 0.25f + 0.75f * 0.05f);
  EXPECT_FLOAT_EQ(fused[3].score, 0.25f * (0.6f / 1.8f));
  EXPECT_EQ(fused[0].lexical.rank, 1u);
  EXPECT_EQ(fused[0].vector.rank, 2u);
  EXPECT_FLOAT_EQ(fused[0].vector.raw, 0.2f);
  EXPECT_EQ(fused[3].lexical.rank, 0u);
}

TEST(Fusion, MinMaxGivesTheLastOfAListNothing) {
  const std::vector<FusedChunk> fused =
      Fuse(kLexical, kVector, {}, {.normalization = Normalization::kMinMax, .alpha = 0.5f});
  for (const FusedChunk& f : fused) {
    if (f.chunk == 4) {
      EXPECT_FLOAT_EQ(f.score, 0);
    } else if (f.chunk == 3) {
      EXPECT_FLOAT_EQ(f.score, 0.5f);
    }
  }
}

TEST(Fusion, RrfSumsReciprocalRanksAndBreaksTiesByChunk) {
  const std::vector<FusedChunk> fused = Fuse(kLexical, kVector, {}, {.method = FusionMethod::kRrf});
  ASSERT_THAT(Order(fused), ::testing::ElementsAre(1, 3, 2, 4));
  EXPECT_FLOAT_EQ(fused[0].score, 1 / 61.f + 1 / 62.f);
  const std::vector<FusedChunk> tied =
      Fuse(absl::MakeConstSpan(kLexical).subspan(0, 1), absl::MakeConstSpan(kVector).subspan(0, 1),
           {}, {.method = FusionMethod::kRrf});
  EXPECT_THAT(Order(tied), ::testing::ElementsAre(1, 3));
}

TEST(Fusion, ACosineKnownApartFromTheListCounts) {
  const float none = std::nanf("");
  const std::vector<float> cosines = {0.2f, -0.5f, 0.8f};
  const std::vector<FusedChunk> fused = Fuse(kLexical, kVector, cosines, {.alpha = 0.25f});
  ASSERT_THAT(Order(fused), ::testing::ElementsAre(1, 2, 3, 4));
  EXPECT_FLOAT_EQ(fused[1].score, 0.25f * (0.5f / 1.8f) + 0.75f * 0.5f);
  EXPECT_EQ(fused[1].vector.rank, 0u);
  EXPECT_TRUE(fused[1].vector.known);
  const std::vector<float> missing = {0.2f, none, 0.8f};
  for (const FusedChunk& f : Fuse(kLexical, kVector, missing, {})) {
    EXPECT_EQ(f.vector.known, f.chunk != 2);
  }
  // Ranks alone count for RRF; and nothing falls below the end of a min-max list.
  EXPECT_FALSE(Fuse(kLexical, kVector, cosines, {.method = FusionMethod::kRrf})[2].vector.known);
  for (const FusedChunk& f :
       Fuse(kLexical, kVector, cosines, {.normalization = Normalization::kMinMax, .alpha = 1})) {
    EXPECT_GE(f.score, 0);
  }
}

TEST(Fusion, EmptyListsAndEqualScoresAreFine) {
  EXPECT_TRUE(Fuse({}, {}, {}, {}).empty());
  EXPECT_THAT(Order(Fuse(kLexical, {}, {}, {})), ::testing::ElementsAre(1, 2, 3));
  const std::vector<ScoredChunk> equal = {{1, 1, 2}, {2, 2, 2}};
  for (Normalization n : {Normalization::kTheoretical, Normalization::kMinMax}) {
    for (const FusedChunk& f : Fuse(equal, {}, {}, {.normalization = n, .alpha = 0})) {
      EXPECT_FLOAT_EQ(f.score, 1);
    }
  }
}

TEST(Fusion, AlphaAtItsEndsReproducesEachList) {
  std::mt19937 rng(5);
  std::vector<ScoredChunk> a, b;
  for (uint32_t i = 0; i < 50; ++i) {
    a.push_back({i * 2, i, 50.0f - static_cast<float>(i)});
    b.push_back({i * 3, i, 0.9f - 0.01f * static_cast<float>(i)});
  }
  EXPECT_EQ(Order(Fuse(a, b, {}, {.alpha = 0}))[49], Order(FromLexical(a))[49]);
  EXPECT_EQ(Order(Fuse(a, b, {}, {.alpha = 1}))[49], Order(FromVector(b))[49]);
}

TEST(BestChunkPerDocument, KeepsTheFirstOfEach) {
  const std::vector<ScoredChunk> list = {{5, 1, 9}, {6, 1, 8}, {7, 2, 7}, {8, 1, 6}};
  EXPECT_THAT(Order(BestChunkPerDocument(FromLexical(list))), ::testing::ElementsAre(5, 7));
}

}  // namespace
}  // namespace cairn::index
