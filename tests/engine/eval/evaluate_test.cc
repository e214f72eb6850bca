#include "engine/eval/evaluate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "engine/eval/z_scores.h"
#include "tests/engine/eval/eval_text.h"

namespace cairn::engine::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// Lines of a random run and random judgements over the same documents.
struct RandomInput {
  std::vector<std::string> qrels;
  std::vector<std::string> run;
};

RandomInput MakeInput(std::mt19937& random) {
  RandomInput input;
  for (size_t topic = 0; topic < 1 + random() % 5; ++topic) {
    for (size_t document = 0; document < 40; ++document) {
      const std::string ids = std::to_string(topic) + " 0 d" + std::to_string(document) + " ";
      if (random() % 2 == 0) {
        input.qrels.push_back(ids + std::to_string(static_cast<int>(random() % 5) - 1));
      }
      // Few distinct scores, so that ties are common.
      if (random() % 2 == 0) input.run.push_back(ids + "0 " + std::to_string(random() % 8) + " t");
    }
  }
  return input;
}

std::string Join(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

TEST(Evaluate, AveragesOverJudgedTopicsThatHaveResults) {
  const std::string qrels = "1 0 a 1\n2 0 b 1\n2 0 c 1\n";
  const std::string run = "1 Q0 x 1 2 t\n1 Q0 a 2 1 t\n3 Q0 a 1 1 t\n";
  const EvalResult result = EvaluateTexts(qrels, run, {"official"});
  EXPECT_EQ(result.num_topics, 1);
  EXPECT_EQ(Summary(result, "num_q"), 1);
  EXPECT_EQ(Summary(result, "num_rel"), 1);
  EXPECT_EQ(Summary(result, "num_ret"), 2);
  EXPECT_DOUBLE_EQ(Summary(result, "map"), 0.5);
}

TEST(Evaluate, AveragesOverAllJudgedTopicsOnRequest) {
  const std::string qrels = "1 0 a 1\n2 0 b 1\n2 0 c 1\n";
  const std::string run = "1 Q0 x 1 2 t\n1 Q0 a 2 1 t\n3 Q0 a 1 1 t\n";
  EvalOptions options;
  options.all_judged_topics = true;
  const EvalResult result = EvaluateTexts(qrels, run, {"official"}, options);
  EXPECT_EQ(result.topics.size(), 1u);
  EXPECT_EQ(Summary(result, "num_q"), 2);
  EXPECT_EQ(Summary(result, "num_rel"), 3);
  EXPECT_EQ(Summary(result, "num_rel_ret"), 1);
  EXPECT_DOUBLE_EQ(Summary(result, "map"), 0.25);
  EXPECT_NEAR(Summary(result, "gm_map"), std::sqrt(0.5 * 0.00001), 1e-12);
}

TEST(Evaluate, IgnoresTheRankColumnAndBreaksTiesByIdDescending) {
  const std::string run = "1 Q0 a 1 1 t\n1 Q0 c 2 1 t\n1 Q0 b 3 1 t\n1 Q0 z 4 0 t\n";
  EXPECT_DOUBLE_EQ(Summary(EvaluateTexts("1 0 c 1\n", run, {"recip_rank"}), "recip_rank"), 1.0);
  EXPECT_DOUBLE_EQ(Summary(EvaluateTexts("1 0 b 1\n", run, {"recip_rank"}), "recip_rank"), 1.0 / 2);
  EXPECT_DOUBLE_EQ(Summary(EvaluateTexts("1 0 a 1\n", run, {"recip_rank"}), "recip_rank"), 1.0 / 3);
}

TEST(Evaluate, DropsDocumentsBeyondTheMaximum) {
  EvalOptions options;
  options.max_results = 2;
  const EvalResult result =
      EvaluateTexts("1 0 c 1\n1 0 b 1\n", "1 Q0 a 1 3 t\n1 Q0 b 1 2 t\n1 Q0 c 1 1 t\n",
                    {"num_ret", "num_rel_ret"}, options);
  EXPECT_EQ(Summary(result, "num_ret"), 2);
  EXPECT_EQ(Summary(result, "num_rel_ret"), 1);
}

TEST(Evaluate, GivesZerosWithoutACommonTopic) {
  const EvalResult result = EvaluateTexts("1 0 a 1\n", "2 Q0 a 1 1 t\n", {"all_trec"});
  EXPECT_EQ(result.num_topics, 0);
  for (const double value : result.summary) EXPECT_EQ(value, 0);
  EXPECT_THAT(FormatTrec(result, true), HasSubstr("map                   \tall\t0.0000\n"));
}

TEST(Evaluate, AveragesOverJudgmentGroups) {
  const EvalResult result =
      EvaluateTexts("1 x a 1\n1 x b 0\n1 y a 0\n1 y b 1\n", "1 Q0 a 1 2 t\n1 Q0 b 2 1 t\n",
                    {"map_avgjg", "P_avgjg.1"}, {}, QrelsFormat::kGroups);
  EXPECT_DOUBLE_EQ(Summary(result, "map_avgjg"), (1.0 + 0.5) / 2);
  EXPECT_DOUBLE_EQ(Summary(result, "P_avgjg_1"), 0.5);
}

TEST(Evaluate, RefusesMeasuresOfTheOtherJudgmentFormat) {
  const absl::StatusOr<TrecRun> run = RunFrom("1 Q0 a 1 1 t\n");
  for (const auto& [measure, format] :
       std::vector<std::pair<std::string, QrelsFormat>>{{"map", QrelsFormat::kGroups},
                                                        {"relstring", QrelsFormat::kGroups},
                                                        {"map_avgjg", QrelsFormat::kPlain}}) {
    const absl::StatusOr<EvalResult> result =
        Evaluate(*QrelsFrom("1 0 a 1\n", format), *run, *ParseMeasure(measure), {});
    EXPECT_THAT(MessageOf(result), HasSubstr("measure " + measure));
  }
}

TEST(Evaluate, RefusesARelevanceLevelBelowOne) {
  EvalOptions options;
  options.relevance_level = 0;
  EXPECT_FALSE(
      Evaluate(*QrelsFrom("1 0 a 1\n"), *RunFrom("1 Q0 a 1 1 t\n"), *ParseMeasure("map"), options)
          .ok());
}

TEST(Evaluate, TakesARunInAnyOrderButNoTopicTwice) {
  TrecRun run;
  run.tag = "t";
  run.topics = {{"2", {{"a", 1}}}, {"1", {{"a", 1}, {"b", 2}}}};
  const absl::StatusOr<Qrels> qrels = QrelsFrom("1 0 b 1\n2 0 a 1\n");
  const absl::StatusOr<EvalResult> result = Evaluate(*qrels, run, *ParseMeasure("map"), {});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->topics[0].id, "1");
  EXPECT_DOUBLE_EQ(result->summary[0], 1.0);
  run.topics.push_back({"2", {}});
  EXPECT_THAT(MessageOf(Evaluate(*qrels, run, *ParseMeasure("map"), {})), HasSubstr("twice"));
}

