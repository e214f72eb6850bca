#include "engine/eval/compare_runs.h"

#include <array>
#include <cmath>
#include <map>
#include <random>
#include <string_view>
#include <utility>

namespace cairn::engine {
namespace {

constexpr size_t kMaxExact = 16;

// Sums of up to eight differences under every choice of signs: bit set means flipped.
using SignTable = std::array<double, 256>;

// Tables for the differences that are not 0, eight to a table. A sum under random signs is then one
// look-up for eight topics.
std::vector<SignTable> MakeSignTables(absl::Span<const double> differences) {
  std::vector<SignTable> tables((differences.size() + 7) / 8);
  for (size_t t = 0; t < tables.size(); ++t) {
    for (size_t signs = 0; signs < 256; ++signs) {
      double sum = 0;
      for (size_t bit = 0; bit < 8 && 8 * t + bit < differences.size(); ++bit) {
        const double difference = differences[8 * t + bit];
        sum += (signs >> bit & 1) != 0 ? -difference : difference;
      }
      tables[t][signs] = sum;
    }
  }
  return tables;
}

double ExactPValue(const std::vector<SignTable>& tables, size_t count, double threshold) {
  const uint64_t all = uint64_t{1} << count;
  uint64_t hits = 0;
  for (uint64_t signs = 0; signs < all; ++signs) {
    double sum = tables[0][signs & 255];
    if (tables.size() > 1) sum += tables[1][signs >> 8];
    if (std::abs(sum) >= threshold) ++hits;
  }
  return static_cast<double>(hits) / static_cast<double>(all);
}

double SampledPValue(const std::vector<SignTable>& tables, double threshold,
                     const CompareOptions& options) {
  std::mt19937_64 random(options.seed);
  int64_t hits = 0;
  for (int64_t draw = 0; draw < options.permutations; ++draw) {
    double sum = 0;
    uint64_t signs = 0;
    for (size_t t = 0; t < tables.size(); ++t) {
      if (t % 8 == 0) signs = random();
      sum += tables[t][signs & 255];
      signs >>= 8;
    }
    if (std::abs(sum) >= threshold) ++hits;
  }
  return static_cast<double>(hits + 1) / static_cast<double>(options.permutations + 1);
}

// A topic's rows in the two results; null where it is missing and counts 0.
struct TopicPair {
  const EvalTopic* a = nullptr;
  const EvalTopic* b = nullptr;
};

std::vector<TopicPair> PairTopics(const EvalResult& a, const EvalResult& b) {
  std::map<std::string_view, TopicPair> by_id;
  for (const EvalTopic& topic : a.topics) by_id[topic.id].a = &topic;
  for (const EvalTopic& topic : b.topics) by_id[topic.id].b = &topic;
  std::vector<TopicPair> pairs;
  for (const auto& [id, pair] : by_id) {
    if (a.all_judged_topics || (pair.a != nullptr && pair.b != nullptr)) pairs.push_back(pair);
  }
  return pairs;
}

MeasureComparison CompareColumn(const std::vector<TopicPair>& pairs, size_t column,
                                int64_t num_topics, const CompareOptions& options) {
  MeasureComparison comparison;
  comparison.num_topics = num_topics;
  if (num_topics == 0) return comparison;
  std::vector<double> differences;
  double sum_a = 0;
  double sum_b = 0;
  for (const TopicPair& pair : pairs) {
    const double value_a = pair.a != nullptr ? pair.a->values[column] : 0;
    const double value_b = pair.b != nullptr ? pair.b->values[column] : 0;
    sum_a += value_a;
    sum_b += value_b;
    differences.push_back(value_b - value_a);
  }
  comparison.mean_a = sum_a / static_cast<double>(num_topics);
  comparison.mean_b = sum_b / static_cast<double>(num_topics);
  comparison.difference = comparison.mean_b - comparison.mean_a;
  comparison.p_value = RandomisationTest(differences, options);
  return comparison;
}

}  // namespace

double RandomisationTest(absl::Span<const double> differences, const CompareOptions& options) {
  // A difference of 0 adds nothing under either sign.
  std::vector<double> nonzero;
  double sum = 0;
  double magnitude = 0;
  for (const double difference : differences) {
    if (difference == 0) continue;
    nonzero.push_back(difference);
    sum += difference;
    magnitude += std::abs(difference);
  }
  if (nonzero.empty()) return 1;
  // Sums that are equal but for the order of additions must count as equal.
  const double threshold = std::abs(sum) - 1e-12 * magnitude;
  const std::vector<SignTable> tables = MakeSignTables(nonzero);
  if (nonzero.size() <= kMaxExact) return ExactPValue(tables, nonzero.size(), threshold);
  return SampledPValue(tables, threshold, options);
}

absl::StatusOr<std::vector<MeasureComparison>> CompareRuns(const EvalResult& a, const EvalResult& b,
                                                           const CompareOptions& options) {
  bool same = a.columns.size() == b.columns.size() && a.all_judged_topics == b.all_judged_topics;
  for (size_t c = 0; same && c < a.columns.size(); ++c) {
    same = a.columns[c].name == b.columns[c].name;
  }
  if (!same) {
    return absl::InvalidArgumentError("the two results have different measures or options");
  }
  const std::vector<TopicPair> pairs = PairTopics(a, b);
  const int64_t num_topics =
      a.all_judged_topics ? a.num_topics : static_cast<int64_t>(pairs.size());
  std::vector<MeasureComparison> comparisons;
  for (size_t c = 0; c < a.columns.size(); ++c) {
    if (a.columns[c].kind != ColumnKind::kMean) continue;
    comparisons.push_back(CompareColumn(pairs, c, num_topics, options));
    comparisons.back().measure = a.columns[c].name;
  }
  return comparisons;
}

}  // namespace cairn::engine
