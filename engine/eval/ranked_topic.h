// One topic of a run joined with its judgements: what every measure is computed from.
#ifndef CAIRN_ENGINE_EVAL_RANKED_TOPIC_H_
#define CAIRN_ENGINE_EVAL_RANKED_TOPIC_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace cairn::engine {

// Levels of retrieved documents nobody judged; both count as not relevant.
inline constexpr int32_t kUnjudgedLevel = -1;   // in the judgements, with a negative level
inline constexpr int32_t kNotInPoolLevel = -2;  // not in the judgements

struct RankedTopic {
  // Smallest level that counts as relevant; at least 1.
  int32_t relevance_level = 1;
  // Level of the document at each rank, best first.
  std::vector<int32_t> levels;
  // relevant_above[i]: relevant documents among the first i; one longer than levels.
  std::vector<int64_t> relevant_above;
  // Judged levels above 0, descending: the ideal ranking.
  std::vector<int32_t> ideal_levels;
  // Judged documents, retrieved or not, that are relevant and not relevant.
  int64_t num_relevant = 0;
  int64_t num_nonrelevant = 0;
  // discounts[i] = log2(i + 2), the discount of rank i + 1; as long as the longer of levels and
  // ideal_levels.
  absl::Span<const double> discounts;

  int64_t num_retrieved() const { return static_cast<int64_t>(levels.size()); }
  int64_t num_relevant_retrieved() const { return relevant_above.back(); }
  bool IsRelevant(int32_t level) const { return level >= relevance_level; }
  bool IsJudgedNonrelevant(int32_t level) const { return level >= 0 && !IsRelevant(level); }
  // Relevant documents among the first `cutoff`.
  int64_t RelevantAt(int64_t cutoff) const {
    return relevant_above[static_cast<size_t>(cutoff < num_retrieved() ? cutoff : num_retrieved())];
  }
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_EVAL_RANKED_TOPIC_H_
