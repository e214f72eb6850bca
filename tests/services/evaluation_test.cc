// search --topics --run, then eval: figures worked out by hand.
#include <cmath>

#include "tests/services/cli_test.h"

namespace cairn::services {
namespace {

using ::testing::HasSubstr;

class Evaluation : public CliTest {
 protected:
  // Topic 1 finds z1 before z2, of which z2 is relevant; topic 2 finds q1, relevant, and misses q2,
  // also relevant; topic 3 finds nothing.
  void SetUp() override {
    const std::string corpus =
        "{\"_id\": \"z1\", \"text\": \"zebra zebra grass\"}\n"
        "{\"_id\": \"z2\", \"text\": \"zebra grass tree\"}\n"
        "{\"_id\": \"q1\", \"text\": \"quokka island leaf\"}\n"
        "{\"_id\": \"q2\", \"text\": \"marsupial island leaf\"}\n";
    ASSERT_EQ(Ingest({"--format", "jsonl", "-"}, corpus).exit_code, kOk);
    dir_.Write("topics.tsv", "1\tzebras\n2\tquokka\n3\txylophone\n");
    dir_.Write("topics.jsonl",
               "{\"_id\": \"1\", \"text\": \"zebras\"}\n{\"_id\": \"2\", \"text\": \"quokka\"}\n"
               "{\"_id\": \"3\", \"text\": \"xylophone\"}\n");
    dir_.Write("qrels.txt", "1 0 z1 0\n1 0 z2 1\n2 0 q1 1\n2 0 q2 1\n3 0 q2 1\n");
  }

