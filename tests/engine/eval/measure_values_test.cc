// Every family of measures on a topic small enough to work out on paper.
//
// Judged: a 1, b 0, c 2, d 1, e 0, f in the pool but unjudged. Returned, best first: b, a, x (not
// in the pool), c, f. So R = 3 and N = 2, and the levels by rank are 0 1 - 2 . with 2 relevant
// of 5.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "tests/engine/eval/eval_text.h"

namespace cairn::engine::testing {
namespace {

constexpr char kQrels[] = "1 0 a 1\n1 0 b 0\n1 0 c 2\n1 0 d 1\n1 0 e 0\n1 0 f -1\n";
constexpr char kRun[] = "1 Q0 b 0 9 t\n1 Q0 a 0 8 t\n1 Q0 x 0 7 t\n1 Q0 c 0 6 t\n1 Q0 f 0 5 t\n";
const double kLog3 = std::log2(3.0);
const double kLog5 = std::log2(5.0);

double Value(const std::string& measure, int32_t relevance_level = 1) {
  EvalOptions options;
  options.relevance_level = relevance_level;
  const EvalResult result = EvaluateTexts(kQrels, kRun, {measure}, options);
  return result.summary.empty() ? -1 : result.summary.back();
}

TEST(MeasureValues, Counts) {
  EXPECT_EQ(Value("num_q"), 1);
  EXPECT_EQ(Value("num_ret"), 5);
  EXPECT_EQ(Value("num_rel"), 3);
  EXPECT_EQ(Value("num_rel_ret"), 2);
  EXPECT_EQ(Value("num_nonrel_judged_ret"), 1);
  EXPECT_DOUBLE_EQ(Value("unj.5"), 2.0 / 5);
  EXPECT_DOUBLE_EQ(Value("unj.10"), 2.0 / 10);
}

TEST(MeasureValues, AveragePrecision) {
  EXPECT_DOUBLE_EQ(Value("map"), (1.0 / 2 + 2.0 / 4) / 3);
  EXPECT_DOUBLE_EQ(Value("gm_map"), (1.0 / 2 + 2.0 / 4) / 3);
  EXPECT_DOUBLE_EQ(Value("map_cut.2"), (1.0 / 2) / 3);
  EXPECT_DOUBLE_EQ(Value("map_cut.1"), 0);
}

TEST(MeasureValues, RelevanceLevelMovesTheBoundary) {
  EXPECT_DOUBLE_EQ(Value("map", 2), 1.0 / 4);
  EXPECT_EQ(Value("num_rel", 2), 1);
  EXPECT_EQ(Value("num_nonrel_judged_ret", 2), 2);
  // Graded gain does not look at it.
  EXPECT_DOUBLE_EQ(Value("ndcg", 2), Value("ndcg"));
}

TEST(MeasureValues, PrecisionAndRecall) {
  EXPECT_DOUBLE_EQ(Value("P.5"), 2.0 / 5);
  EXPECT_DOUBLE_EQ(Value("P.10"), 2.0 / 10);
  EXPECT_DOUBLE_EQ(Value("recall.2"), 1.0 / 3);
  EXPECT_DOUBLE_EQ(Value("recall.100"), 2.0 / 3);
  EXPECT_DOUBLE_EQ(Value("relative_P.2"), 1.0 / 2);
  EXPECT_DOUBLE_EQ(Value("relative_P.5"), 2.0 / 3);
  EXPECT_DOUBLE_EQ(Value("success.1"), 0);
  EXPECT_DOUBLE_EQ(Value("success.2"), 1);
  EXPECT_DOUBLE_EQ(Value("recip_rank"), 1.0 / 2);
  EXPECT_DOUBLE_EQ(Value("Rprec"), 1.0 / 3);
}

TEST(MeasureValues, MultiplesOfRRoundUp) {
  EXPECT_DOUBLE_EQ(Value("Rprec_mult.0.2"), 0);        // 1 document
  EXPECT_DOUBLE_EQ(Value("Rprec_mult.0.4"), 1.0 / 2);  // 2 documents
  EXPECT_DOUBLE_EQ(Value("Rprec_mult.2"), 2.0 / 6);
  EXPECT_DOUBLE_EQ(Value("Rprec_mult.0"), 0);
}

TEST(MeasureValues, InterpolatedPrecisionRoundsRecallToTheNearestDocument) {
  EXPECT_DOUBLE_EQ(Value("iprec_at_recall.0"), 1.0 / 2);
  EXPECT_DOUBLE_EQ(Value("iprec_at_recall.0.5"), 1.0 / 2);  // 1.5 documents: 2
  EXPECT_DOUBLE_EQ(Value("iprec_at_recall.0.8"), 1.0 / 2);  // 2.4 documents: 2
  EXPECT_DOUBLE_EQ(Value("iprec_at_recall.0.9"), 0);        // 2.7 documents: 3
  EXPECT_DOUBLE_EQ(Value("11pt_avg"), 9 * 0.5 / 11);
  EXPECT_DOUBLE_EQ(Value("11pt_avg.0,1"), 0.25);
}

TEST(MeasureValues, Bpref) {
  // Both have the one nonrelevant document above them, of min(R, N) = 2.
  EXPECT_DOUBLE_EQ(Value("bpref"), (0.5 + 0.5) / 3);
  EXPECT_DOUBLE_EQ(Value("gm_bpref"), (0.5 + 0.5) / 3);
}

TEST(MeasureValues, InferredAp) {
  const double e = 0.00001;
  const double a = 0.5 + 0.5 * 1 * (e / (1 + 2 * e));
  const double c = 0.25 + 0.75 * (2.0 / 3) * ((1 + e) / (2 + 2 * e));
  EXPECT_NEAR(Value("infAP"), (a + c) / 3, 1e-15);
}

TEST(MeasureValues, Sets) {
  EXPECT_DOUBLE_EQ(Value("set_P"), 2.0 / 5);
  EXPECT_DOUBLE_EQ(Value("set_recall"), 2.0 / 3);
  EXPECT_DOUBLE_EQ(Value("set_relative_P"), 2.0 / 3);
  EXPECT_DOUBLE_EQ(Value("set_map"), 2.0 / 5 * 2 / 3);
  EXPECT_DOUBLE_EQ(Value("set_F"), 0.5);
  EXPECT_NEAR(Value("set_F.0.5"), 0.4 / (2.0 / 3 + 0.2), 1e-15);
  EXPECT_EQ(Value("utility"), 2 - 3);
  EXPECT_EQ(Value("utility.2,-1,-3,0"), 4 - 3 - 3);
}

TEST(MeasureValues, Ndcg) {
  const double own = 1 / kLog3 + 2 / kLog5;
  const double ideal = 2 + 1 / kLog3 + 1.0 / 2;
  EXPECT_DOUBLE_EQ(Value("ndcg"), own / ideal);
  EXPECT_DOUBLE_EQ(Value("ndcg_cut.10"), own / ideal);
  const double at_2 = (1 / kLog3) / (2 + 1 / kLog3);
  EXPECT_DOUBLE_EQ(Value("ndcg_cut.2"), at_2);
  EXPECT_DOUBLE_EQ(Value("ndcg_cut.1"), 0);
  // Level 1 gains 3 and level 2 gains 1: the ideal order is turned round.
  EXPECT_DOUBLE_EQ(Value("ndcg.1=3,2=1"), (3 / kLog3 + 1 / kLog5) / (3 + 3 / kLog3 + 1.0 / 2));
  EXPECT_DOUBLE_EQ(Value("ndcg_rel"), (at_2 + own / ideal + own / ideal) / 3);
  // The ideal gain changes after ranks 1 and 3.
  EXPECT_DOUBLE_EQ(Value("Rndcg"), (0 + (1 / kLog3) / ideal + own / ideal) / 3);
}

TEST(MeasureValues, NormalisedGain) {
  EXPECT_DOUBLE_EQ(Value("binG"), (1 / kLog3 + 1 / std::log2(4.0)) / 3);
  EXPECT_DOUBLE_EQ(Value("G"), (1 / std::log2(2.0 + 3 - 1) + 2 / std::log2(2.0 + 5 - 3)) / 4);
}

TEST(MeasureValues, RankBiasedPrecision) {
  EXPECT_NEAR(Value("rbp"), 0.1 * (0.9 * 0.5 + 0.729 * 1), 1e-15);
  EXPECT_NEAR(Value("rbp.0.8"), 0.2 * (0.8 * 0.5 + 0.512 * 1), 1e-15);
  EXPECT_NEAR(Value("rbp_resid"), 0.1 * (0.81 + 0.6561) + std::pow(0.9, 5), 1e-15);
}

TEST(MeasureValues, LevelStringShowsEachKindOfDocument) {
  const EvalResult result = EvaluateTexts(std::string(kQrels) + "1 0 g 12\n",
                                          std::string(kRun) + "1 Q0 g 0 4 t\n", {"relstring"});
  EXPECT_EQ(FormatTrec(result, true), "relstring             \t1\t'01-2.>'\n");
  const EvalResult cut = EvaluateTexts(kQrels, kRun, {"relstring.3"});
  EXPECT_EQ(FormatTrec(cut, true), "relstring_3           \t1\t'01-'\n");
}

TEST(MeasureValues, AreZeroWhereNothingIsRelevantOrReturned) {
  EvalOptions cut;
  cut.max_results = 0;
  for (const EvalResult& result : {EvaluateTexts("1 0 a 0\n1 0 b -1\n", kRun, {"all_trec"}),
                                   EvaluateTexts(kQrels, kRun, {"all_trec"}, cut)}) {
    ASSERT_EQ(result.topics.size(), 1u);
    for (size_t c = 0; c < result.columns.size(); ++c) {
      const std::string& name = result.columns[c].name;
      EXPECT_TRUE(std::isfinite(result.topics[0].values[c])) << name;
      if (result.columns[c].kind == ColumnKind::kMean && name != "utility" && name != "rbp_resid" &&
          name.substr(0, 4) != "unj_") {
        EXPECT_EQ(result.topics[0].values[c], 0) << name;
      }
    }
  }
}

}  // namespace
}  // namespace cairn::engine::testing
