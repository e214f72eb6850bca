// trec_eval's own test inputs must give its own expected outputs, byte for byte.
#include <gtest/gtest.h>

#include <cmath>
#include <sstream>
#include <string>
#include <vector>

#include "engine/eval/evaluate.h"
#include "engine/eval/z_scores.h"
#include "tests/engine/eval/eval_text.h"
#include "tests/support/shared_data.h"

namespace cairn::engine::testing {
namespace {

using cairn::testing::ReadFileOrDie;
using cairn::testing::SharedDir;

struct Case {
  std::string expected;
  std::string qrels;
  std::string run;
  std::vector<std::string> measures;
  bool with_topics = false;
  EvalOptions options = {};
  QrelsFormat format = QrelsFormat::kPlain;
};

std::string Path(const std::string& name) { return SharedDir() + "/data/evaluator/" + name; }

EvalOptions Options(int32_t relevance_level, bool all_judged_topics, int64_t max_results) {
  EvalOptions options;
  options.relevance_level = relevance_level;
  options.all_judged_topics = all_judged_topics;
  options.max_results = max_results;
  return options;
}

EvalResult EvaluateFiles(const Case& files) {
  const absl::StatusOr<Qrels> qrels = ReadQrelsFile(Path(files.qrels), files.format);
  const absl::StatusOr<TrecRun> run = ReadRunFile(Path(files.run));
  const absl::StatusOr<std::vector<MeasureSpec>> measures = ParseMeasures(files.measures);
  EXPECT_TRUE(qrels.ok()) << qrels.status();
  EXPECT_TRUE(run.ok()) << run.status();
  EXPECT_TRUE(measures.ok()) << measures.status();
  if (!qrels.ok() || !run.ok() || !measures.ok()) return {};
  absl::StatusOr<EvalResult> result = Evaluate(*qrels, *run, *measures, files.options);
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? *std::move(result) : EvalResult();
}

class TrecEvalFiles : public ::testing::TestWithParam<Case> {};

TEST_P(TrecEvalFiles, AreReproducedByteForByte) {
  CAIRN_NEED_SHARED("data/evaluator/" + GetParam().expected);
  EXPECT_EQ(FormatTrec(EvaluateFiles(GetParam()), GetParam().with_topics),
            ReadFileOrDie(Path(GetParam().expected)));
}

INSTANTIATE_TEST_SUITE_P(
    All, TrecEvalFiles,
    ::testing::Values(
        Case{"out.test", "qrels.test", "results.test", {}},
        Case{"out.test.a", "qrels.test", "results.test", {"all_trec"}},
        Case{"out.test.aq", "qrels.test", "results.test", {"all_trec"}, true},
        Case{"out.test.aq", "qrels.comment.test", "results.comment.test", {"all_trec"}, true},
        Case{"out.test.aqc",
             "qrels.test",
             "results.trunc",
             {"all_trec"},
             true,
             Options(1, true, 1000000)},
        Case{"out.test.aqcM",
             "qrels.test",
             "results.trunc",
             {"all_trec"},
             true,
             Options(1, true, 100)},
        Case{"out.test.aql",
             "qrels.rel_level",
             "results.test",
             {"all_trec", "relstring.20"},
             true,
             Options(2, false, 1000000)},
        Case{"out.test.qrels_jg",
             "qrels.123",
             "results.test",
             {"qrels_jg"},
             true,
             EvalOptions(),
             QrelsFormat::kGroups},
        Case{"out.test.meas_params",
             "qrels.test",
             "results.test",
             {"iprec_at_recall..10,.20,.25,.75,.50", "P.5,7,3", "recall.20,2000",
              "Rprec_mult.5.0,0.2,0.35", "utility.2,-1,0,0", "11pt_avg..25,.5,.75",
              "ndcg.1=3,2=9,4=4.5", "ndcg_cut.10,20,23", "success.2,5,20"},
             true}));

// The lines of a topic in expected output.
std::string LinesOf(const std::string& text, const std::string& topic) {
  std::string lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    if (line.find("\t" + topic + "\t") != std::string::npos) lines += line + "\n";
  }
  return lines;
}

TEST(TrecEvalFilesOfOneTopic, AgreeWithTheirShareOfTheWhole) {
  CAIRN_NEED_SHARED("data/evaluator/results-302.test");
  const Case files{"", "qrels-302.test", "results-302.test", {"all_trec"}};
  const std::string expected = LinesOf(ReadFileOrDie(Path("out.test.aq")), "302");
  EXPECT_EQ(LinesOf(FormatTrec(EvaluateFiles(files), true), "302"), expected);
}

// The means and deviations behind the expected z-scores are not among the files. Ones that lead to
// the printed topic values are easily made; names, format and sums are then as expected.
TEST(TrecEvalZScores, AreFormattedAndAveragedAsExpected) {
  CAIRN_NEED_SHARED("data/evaluator/out.test.aqZ");
  const std::string expected = ReadFileOrDie(Path("out.test.aqZ"));
  const EvalResult result = EvaluateFiles({"", "qrels.test", "results.test", {"all_trec"}});
  ZScores z_scores;
  std::istringstream in(expected);
  for (std::string name, topic, value; in >> name >> topic >> value;) {
    if (name[0] != 'Z' || topic == "all") continue;
    for (const EvalTopic& row : result.topics) {
      for (size_t c = 0; c < result.columns.size(); ++c) {
        if (row.id != topic || "Z" + result.columns[c].name != name) continue;
        z_scores[topic][name.substr(1)] = {row.values[c] - std::stod(value), 1.0};
      }
    }
  }
  const absl::StatusOr<EvalResult> scored = ApplyZScores(result, z_scores);
  ASSERT_TRUE(scored.ok()) << scored.status();
  const std::string printed = FormatTrec(*scored, true);
  for (const std::string topic : {"301", "302", "303"}) {
    EXPECT_EQ(LinesOf(printed, topic), LinesOf(expected, topic));
  }
  std::istringstream all(LinesOf(printed, "all"));
  std::istringstream expected_all(LinesOf(expected, "all"));
  std::string name, topic, value, expected_name, expected_topic, expected_value;
  size_t lines = 0;
  for (; expected_all >> expected_name >> expected_topic >> expected_value; ++lines) {
    ASSERT_TRUE(all >> name >> topic >> value);
    EXPECT_EQ(name, expected_name);
    if (name == "runid") {
      EXPECT_EQ(value, expected_value);
    } else {
      EXPECT_NEAR(std::stod(value), std::stod(expected_value), 0.00021) << name;
    }
  }
  EXPECT_EQ(lines, 99u);
}

TEST(TrecEvalFigures, OfDeepLearning2019AreMet) {
  CAIRN_NEED_SHARED("data/evaluator/dl19-bm25.run");
  Case files{"", "dl19.qrels", "dl19-bm25.run", {"num_q", "map", "ndcg_cut.10"}};
  EXPECT_EQ(FormatTrec(EvaluateFiles(files), false),
            "num_q                 \tall\t43\n"
            "map                   \tall\t0.3766\n"
            "ndcg_cut_10           \tall\t0.4973\n");
}

}  // namespace
}  // namespace cairn::engine::testing
