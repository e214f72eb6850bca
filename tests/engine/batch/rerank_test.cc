#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/batch/passage_lists.h"
#include "engine/batch/rerank_run.h"
#include "tests/support/fake_models.h"

namespace cairn::engine {
namespace {

using ::cairn::testing::FakeReranker;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Json = nlohmann::json;

absl::Status RunLists(const std::string& input, std::string* output, BatchReport* report,
                      bool skip_bad = false) {
  const FakeReranker reranker;
  std::ostringstream out;
  const std::unique_ptr<chunking::ByteSource> source = chunking::FromMemory(input);
  PassageListsOptions options;
  options.skip_bad = skip_bad;
  const absl::Status s = RerankLists(reranker, *source, "in", out, options, report);
  *output = out.str();
  return s;
}

TEST(RerankLists, PassagesComeBestFirstWithTheirScoresAndMembers) {
  std::string out;
  BatchReport report;
  ASSERT_TRUE(RunLists("{\"query\": \"a b c\", \"qid\": 4, \"passages\": [\"a\", "
                       "{\"id\": \"two\", \"text\": \"a b\", \"n\": 1}, \"x a\", "
                       "{\"id\": \"t\", \"title\": \"a b\", \"text\": \"c\"}]}\n"
                       "{\"query\": \"q\", \"passages\": []}\n",
                       &out, &report)
                  .ok());
  std::istringstream in(out);
  std::string line;
  ASSERT_TRUE(std::getline(in, line));
  const Json first = Json::parse(line);
  EXPECT_EQ(first["qid"], 4);
  EXPECT_EQ(first["query"], "a b c");
  const Json& passages = first["passages"];
  ASSERT_EQ(passages.size(), 4u);
  EXPECT_EQ(passages[0]["id"], "t");
  EXPECT_EQ(passages[0]["score"], -2.0);
  EXPECT_EQ(passages[1], Json({{"id", "two"}, {"text", "a b"}, {"n", 1}, {"score", -3.0}}));
  EXPECT_EQ(passages[2], Json({{"text", "a"}, {"score", -4.0}}));
  EXPECT_EQ(passages[3]["text"], "x a");
  ASSERT_TRUE(std::getline(in, line));
  EXPECT_EQ(Json::parse(line)["passages"], Json::array());
  EXPECT_EQ(report.records, 2u);
}

TEST(RerankLists, ABadLineIsNamedOrCounted) {
  std::string out;
  BatchReport report;
  for (const auto& [line, reason] : std::vector<std::pair<std::string, std::string>>{
           {"{\"passages\": []}", "no \"query\""},
           {"{\"query\": 1, \"passages\": []}", "\"query\" is not a string"},
           {"{\"query\": \"q\"}", "no \"passages\""},
           {"{\"query\": \"q\", \"passages\": \"x\"}", "not a list"},
           {"{\"query\": \"q\", \"passages\": [\"x\", {\"id\": 1}]}", "passage 2 is neither"},
           {"nonsense", ""}}) {
    const std::string input = "{\"query\": \"q\", \"passages\": [\"x\"]}\n" + line + "\n";
    const absl::Status s = RunLists(input, &out, &report);
    EXPECT_TRUE(absl::IsInvalidArgument(s));
    EXPECT_THAT(s.message(), HasSubstr("in:2: "));
    EXPECT_THAT(s.message(), HasSubstr(reason));
    EXPECT_EQ(report.records, 1u);
    EXPECT_TRUE(RunLists(input, &out, &report, true).ok());
    EXPECT_EQ(report.skipped, 1u);
  }
}

TEST(RerankLists, AScoreThatIsNoNumberIsAnError) {
  std::string out;
  BatchReport report;
  const std::string input = "{\"query\": \"q\", \"passages\": [\"x\", \"not-a-number\"]}\n";
  EXPECT_TRUE(absl::IsInternal(RunLists(input, &out, &report)));
}

class RerankRunTest : public ::testing::Test {
 protected:
  absl::Status Rerank(const std::string& corpus, size_t depth, TrecRun* run) {
    const std::unique_ptr<chunking::ByteSource> source = chunking::FromMemory(corpus);
    RerankRunOptions options;
    options.depth = depth;
    return RerankRun(reranker_, {{"q1", "a b"}, {"q2", "c"}}, *source, "corpus", options, run);
  }

  static std::vector<std::string> Ids(const RunTopic& topic) {
    std::vector<std::string> ids;
    for (const ScoredDocument& d : topic.documents) ids.push_back(d.id);
    return ids;
  }

  const std::string corpus_ =
      "{\"_id\": \"d1\", \"title\": \"\", \"text\": \"x\"}\n"
      "{\"_id\": \"unused\", \"text\": \"y\"}\n"
      "{\"_id\": \"d2\", \"title\": \"a\", \"text\": \"b\"}\n"
      "{\"_id\": \"d3\", \"text\": \"a\"}\n";
  FakeReranker reranker_;
};

TEST_F(RerankRunTest, TheFirstDocumentsAreReorderedAndTheRestFollows) {
  TrecRun run;
  run.topics = {{"q1", {{"d1", 9}, {"d2", 8}, {"d3", 7.5f}, {"unread", 7}}}, {"q2", {}}};
  ASSERT_TRUE(Rerank(corpus_, 3, &run).ok());
  EXPECT_THAT(Ids(run.topics[0]), ElementsAre("d2", "d3", "d1", "unread"));
  EXPECT_FLOAT_EQ(run.topics[0].documents[0].score, -3);
  for (size_t i = 1; i < 4; ++i) {
    EXPECT_LT(run.topics[0].documents[i].score, run.topics[0].documents[i - 1].score);
  }
}

TEST_F(RerankRunTest, WhatIsMissingIsNamed) {
  TrecRun run;
  run.topics = {{"q1", {{"d1", 9}, {"gone", 8}}}};
  absl::Status s = Rerank(corpus_, 100, &run);
  EXPECT_THAT(s.message(), HasSubstr("topic q1: document gone is not in the corpus"));
  run.topics = {{"q9", {{"d1", 9}}}};
  s = Rerank(corpus_, 100, &run);
  EXPECT_THAT(s.message(), HasSubstr("topic q9 of the run is not among the topics"));
  run.topics = {{"q1", {{"d1", 9}}}};
  EXPECT_THAT(Rerank("{}\n", 100, &run).message(), HasSubstr("corpus:1: "));
}

}  // namespace
}  // namespace cairn::engine
