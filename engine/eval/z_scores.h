// Standard scores: a run's values relative to those of many other runs on the same topics.
#ifndef CAIRN_ENGINE_EVAL_Z_SCORES_H_
#define CAIRN_ENGINE_EVAL_Z_SCORES_H_

#include <istream>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "engine/eval/evaluate.h"

namespace cairn::engine {

// Mean and standard deviation of a measure over other runs.
struct ZScoreBasis {
  double mean = 0;
  double deviation = 0;
};

// By topic, then by the measure's printed name.
using ZScores = absl::flat_hash_map<std::string, absl::flat_hash_map<std::string, ZScoreBasis>>;

// Reads lines `topic measure mean deviation`; comments and errors as in trec_files.h.
absl::StatusOr<ZScores> ReadZScores(std::istream& in, std::string_view name);
absl::StatusOr<ZScores> ReadZScoresFile(const std::string& path);

// Replaces each topic's values by (value - mean) / deviation, 0 where the deviation is 0, and sums
// them up again, as trec_eval -Z does. NotFoundError if a topic's measure has no mean and
// deviation.
absl::StatusOr<EvalResult> ApplyZScores(EvalResult result, const ZScores& z_scores);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_EVAL_Z_SCORES_H_
