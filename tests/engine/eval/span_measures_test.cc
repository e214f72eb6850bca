#include "engine/eval/span_measures.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace cairn::engine {
namespace {

TEST(SpanMeasures, CountCommonPositions) {
  const SpanScores scores = ScoreSpans({{"d", 10, 20}, {"d", 30, 40}}, {{"d", 15, 35}});
  EXPECT_DOUBLE_EQ(scores.recall, 10.0 / 20);
  EXPECT_DOUBLE_EQ(scores.precision, 10.0 / 20);
  EXPECT_DOUBLE_EQ(scores.iou, 10.0 / 30);
  EXPECT_DOUBLE_EQ(scores.iou_with_repeats, 10.0 / 30);
}

TEST(SpanMeasures, CountOverlappingRetrievedTextOnceButInPrecision) {
  const SpanScores scores = ScoreSpans({{"d", 0, 10}}, {{"d", 0, 10}, {"d", 5, 15}, {"d", 0, 10}});
  EXPECT_DOUBLE_EQ(scores.recall, 1);
  EXPECT_DOUBLE_EQ(scores.precision, 10.0 / 30);
  EXPECT_DOUBLE_EQ(scores.iou, 10.0 / 15);
  EXPECT_DOUBLE_EQ(scores.iou_with_repeats, 10.0 / 30);
}

TEST(SpanMeasures, KeepDocumentsApart) {
  const SpanScores scores =
      ScoreSpans({{"a", 0, 10}, {"c", 0, 10}}, {{"b", 0, 10}, {"c", 5, 10}, {"a", 10, 20}});
  EXPECT_DOUBLE_EQ(scores.recall, 5.0 / 20);
  EXPECT_DOUBLE_EQ(scores.precision, 5.0 / 25);
  EXPECT_DOUBLE_EQ(scores.iou, 5.0 / 40);
}

TEST(SpanMeasures, AreDefinedForEmptySides) {
  const SpanScores none = ScoreSpans({}, {});
  EXPECT_EQ(none.recall, 1);
  EXPECT_EQ(none.precision, 0);
  EXPECT_EQ(none.iou, 0);
  const SpanScores no_gold = ScoreSpans({{"d", 5, 5}, {"d", 9, 3}}, {{"d", 0, 10}});
  EXPECT_EQ(no_gold.recall, 1);
  EXPECT_EQ(no_gold.precision, 0);
  const SpanScores nothing = ScoreSpans({{"d", 0, 10}}, {});
  EXPECT_EQ(nothing.recall, 0);
  EXPECT_EQ(nothing.iou, 0);
}

TEST(SpanMeasures, TakeTheLargestPositions) {
  constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
  const SpanScores scores =
      ScoreSpans({{"d", 0, kMax}, {"e", 0, kMax}}, {{"d", 0, kMax}, {"e", 0, kMax}});
  EXPECT_DOUBLE_EQ(scores.recall, 1);
  EXPECT_DOUBLE_EQ(scores.iou, 1);
}

std::vector<DocumentSpan> RandomSpans(std::mt19937& random) {
  static constexpr std::string_view kDocuments[] = {"a", "b", "c"};
  std::vector<DocumentSpan> spans;
  for (size_t i = random() % 8; i > 0; --i) {
    const uint64_t begin = random() % 40;
    spans.push_back({kDocuments[random() % 3], begin, begin + random() % 12});
  }
  return spans;
}

std::set<std::pair<std::string, uint64_t>> Positions(const std::vector<DocumentSpan>& spans) {
  std::set<std::pair<std::string, uint64_t>> positions;
  for (const DocumentSpan& span : spans) {
    for (uint64_t i = span.begin; i < span.end; ++i) positions.emplace(span.document, i);
  }
  return positions;
}

TEST(SpanMeasures, AgreeWithCountingPositionsOneByOne) {
  std::mt19937 random(31);
  for (int round = 0; round < 2000; ++round) {
    const std::vector<DocumentSpan> gold = RandomSpans(random);
    const std::vector<DocumentSpan> retrieved = RandomSpans(random);
    const auto wanted = Positions(gold);
    const auto kept = Positions(retrieved);
    double common = 0;
    for (const auto& position : wanted) common += static_cast<double>(kept.count(position));
    double total = 0;
    for (const DocumentSpan& span : retrieved) total += static_cast<double>(span.end - span.begin);
    const double either = static_cast<double>(wanted.size() + kept.size()) - common;
    const SpanScores scores = ScoreSpans(gold, retrieved);
    EXPECT_DOUBLE_EQ(scores.recall,
                     wanted.empty() ? 1 : common / static_cast<double>(wanted.size()));
    EXPECT_DOUBLE_EQ(scores.precision, total > 0 ? common / total : 0);
    EXPECT_DOUBLE_EQ(scores.iou, either > 0 ? common / either : 0);
    const double with_repeats = static_cast<double>(wanted.size()) + total - common;
    EXPECT_DOUBLE_EQ(scores.iou_with_repeats, with_repeats > 0 ? common / with_repeats : 0);
  }
}

TEST(SpanMeasures, DoNotDependOnTheOrderOfSpans) {
  std::mt19937 random(37);
  for (int round = 0; round < 200; ++round) {
    const std::vector<DocumentSpan> gold = RandomSpans(random);
    std::vector<DocumentSpan> retrieved = RandomSpans(random);
    const SpanScores before = ScoreSpans(gold, retrieved);
    std::shuffle(retrieved.begin(), retrieved.end(), random);
    const SpanScores after = ScoreSpans(gold, retrieved);
    EXPECT_EQ(before.recall, after.recall);
    EXPECT_EQ(before.precision, after.precision);
    EXPECT_EQ(before.iou, after.iou);
  }
}

TEST(SpanMeasures, AverageOverQuestions) {
  const SpanScores mean = MeanSpanScores({{1, 0.5, 0.5, 0.4}, {0, 0.1, 0.1, 0.2}});
  EXPECT_DOUBLE_EQ(mean.recall, 0.5);
  EXPECT_DOUBLE_EQ(mean.precision, 0.3);
  EXPECT_DOUBLE_EQ(mean.iou, 0.3);
  EXPECT_DOUBLE_EQ(mean.iou_with_repeats, 0.3);
  EXPECT_EQ(MeanSpanScores({}).recall, 0);
}

}  // namespace
}  // namespace cairn::engine
