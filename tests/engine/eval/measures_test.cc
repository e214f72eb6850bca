#include "engine/eval/measures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tests/engine/eval/eval_text.h"

namespace cairn::engine::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> Columns(const std::vector<std::string>& arguments) {
  const absl::StatusOr<std::vector<MeasureSpec>> specs = ParseMeasures(arguments);
  if (!specs.ok()) return {std::string(specs.status().message())};
  std::vector<std::string> columns;
  for (const MeasureSpec& spec : *specs) {
    for (const std::string& name : spec.ColumnNames()) columns.push_back(name);
  }
  return columns;
}

TEST(ParseMeasures, TakesParametersAfterADot) {
  EXPECT_THAT(Columns({"P.5,10"}), ElementsAre("P_5", "P_10"));
  EXPECT_THAT(Columns({"iprec_at_recall..25,.1"}),
              ElementsAre("iprec_at_recall_0.10", "iprec_at_recall_0.25"));
  EXPECT_THAT(Columns({"11pt_avg..25,.5"}), ElementsAre("11pt_avg_.25,.5"));
  EXPECT_THAT(Columns({"ndcg.1=3,2=9,4=4.5"}), ElementsAre("ndcg_1=3,2=9,4=4.5"));
  EXPECT_THAT(Columns({"utility.2,-1,0,0"}), ElementsAre("utility_2,-1,0,0"));
  EXPECT_THAT(Columns({"relstring.20"}), ElementsAre("relstring_20"));
}

TEST(ParseMeasures, TakesThePrintedForm) {
  EXPECT_THAT(Columns({"ndcg_cut_10"}), ElementsAre("ndcg_cut_10"));
  EXPECT_THAT(Columns({"P_avgjg_10"}), ElementsAre("P_avgjg_10"));
  EXPECT_THAT(Columns({"set_F_0.5"}), ElementsAre("set_F_0.5"));
  // Every name printed for the default measures is understood again.
  for (const std::string nickname : {"all_trec", "qrels_jg"}) {
    for (const std::string& column : Columns({nickname})) {
      EXPECT_THAT(Columns({column}), ::testing::Contains(column));
    }
  }
}

TEST(ParseMeasures, NamesRankBiasedPrecisionByItsPersistence) {
  EXPECT_THAT(Columns({"rbp"}), ElementsAre("rbp"));
  EXPECT_THAT(Columns({"rbp.0.8"}), ElementsAre("rbp_0.80"));
  EXPECT_THAT(Columns({"rbp_0.80"}), ElementsAre("rbp_0.80"));
}

TEST(ParseMeasures, SortsAsTrecEvalPrints) {
  EXPECT_THAT(Columns({"ndcg_cut.20,5,10,5", "map", "num_q"}),
              ElementsAre("num_q", "map", "ndcg_cut_5", "ndcg_cut_10", "ndcg_cut_20"));
}

TEST(ParseMeasures, JoinsCutoffsAndPrefersThemToDefaults) {
  EXPECT_THAT(Columns({"P.5", "P.10", "P_5"}), ElementsAre("P_5", "P_10"));
  EXPECT_THAT(Columns({"success", "success.3"}), ElementsAre("success_3"));
  EXPECT_THAT(Columns({"success.3", "success"}), ElementsAre("success_3"));
  EXPECT_THAT(Columns({"relstring.5", "relstring.7"}), ElementsAre("relstring_7"));
  EXPECT_THAT(Columns({"map", "map"}), ElementsAre("map"));
}

TEST(ParseMeasures, MeansOfficialWithoutArguments) {
  EXPECT_EQ(Columns({}), Columns({"official"}));
  EXPECT_EQ(Columns({}).size(), 30u);
}

TEST(ParseMeasures, SaysWhatIsWrong) {
  for (const std::string bad : {"",
                                "maps",
                                "ndcg@10",
                                ".5",
                                "_",
                                "P_",
                                "P.",
                                "P.0",
                                "P.-1",
                                "P.1.5",
                                "P.x",
                                "P.1e99",
                                "P.5,",
                                "map.5",
                                "rbp.1",
                                "rbp.nan",
                                "iprec_at_recall.2",
                                "ndcg.1",
                                "ndcg.1=x",
                                "ndcg.x=1",
                                "ndcg.1=-1",
                                "utility.1",
                                "utility.1,1,1,1",
                                "set_F.1,2",
                                "set_F.-1"}) {
    const absl::StatusOr<std::vector<MeasureSpec>> specs = ParseMeasure(bad);
    EXPECT_EQ(specs.status().code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_THAT(MessageOf(specs), HasSubstr("\"" + bad + "\"")) << bad;
  }
}

TEST(ParseMeasures, RefusesAbsurdlyManyParameters) {
  std::string many = "P.1";
  for (int i = 2; i < 2000; ++i) many += "," + std::to_string(i);
  EXPECT_FALSE(ParseMeasure(many).ok());
}

TEST(ParseMeasures, SurvivesRandomArguments) {
  std::mt19937 random(5);
  const std::vector<std::string> parts = {"P",  "ndcg", "_",  ".", "cut", "1",   ",", "=",
                                          "-1", "map",  "1e", "F", "rbp", "set", " ", "avgjg"};
  for (int round = 0; round < 5000; ++round) {
    std::string argument;
    for (size_t i = random() % 8; i > 0; --i) argument += parts[random() % parts.size()];
    const absl::StatusOr<std::vector<MeasureSpec>> specs = ParseMeasure(argument);
    EXPECT_TRUE(!specs.ok() || !specs->empty());
  }
}

}  // namespace
}  // namespace cairn::engine::testing
