// The measures, their names and parameters: trec_eval 9.0.8's.
//
// A measure is named as in trec_eval: "map"; with parameters after a dot, "P.5,10",
// "iprec_at_recall..25,.5", "ndcg.1=3,2=9"; or as it is printed, "ndcg_cut_10". Four names stand
// for lists: "official" (what trec_eval prints by default), "set", "all_trec", and "qrels_jg"
// (measures averaged over assessors; they need judgements in QrelsFormat::kGroups).
//
//   runid, num_q, num_ret, num_rel, num_rel_ret   the run's tag; counts
//   map, gm_map, map_cut_K     average precision; its geometric mean; over the first K
//   Rprec, Rprec_mult_X        precision at R (or X*R) documents, R = number of relevant ones
//   bpref, gm_bpref            preference of relevant over judged nonrelevant documents
//   recip_rank, success_K      1/rank of the first relevant document; whether it is in the first K
//   iprec_at_recall_X          highest precision at any rank with recall of at least X
//   11pt_avg                   mean of that over 0, .1, ..., 1 (or the parameters)
//   P_K, recall_K, relative_P_K  precision, recall, precision relative to its maximum
//   set_P, set_recall, set_relative_P, set_map, set_F  of the unordered set (set_F.X: X is the
//   weight
//                              of recall)
//   infAP                      inferred AP where a sample of the pool is judged (Yilmaz, Aslam
//   2006) utility                    A*a + B*b + C*c + D*d over the contingency table; default
//   1,-1,0,0 ndcg, ndcg_cut_K           normalised discounted cumulative gain (Jarvelin, Kekalainen
//   2002):
//                              gain = level, discount = log2(rank + 1)
//   ndcg_rel, Rndcg            nDCG averaged over the relevant documents' ranks, and over the ranks
//   at
//                              which the ideal gain changes
//   G, binG                    gain discounted by log2(2 + ideal - own cumulative gain); with
//   levels 0, 1 rbp, rbp_resid             rank-biased precision (Moffat, Zobel 2008), gain = level
//   / highest level,
//                              persistence .9 unless given ("rbp.0.8"); its uncertainty
//   num_nonrel_judged_ret, unj_K  judged nonrelevant documents; unjudged share of the first K
//   relstring                  the levels of the first 10 documents as a string
//   map_avgjg, P_avgjg_K, Rprec_mult_avgjg_X  means over the assessors' own values
#ifndef CAIRN_ENGINE_EVAL_MEASURES_H_
#define CAIRN_ENGINE_EVAL_MEASURES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/eval/ranked_topic.h"
#include "engine/eval/trec_files.h"

namespace cairn::engine {

// How a value is summed up over topics and printed.
enum class ColumnKind {
  kRunTag,     // text; summary only
  kNumTopics,  // integer; summary only
  kSum,        // integer; sum over topics
  kMean,       // mean over topics
  kGeometric,  // geometric mean of topic values no smaller than .00001; summary only
  kLevels,     // text; topics only
};

struct MeasureSpec;

// One entry of the table of measures.
struct MeasureInfo {
  enum class Parameters {
    kNone,
    kRanks,    // whole numbers from 1; a value for each
    kShares,   // numbers from 0; a value for each, named with two decimals
    kNumbers,  // numbers, together making one value
    kGains,    // level=gain pairs, together making one value
  };
  std::string_view name;
  ColumnKind kind;
  Parameters parameters;
  // Prints defaults without parameters in the name, as trec_eval does for kNumbers and kGains.
  bool plain_default;
  std::vector<double> defaults;
  QrelsFormat format;
  // Writes the values of one topic, one for each column. Null for text and kNumTopics.
  void (*compute)(const RankedTopic&, const MeasureSpec&, double* out);
};

// A measure with its parameters, ready to compute.
struct MeasureSpec {
  const MeasureInfo* info = nullptr;  // static
  bool is_default = true;             // no parameters were given
  std::string text;                   // parameters as given
  std::vector<double> values;         // parameters, ascending where each makes a column
  std::vector<std::pair<int32_t, double>> gains;

  // Printed names of the values: one, or one for each parameter.
  std::vector<std::string> ColumnNames() const;
};

// Every measure, in the order trec_eval prints them.
absl::Span<const MeasureInfo> AllMeasures();

// The measures one argument asks for. InvalidArgumentError, naming the argument, if it is none.
absl::StatusOr<std::vector<MeasureSpec>> ParseMeasure(std::string_view argument);

// All arguments together, in the order trec_eval prints them, each measure once: parameters given
// replace the defaults, and lists of cut-offs are joined. No argument means "official".
absl::StatusOr<std::vector<MeasureSpec>> ParseMeasures(absl::Span<const std::string> arguments);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_EVAL_MEASURES_H_
