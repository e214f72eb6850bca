#include "engine/eval/compare_runs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "tests/engine/eval/eval_text.h"

namespace cairn::engine::testing {
namespace {

std::vector<double> RandomDifferences(std::mt19937& random, size_t count, double shift) {
  std::normal_distribution<double> normal(shift, 1);
  std::vector<double> differences(count);
  for (double& difference : differences) difference = normal(random);
  return differences;
}

// By definition, one choice of signs at a time.
double BruteForce(const std::vector<double>& differences) {
  double observed = 0;
  for (const double difference : differences) observed += difference;
  size_t hits = 0;
  const size_t all = size_t{1} << differences.size();
  for (size_t signs = 0; signs < all; ++signs) {
    double sum = 0;
    for (size_t i = 0; i < differences.size(); ++i) {
      sum += (signs >> i & 1) != 0 ? -differences[i] : differences[i];
    }
    if (std::abs(sum) >= std::abs(observed) - 1e-9) ++hits;
  }
  return static_cast<double>(hits) / static_cast<double>(all);
}

TEST(RandomisationTest, IsExactForFewTopics) {
  EXPECT_DOUBLE_EQ(RandomisationTest({1, 1, 1, 1}, {}), 2.0 / 16);
  EXPECT_DOUBLE_EQ(RandomisationTest({1, 2, 3}, {}), 2.0 / 8);
  EXPECT_DOUBLE_EQ(RandomisationTest({1, -1}, {}), 1);
  EXPECT_DOUBLE_EQ(RandomisationTest({0.1, 0.2, -0.3}, {}), 1);
  EXPECT_DOUBLE_EQ(RandomisationTest({5}, {}), 1);
  std::mt19937 random(1);
  for (size_t count = 1; count <= 14; ++count) {
    const std::vector<double> differences = RandomDifferences(random, count, 0.4);
    EXPECT_DOUBLE_EQ(RandomisationTest(differences, {}), BruteForce(differences)) << count;
  }
}

TEST(RandomisationTest, IsOneWithoutDifferences) {
  EXPECT_EQ(RandomisationTest({}, {}), 1);
  EXPECT_EQ(RandomisationTest(std::vector<double>(500, 0.0), {}), 1);
}

TEST(RandomisationTest, IgnoresTopicsWithoutDifference) {
  std::vector<double> differences = {1, 1, 1, 1};
  differences.resize(1000, 0.0);
  EXPECT_DOUBLE_EQ(RandomisationTest(differences, {}), 2.0 / 16);
}

TEST(RandomisationTest, SamplesCloseToTheExactValue) {
  std::mt19937 random(2);
  for (int round = 0; round < 5; ++round) {
    std::vector<double> differences = RandomDifferences(random, 16, 0.3);
    const double exact = RandomisationTest(differences, {});
    // Two more, too small to matter, make it sample.
    differences.insert(differences.end(), {1e-7, -1e-7});
    EXPECT_NEAR(RandomisationTest(differences, {}), exact, 0.01);
  }
}

TEST(RandomisationTest, DependsOnlyOnArgumentsAndSeed) {
  std::mt19937 random(3);
  const std::vector<double> differences = RandomDifferences(random, 70, 0.2);
  CompareOptions options;
  options.permutations = 5000;
  const double p = RandomisationTest(differences, options);
  EXPECT_EQ(RandomisationTest(differences, options), p);
  std::vector<double> negated;
  for (const double difference : differences) negated.push_back(-difference);
  EXPECT_EQ(RandomisationTest(negated, options), p);
  options.seed = 2;
  EXPECT_NEAR(RandomisationTest(differences, options), p, 0.05);
}

TEST(RandomisationTest, IsNeverZeroAndSmallForAClearDifference) {
  const double p = RandomisationTest(std::vector<double>(50, 1.0), {});
  EXPECT_GT(p, 0);
  EXPECT_LT(p, 0.0001);
}

TEST(RandomisationTest, IsUniformUnderTheNullHypothesis) {
  std::mt19937 random(4);
  CompareOptions options;
  options.permutations = 999;
  int below_a_quarter = 0;
  for (int round = 0; round < 400; ++round) {
    if (RandomisationTest(RandomDifferences(random, 30, 0), options) < 0.25) ++below_a_quarter;
  }
  EXPECT_NEAR(below_a_quarter, 100, 30);
}

constexpr char kFourQrels[] = "1 0 a 1\n2 0 a 1\n3 0 a 1\n4 0 a 1\n";
constexpr char kRunA[] =
    "1 Q0 b 1 2 A\n1 Q0 a 2 1 A\n2 Q0 b 1 2 A\n2 Q0 a 2 1 A\n3 Q0 b 1 2 A\n3 Q0 a 2 1 A\n";
constexpr char kRunB[] = "1 Q0 a 1 2 B\n2 Q0 a 1 2 B\n3 Q0 a 1 2 B\n4 Q0 a 1 2 B\n";

TEST(CompareRuns, IsOneForARunAgainstItself) {
  const EvalResult result = EvaluateTexts(kFourQrels, kRunA, {"all_trec"});
  const absl::StatusOr<std::vector<MeasureComparison>> comparisons =
      CompareRuns(result, result, {});
  ASSERT_TRUE(comparisons.ok());
  EXPECT_GT(comparisons->size(), 50u);
  for (const MeasureComparison& comparison : *comparisons) {
    EXPECT_EQ(comparison.p_value, 1) << comparison.measure;
    EXPECT_EQ(comparison.difference, 0) << comparison.measure;
  }
}

TEST(CompareRuns, ComparesTopicsBothHave) {
  const absl::StatusOr<std::vector<MeasureComparison>> comparisons =
      CompareRuns(EvaluateTexts(kFourQrels, kRunA, {"map", "num_q"}),
                  EvaluateTexts(kFourQrels, kRunB, {"map", "num_q"}), {});
  ASSERT_TRUE(comparisons.ok());
  ASSERT_EQ(comparisons->size(), 1u);
  const MeasureComparison& map = (*comparisons)[0];
  EXPECT_EQ(map.measure, "map");
  EXPECT_EQ(map.num_topics, 3);
  EXPECT_DOUBLE_EQ(map.mean_a, 0.5);
  EXPECT_DOUBLE_EQ(map.mean_b, 1);
  EXPECT_DOUBLE_EQ(map.difference, 0.5);
  EXPECT_DOUBLE_EQ(map.p_value, 2.0 / 8);
}

TEST(CompareRuns, CountsAMissingTopicAsZeroWhereAllJudgedOnesCount) {
  EvalOptions options;
  options.all_judged_topics = true;
  const absl::StatusOr<std::vector<MeasureComparison>> comparisons =
      CompareRuns(EvaluateTexts(kFourQrels, kRunA, {"map"}, options),
                  EvaluateTexts(kFourQrels, kRunB, {"map"}, options), {});
  ASSERT_TRUE(comparisons.ok());
  EXPECT_EQ((*comparisons)[0].num_topics, 4);
  EXPECT_DOUBLE_EQ((*comparisons)[0].mean_a, 1.5 / 4);
  EXPECT_DOUBLE_EQ((*comparisons)[0].mean_b, 1);
  EXPECT_DOUBLE_EQ((*comparisons)[0].p_value, 2.0 / 16);
}

TEST(CompareRuns, RefusesResultsThatDoNotMatch) {
  EvalOptions options;
  options.all_judged_topics = true;
  const EvalResult map = EvaluateTexts(kFourQrels, kRunA, {"map"});
  EXPECT_FALSE(CompareRuns(map, EvaluateTexts(kFourQrels, kRunB, {"ndcg"}), {}).ok());
  EXPECT_FALSE(CompareRuns(map, EvaluateTexts(kFourQrels, kRunB, {"map"}, options), {}).ok());
}

}  // namespace
}  // namespace cairn::engine::testing
