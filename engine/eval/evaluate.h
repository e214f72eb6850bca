// Evaluates a run against relevance judgements with trec_eval 9.0.8's semantics: the rank column is
// ignored, documents are ranked by score descending and, where equal, by id descending.
#ifndef CAIRN_ENGINE_EVAL_EVALUATE_H_
#define CAIRN_ENGINE_EVAL_EVALUATE_H_

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/eval/measures.h"
#include "engine/eval/trec_files.h"

namespace cairn::engine {

struct EvalOptions {
  // Smallest level that counts as relevant (trec_eval -l); at least 1. Measures of graded relevance
  // use every level above 0 regardless.
  int32_t relevance_level = 1;
  // Documents of a topic beyond this rank are dropped (-M).
  int64_t max_results = std::numeric_limits<int64_t>::max();
  // Average over all judged topics, with zeros for those without results, instead of over the
  // judged topics that have results (-c).
  bool all_judged_topics = false;
};

struct EvalColumn {
  std::string name;
  ColumnKind kind;
};

struct EvalTopic {
  std::string id;
  std::vector<double> values;      // one for each column; 0 where the column has none for topics
  std::vector<std::string> texts;  // one for each column of kind kLevels
};

// Values by topic and summed up. Columns are in the order of the measures.
struct EvalResult {
  std::string run_tag;
  std::vector<EvalColumn> columns;
  std::vector<EvalTopic> topics;  // judged topics that have results, by id
  std::vector<double> summary;    // one for each column; 0 where the column has none
  int64_t num_topics = 0;         // topics averaged over
  bool all_judged_topics = false;
  bool is_z_scored = false;
};

// InvalidArgumentError if a measure needs judgements in another format, a run has a topic twice, or
// the relevance level is below 1. Thread-safe: arguments are only read.
absl::StatusOr<EvalResult> Evaluate(const Qrels& qrels, const TrecRun& run,
                                    absl::Span<const MeasureSpec> measures,
                                    const EvalOptions& options);

// trec_eval's output: lines of measure, topic or "all", and value, separated by tabs. Topics are
// left out unless `with_topics` (-q).
std::string FormatTrec(const EvalResult& result, bool with_topics);

// Computes the summary from the topics' values: what Evaluate does last, for whoever changes them.
// Relevant documents of topics without results are not in there.
void Summarise(EvalResult& result);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_EVAL_EVALUATE_H_
