#include "engine/model/token_regression.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace cairn::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::Pointwise;

constexpr uint32_t kUnknown = 0;

std::vector<std::vector<uint32_t>> RandomLists(size_t count, uint32_t vocabulary) {
  std::mt19937 random(4);
  std::vector<std::vector<uint32_t>> lists(count);
  for (auto& list : lists) {
    for (size_t n = 2 + random() % 6; n > 0; --n) list.push_back(1 + random() % (vocabulary - 1));
  }
  return lists;
}

SparseMatrix Means(const std::vector<std::vector<uint32_t>>& lists, size_t vocabulary) {
  const std::vector<absl::Span<const uint32_t>> spans(lists.begin(), lists.end());
  return MeanMatrix(spans, vocabulary, kUnknown);
}

std::vector<float> Random(size_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(size);
  for (float& x : values) x = normal(random);
  return values;
}

TEST(MeanMatrix, CountsKnownTokensByTheirShare) {
  const SparseMatrix means = Means({{3, 1, 3, kUnknown, 3}, {kUnknown}, {}, {2}}, 5);
  EXPECT_EQ(means.columns, 5u);
  EXPECT_THAT(means.begins, ElementsAre(0, 2, 2, 2, 3));
  EXPECT_THAT(means.places, ElementsAre(1, 3, 2));
  EXPECT_THAT(means.values, ElementsAre(0.25f, 0.75f, 1.0f));
}

TEST(Transpose, TurnsRowsIntoColumns) {
  const SparseMatrix turned = Transpose(Means({{3, 1, 3, 3}, {}, {3}}, 4));
  EXPECT_EQ(turned.columns, 3u);
  EXPECT_THAT(turned.begins, ElementsAre(0, 0, 1, 1, 3));
  EXPECT_THAT(turned.places, ElementsAre(0, 0, 2));
  EXPECT_THAT(turned.values, ElementsAre(0.25f, 0.75f, 1.0f));
}

TEST(RidgeFit, RecoversTheVectorsThatMadeTheMeans) {
  constexpr size_t kVocabulary = 60, kDim = 5;
  const SparseMatrix means = Means(RandomLists(2'000, kVocabulary), kVocabulary);
  std::vector<float> truth = Random(kVocabulary * kDim, 1);
  std::fill(truth.begin(), truth.begin() + kDim, 0.0f);  // No text has the unknown token.
  std::vector<float> targets;
  Multiply(means, truth, kDim, 2, &targets);
  RidgeOptions options;
  options.ridge = 1e-6f;
  options.iterations = 200;
  const std::vector<float> found =
      RidgeFit(means, targets, std::vector<float>(truth.size()), kDim, options);
  EXPECT_THAT(found, Pointwise(FloatNear(1e-3f), truth));
}

TEST(RidgeFit, ReachesTheMinimumThatTheEquationsSay) {
  // One token alone in one text: w = (target + ridge * start) / (1 + ridge).
  RidgeOptions options;
  options.ridge = 0.5f;
  const std::vector<float> found =
      RidgeFit(Means({{1}}, 3), {3.0f}, {7.0f, 1.0f, 9.0f}, 1, options);
  EXPECT_THAT(found, Pointwise(FloatNear(1e-6f), {7.0f, 3.5f / 1.5f, 9.0f}));
}

TEST(RidgeFit, StaysWhereTheStartIsPerfect) {
  const SparseMatrix means = Means(RandomLists(50, 20), 20);
  const std::vector<float> start = Random(40, 2);
  std::vector<float> targets;
  Multiply(means, start, 2, 1, &targets);
  EXPECT_EQ(RidgeFit(means, targets, start, 2, {}), start);
}

TEST(RidgeFit, IsTheSameBitsForAnyNumberOfThreads) {
  constexpr size_t kVocabulary = 2'000, kDim = 9;
  const SparseMatrix means = Means(RandomLists(3'000, kVocabulary), kVocabulary);
  const std::vector<float> targets = Random(3'000 * kDim, 1);
  const std::vector<float> start = Random(kVocabulary * kDim, 2);
  RidgeOptions one, five;
  one.threads = 1;
  five.threads = 5;
  EXPECT_EQ(RidgeFit(means, targets, start, kDim, one),
            RidgeFit(means, targets, start, kDim, five));
}

}  // namespace
}  // namespace cairn::engine