TEST(Evaluate, DoesNotDependOnTheOrderOfLines) {
  std::mt19937 random(17);
  for (int round = 0; round < 30; ++round) {
    RandomInput input = MakeInput(random);
    const std::string before =
        FormatTrec(EvaluateTexts(Join(input.qrels), Join(input.run), {"all_trec"}), true);
    std::shuffle(input.qrels.begin(), input.qrels.end(), random);
    std::shuffle(input.run.begin(), input.run.end(), random);
    EXPECT_EQ(before,
              FormatTrec(EvaluateTexts(Join(input.qrels), Join(input.run), {"all_trec"}), true));
  }
}

TEST(Evaluate, KeepsMeansBetweenZeroAndOne) {
  std::mt19937 random(23);
  for (int round = 0; round < 50; ++round) {
    const RandomInput input = MakeInput(random);
    const EvalResult result = EvaluateTexts(Join(input.qrels), Join(input.run), {"all_trec"});
    for (const EvalTopic& topic : result.topics) {
      for (size_t c = 0; c < result.columns.size(); ++c) {
        if (result.columns[c].name == "utility") continue;
        EXPECT_GE(topic.values[c], 0) << result.columns[c].name;
        if (result.columns[c].kind == ColumnKind::kSum) continue;
        EXPECT_LE(topic.values[c], 1 + 1e-12) << result.columns[c].name;
      }
    }
  }
}