  std::string MakeRun(const Strings& more = {}) const {
    Strings arguments = OnStore("search", {"--mode", "lexical", "--topics", dir_.file("topics.tsv"),
                                           "--run", dir_.file("out.run")});
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProcessResult r = Cairn(arguments);
    EXPECT_EQ(r.exit_code, kOk) << r.err;
    return dir_.file("out.run");
  }
  std::string Eval(const Strings& rest) const {
    Strings arguments = {"eval", dir_.file("qrels.txt"), dir_.file("out.run")};
    arguments.insert(arguments.end(), rest.begin(), rest.end());
    const ProcessResult r = Cairn(arguments);
    EXPECT_EQ(r.exit_code, kOk) << r.err;
    return r.out;
  }
  static std::string Line(const std::string& measure, const std::string& topic,
                          const std::string& value) {
    return measure + std::string(22 - measure.size(), ' ') + "\t" + topic + "\t" + value + "\n";
  }
};

TEST_F(Evaluation, RunsHaveTheSixColumnsOfTrec) {
  MakeRun({"--tag", "mine"});
  EXPECT_EQ(Eval({"-m", "runid"}), Line("runid", "all", "mine"));
  const ProcessResult r =
      Cairn(OnStore("search", {"--mode", "lexical", "--topics", dir_.file("topics.jsonl"), "--run",
                               "-", "--tag", "mine"}));
  EXPECT_EQ(r.exit_code, kOk);
  const Strings lines = Lines(r.out);
  ASSERT_EQ(lines.size(), 3u) << r.out;
  EXPECT_THAT(lines[0], ::testing::MatchesRegex("1 Q0 z1 1 [0-9.]+ mine"));
  EXPECT_THAT(lines[1], ::testing::MatchesRegex("1 Q0 z2 2 [0-9.]+ mine"));
  EXPECT_THAT(lines[2], ::testing::MatchesRegex("2 Q0 q1 1 [0-9.]+ mine"));
}

TEST_F(Evaluation, MeasuresAreThoseWorkedOutByHand) {
  MakeRun();
  // Topic 1: the only relevant document is second. Topic 2: the first of two, the other missing.
  const double second = 1 / std::log2(3.0);
  const auto four = [](double x) {
    char text[16];
    std::snprintf(text, sizeof(text), "%.4f", x);
    return std::string(text);
  };
  const double ndcg1 = second, ndcg2 = 1 / (1 + second);
  EXPECT_EQ(Eval({"-q", "-m", "map", "-m", "ndcg_cut.10", "-m", "P.5", "-m", "recip_rank"}),
            Line("map", "1", "0.5000") + Line("recip_rank", "1", "0.5000") +
                Line("P_5", "1", "0.2000") + Line("ndcg_cut_10", "1", four(ndcg1)) +
                Line("map", "2", "0.5000") + Line("recip_rank", "2", "1.0000") +
                Line("P_5", "2", "0.2000") + Line("ndcg_cut_10", "2", four(ndcg2)) +
                Line("map", "all", "0.5000") + Line("recip_rank", "all", "0.7500") +
                Line("P_5", "all", "0.2000") +
                Line("ndcg_cut_10", "all", four((ndcg1 + ndcg2) / 2)));
  // Over all judged topics, the third counts as zero.
  EXPECT_EQ(Eval({"-c", "-m", "map", "-m", "num_q"}),
            Line("num_q", "all", "3") + Line("map", "all", "0.3333"));
}

TEST_F(Evaluation, ComparingARunWithItselfShowsNoDifference) {
  const std::string run = MakeRun();
  const Json json = ParseJson(
      Cairn({"eval", "--json", dir_.file("qrels.txt"), run, "--compare", run, "-m", "map"}));
  ASSERT_EQ(json.size(), 1u);
  EXPECT_EQ(json[0]["measure"], "map");
  EXPECT_DOUBLE_EQ(json[0]["first"], 0.5);
  EXPECT_DOUBLE_EQ(json[0]["difference"], 0);
  EXPECT_DOUBLE_EQ(json[0]["p_value"], 1);
}

TEST_F(Evaluation, RunsAreTheSameWhateverTheNumberOfThreads) {
  std::string topics;
  for (int i = 0; i < 200; ++i) {
    topics += std::to_string(i) + "\t" + (i % 2 == 0 ? "zebra grass" : "island leaf tree") + "\n";
  }
  const std::string path = dir_.Write("many.tsv", topics);
  Strings runs;
  for (const char* threads : {"1", "2", "16"}) {
    runs.push_back(
        Cairn(OnStore("search", {"--topics", path, "--run", "-", "--threads", threads})).out);
  }
  EXPECT_FALSE(runs[0].empty());
  EXPECT_EQ(runs[1], runs[0]);
  EXPECT_EQ(runs[2], runs[0]);
}

TEST_F(Evaluation, GranularityChunkNamesChunks) {
  const ProcessResult r =
      Cairn(OnStore("search", {"--mode", "lexical", "--granularity", "chunk", "--topics",
                               dir_.file("topics.tsv"), "--run", "-"}));
  EXPECT_THAT(Lines(r.out)[0], ::testing::MatchesRegex("1 Q0 z1#[0-9]+ 1 .*"));
}

TEST_F(Evaluation, FaultsNameFileAndLine) {
  MakeRun();
  const std::string topics = dir_.Write("bad.tsv", "1\tzebra\nno tab here\n");
  const ProcessResult search = Cairn(OnStore("search", {"--topics", topics, "--run", "-"}));
  EXPECT_EQ(search.exit_code, kError);
  EXPECT_THAT(search.err, HasSubstr(topics + ":2: "));
  const std::string run = dir_.Write("bad.run", "1 Q0 z1 1 2.5 tag\n1 Q0 z2 2\n");
  const ProcessResult bad_run = Cairn({"eval", dir_.file("qrels.txt"), run});
  EXPECT_EQ(bad_run.exit_code, kError);
  EXPECT_THAT(bad_run.err, HasSubstr(run + ":2: "));
  const std::string qrels = dir_.Write("bad.qrels", "1 0 z1 1\n1 0 z2 relevant\n");
  const ProcessResult bad_qrels = Cairn({"eval", qrels, dir_.file("out.run")});
  EXPECT_EQ(bad_qrels.exit_code, kError);
  EXPECT_THAT(bad_qrels.err, HasSubstr(qrels + ":2: "));
  EXPECT_EQ(bad_qrels.out, "");
}

TEST_F(Evaluation, ARunThatCannotBeWrittenIsAnError) {
  const ProcessResult r = Cairn(OnStore(
      "search", {"--topics", dir_.file("topics.tsv"), "--run", dir_.file("absent/out.run")}));
  EXPECT_EQ(r.exit_code, kError);
  EXPECT_THAT(r.err, HasSubstr("absent/out.run"));
}

}  // namespace
}  // namespace cairn::services
