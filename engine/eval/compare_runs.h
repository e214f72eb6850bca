// Paired comparison of two runs on the same topics.
#ifndef CAIRN_ENGINE_EVAL_COMPARE_RUNS_H_
#define CAIRN_ENGINE_EVAL_COMPARE_RUNS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/eval/evaluate.h"

namespace cairn::engine {

struct CompareOptions {
  int64_t permutations = 100000;
  uint64_t seed = 1;
};

struct MeasureComparison {
  std::string measure;  // printed name
  double mean_a = 0;
  double mean_b = 0;
  double difference = 0;  // mean_b - mean_a
  double p_value = 1;
  int64_t num_topics = 0;  // topics compared
};

// Compares each column that is a mean over topics, over the topics both results have, or, with
// EvalOptions::all_judged_topics, over all judged topics, a missing one counting 0.
// InvalidArgumentError if the results have different columns or that option differs.
absl::StatusOr<std::vector<MeasureComparison>> CompareRuns(const EvalResult& a, const EvalResult& b,
                                                           const CompareOptions& options);

// Two-sided p-value of the paired randomisation test (Fisher; Smucker, Allan, Carterette 2007): the
// probability that flipping the sign of each difference at random gives a sum at least as far from
// 0 as the observed one. Exact where at most 16 differences are not 0; otherwise an estimate from
// `permutations` seeded draws, (hits + 1) / (draws + 1). Equal arguments give equal results.
double RandomisationTest(absl::Span<const double> differences, const CompareOptions& options);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_EVAL_COMPARE_RUNS_H_