TEST(Evaluate, GivesAPerfectRankingOne) {
  std::mt19937 random(29);
  for (int round = 0; round < 30; ++round) {
    std::string qrels;
    std::string run;
    for (int document = 0; document < 30; ++document) {
      const int level = document == 0 ? 1 : static_cast<int>(random() % 4);
      const std::string id = " 0 d" + std::to_string(document) + " ";
      qrels += "1" + id + std::to_string(level) + "\n";
      run += "1" + id + "0 " + std::to_string(level) + " t\n";
    }
    const EvalResult result =
        EvaluateTexts(qrels, run,
                      {"map", "Rprec", "bpref", "recip_rank", "ndcg", "ndcg_rel", "Rndcg",
                       "ndcg_cut.5", "set_recall", "binG", "G"});
    for (size_t c = 0; c < result.columns.size(); ++c) {
      EXPECT_NEAR(result.summary[c], 1, 1e-12) << result.columns[c].name;
    }
  }
}

TEST(FormatTrec, PrintsThreeColumns) {
  const EvalResult result = EvaluateTexts("7 0 a 1\n", "7 Q0 b 1 2 my\n7 Q0 a 2 1 my\n",
                                          {"runid", "num_q", "num_ret", "map", "gm_map"});
  EXPECT_EQ(FormatTrec(result, false),
            "runid                 \tall\tmy\n"
            "num_q                 \tall\t1\n"
            "num_ret               \tall\t2\n"
            "map                   \tall\t0.5000\n"
            "gm_map                \tall\t0.5000\n");
  EXPECT_THAT(FormatTrec(result, true),
              StartsWith("num_ret               \t7\t2\nmap                   \t7\t0.5000\nrunid"));
}

absl::StatusOr<ZScores> ZScoresFrom(const std::string& text) {
  std::istringstream in(text);
  return ReadZScores(in, "z");
}

TEST(ZScores, ReplaceTopicValuesAndTheirMean) {
  EvalResult result = EvaluateTexts(
      "1 0 a 1\n2 0 a 1\n", "1 Q0 a 1 1 t\n2 Q0 b 1 2 t\n2 Q0 a 2 1 t\n", {"map", "num_ret"});
  const absl::StatusOr<ZScores> z_scores =
      ZScoresFrom("# basis\n1 map 0.5 0.25\n2 map 1 0.25\n1 num_ret 3 1\n2 num_ret 2 0\n");
  ASSERT_TRUE(z_scores.ok()) << z_scores.status();
  const absl::StatusOr<EvalResult> scored = ApplyZScores(result, *z_scores);
  ASSERT_TRUE(scored.ok()) << scored.status();
  EXPECT_EQ(FormatTrec(*scored, true),
            "Znum_ret               \t1\t-2.0000\n"
            "Zmap                   \t1\t2.0000\n"
            "Znum_ret               \t2\t0.0000\n"
            "Zmap                   \t2\t-2.0000\n"
            "Znum_ret               \tall\t-2.0000\n"
            "Zmap                   \tall\t0.0000\n");
}

TEST(ZScores, SayWhatIsMissingOrMalformed) {
  EvalResult result = EvaluateTexts("1 0 a 1\n", "1 Q0 a 1 1 t\n", {"map"});
  EXPECT_EQ(ApplyZScores(result, *ZScoresFrom("1 P_5 0 1\n")).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(MessageOf(ZScoresFrom("1 map 0.5\n")),
            "z:1: expected 4 fields `topic measure mean deviation`, found 3");
  EXPECT_THAT(MessageOf(ZScoresFrom("\n1 map 0 -1\n")), HasSubstr("z:2: "));
  EXPECT_THAT(MessageOf(ZScoresFrom("1 map nan 1\n")), HasSubstr("z:1: "));
  EXPECT_EQ(MessageOf(ZScoresFrom("1 map 0 1\n1 map 0 1\n")), "z:2: map appears twice for topic 1");
}

}  // namespace
}  // namespace cairn::engine::testing
