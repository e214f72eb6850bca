#include "engine/eval/trec_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <sstream>
#include <string>

#include "tests/engine/eval/eval_text.h"

namespace cairn::engine::testing {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::vector<std::string> Ids(const RunTopic& topic) {
  std::vector<std::string> ids;
  for (const ScoredDocument& document : topic.documents) ids.push_back(document.id);
  return ids;
}

TEST(ReadRun, SortsTopicsByIdAndDocumentsByScoreThenIdDescending) {
  const absl::StatusOr<TrecRun> run = RunFrom(
      "10 Q0 a 1 0.5 tag\n"
      "9 Q0 x 1 1 tag\n"
      "10 Q0 b 2 0.5 tag\n"
      "10 Q0 c 3 7e-1 tag\n");
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->tag, "tag");
  ASSERT_EQ(run->topics.size(), 2u);
  EXPECT_EQ(run->topics[0].id, "10");
  EXPECT_THAT(Ids(run->topics[0]), ElementsAre("c", "b", "a"));
  EXPECT_EQ(run->topics[1].id, "9");
}

TEST(ReadRun, SkipsCommentsBlankLinesAndWhatFollowsTheTag) {
  const absl::StatusOr<TrecRun> run = RunFrom(
      "\xEF\xBB\xBF# made by hand\n"
      "\n"
      "1\tQ0\td1\t1\t  2.5\ttag more junk\r\n"
      "   \t\r\n"
      "# end\n"
      " 1 Q0 d2 2 +1.5 tag");
  ASSERT_TRUE(run.ok()) << run.status();
  ASSERT_EQ(run->topics.size(), 1u);
  EXPECT_THAT(Ids(run->topics[0]), ElementsAre("d1", "d2"));
  EXPECT_EQ(run->topics[0].documents[1].score, 1.5f);
}

TEST(ReadRun, TakesAnEmptyFileForARunWithoutTopics) {
  const absl::StatusOr<TrecRun> run = RunFrom("");
  ASSERT_TRUE(run.ok());
  EXPECT_TRUE(run->topics.empty());
}

TEST(ReadRun, ComparesScoresInSinglePrecision) {
  const absl::StatusOr<TrecRun> run = RunFrom("1 Q0 a 1 1.00000002 t\n1 Q0 b 2 1.00000001 t\n");
  ASSERT_TRUE(run.ok());
  EXPECT_THAT(Ids(run->topics[0]), ElementsAre("b", "a"));
}

TEST(ReadRun, TakesScoresBeyondFloatAsInfinite) {
  const absl::StatusOr<TrecRun> run =
      RunFrom("1 Q0 a 1 -1e300 t\n1 Q0 b 2 1e999 t\n1 Q0 c 3 -inf t\n1 Q0 d 3 1e-999 t\n");
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_THAT(Ids(run->topics[0]), ElementsAre("b", "d", "c", "a"));
  EXPECT_TRUE(std::isinf(run->topics[0].documents[0].score));
}

TEST(ReadRun, NamesFileLineAndReasonOfAnError) {
  EXPECT_EQ(MessageOf(RunFrom("1 Q0 a 1 1 t\n\n1 Q0 b 2\n")),
            "run.txt:3: expected 6 fields `qid Q0 docid rank score tag`, found 4");
  EXPECT_EQ(MessageOf(RunFrom("# c\n1 Q0 a 1 high t\n")),
            "run.txt:2: score \"high\" is not a number");
  EXPECT_THAT(MessageOf(RunFrom("1 Q0 a 1 nan t\n")), StartsWith("run.txt:1: score"));
  EXPECT_THAT(MessageOf(RunFrom("1 Q0 a 1 +-1 t\n")), StartsWith("run.txt:1: score"));
  EXPECT_THAT(MessageOf(RunFrom("1 Q0 a 1 1x t\n")), StartsWith("run.txt:1: score"));
  EXPECT_EQ(MessageOf(RunFrom(std::string("1 Q0 a 1 1 t\n1 Q0 \0b 1 1 t\n", 26))),
            "run.txt:2: NUL byte in the line");
}

TEST(ReadRun, NamesTheFirstLineThatRepeatsADocument) {
  EXPECT_EQ(MessageOf(RunFrom("2 Q0 a 1 9 t\n1 Q0 b 1 9 t\n1 Q0 a 1 9 t\n"
                              "1 Q0 b 7 1 t\n2 Q0 a 2 8 t\n")),
            "run.txt:4: document b appears twice for topic 1");
}

TEST(ReadRun, RefusesALineWithoutEnd) {
  std::string text = "1 Q0 a 1 1 t\n1 Q0 ";
  text.append(size_t{3} << 20, 'x');
  EXPECT_THAT(MessageOf(RunFrom(text)), StartsWith("run.txt:2: line longer than"));
}

TEST(ReadRun, ReadsLinesAcrossBufferBoundaries) {
  std::string text;
  for (int i = 0; i < 40000; ++i) {
    text += "7 Q0 document-" + std::to_string(i) + " 1 " + std::to_string(i) + " tag\n";
  }
  const absl::StatusOr<TrecRun> run = RunFrom(text);
  ASSERT_TRUE(run.ok()) << run.status();
  ASSERT_EQ(run->topics[0].documents.size(), 40000u);
  for (int i = 0; i < 40000; ++i) {
    ASSERT_EQ(run->topics[0].documents[static_cast<size_t>(i)].id,
              "document-" + std::to_string(39999 - i));
  }
}

TEST(ReadRun, SaysWhyAPathCannotBeRead) {
  const std::string folder = ::testing::TempDir();
  EXPECT_EQ(ReadRunFile(folder + "/no-such-run").status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(MessageOf(ReadRunFile(folder + "/no-such-run")), HasSubstr("no-such-run"));
  EXPECT_THAT(MessageOf(ReadRunFile(folder)), HasSubstr("is a directory"));
}

TEST(ReadRun, SurvivesRandomBytes) {
  std::mt19937 random(7);
  const std::string alphabet = "1 \t\n\r#.Q0e-+ab\"{\xEF\xBB\xBF" + std::string(1, '\0');
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    const size_t length = random() % 80;
    for (size_t i = 0; i < length; ++i) text += alphabet[random() % alphabet.size()];
    const absl::StatusOr<TrecRun> run = RunFrom(text);
    EXPECT_THAT(MessageOf(run), AnyOf("OK", StartsWith("run.txt:")));
    const absl::StatusOr<Qrels> qrels = QrelsFrom(text);
    EXPECT_THAT(MessageOf(qrels), AnyOf("OK", StartsWith("qrels.txt:")));
  }
}

TEST(ReadQrels, ReadsTrecLines) {
  const absl::StatusOr<Qrels> qrels =
      QrelsFrom("# judged\n2 0 b 0\n1 Q0 a 2\n1\t0\tb\t-1 rest\n1 0 c 1.0\n");
  ASSERT_TRUE(qrels.ok()) << qrels.status();
  ASSERT_EQ(qrels->topics.size(), 2u);
  EXPECT_EQ(qrels->topics[0].id, "1");
  ASSERT_EQ(qrels->topics[0].groups.size(), 1u);
  const std::vector<Judgment>& judgments = qrels->topics[0].groups[0].judgments;
  ASSERT_EQ(judgments.size(), 3u);
  EXPECT_EQ(judgments[0].document, "a");
  EXPECT_EQ(judgments[0].level, 2);
  EXPECT_EQ(judgments[1].level, -1);
  EXPECT_EQ(judgments[2].level, 1);
}

TEST(ReadQrels, ReadsBeirWithAndWithoutHeader) {
  for (const std::string header : {"query-id\tcorpus-id\tscore\r\n", ""}) {
    const absl::StatusOr<Qrels> qrels = QrelsFrom(header + "q1\td1\t2\r\nq1\td 2\t0\r\n");
    ASSERT_TRUE(qrels.ok()) << qrels.status();
    ASSERT_EQ(qrels->topics.size(), 1u);
    const std::vector<Judgment>& judgments = qrels->topics[0].groups[0].judgments;
    ASSERT_EQ(judgments.size(), 2u);
    EXPECT_EQ(judgments[0].level, 2);
    EXPECT_EQ(judgments[1].document, "d 2");
  }
}

TEST(ReadQrels, NamesFileLineAndReasonOfAnError) {
  EXPECT_EQ(MessageOf(QrelsFrom("1 0 a 1\n1 0 b\n")),
            "qrels.txt:2: expected 4 fields `qid 0 docid level`, found 3");
  EXPECT_EQ(MessageOf(QrelsFrom("1 0 a yes\n")),
            "qrels.txt:1: level \"yes\" is not a whole number");
  EXPECT_EQ(MessageOf(QrelsFrom("1 0 a 0.5\n")),
            "qrels.txt:1: level \"0.5\" is not a whole number");
  EXPECT_EQ(MessageOf(QrelsFrom("1 0 a 99999999999\n")),
            "qrels.txt:1: level \"99999999999\" is not a whole number");
  EXPECT_EQ(MessageOf(QrelsFrom("1 0 a 1\n1 1 b 1\n1 2 a 0\n")),
            "qrels.txt:3: document a is judged twice for topic 1");
  EXPECT_EQ(MessageOf(QrelsFrom("query-id\tcorpus-id\tscore\nq d 1\n")),
            "qrels.txt:2: expected 3 tab-separated columns `query-id corpus-id score`");
}

TEST(ReadQrels, KeepsGroupsApart) {
  const std::string text = "1 y a 1\n1 x a 0\n1 y b 0\n";
  EXPECT_FALSE(QrelsFrom(text).ok());
  const absl::StatusOr<Qrels> qrels = QrelsFrom(text, QrelsFormat::kGroups);
  ASSERT_TRUE(qrels.ok()) << qrels.status();
  ASSERT_EQ(qrels->topics.size(), 1u);
  ASSERT_EQ(qrels->topics[0].groups.size(), 2u);
  EXPECT_EQ(qrels->topics[0].groups[0].name, "x");
  EXPECT_EQ(qrels->topics[0].groups[1].judgments.size(), 2u);
  EXPECT_EQ(MessageOf(QrelsFrom(text + "1 x a 1\n", QrelsFormat::kGroups)),
            "qrels.txt:4: document a is judged twice for topic 1");
}

TEST(WriteRun, WritesWhatReadRunReads) {
  std::mt19937 random(3);
  TrecRun run;
  run.tag = "round-trip";
  for (int t = 0; t < 20; ++t) {
    RunTopic topic;
    topic.id = std::to_string(t);
    for (int d = 0; d < 50; ++d) {
      // Any float bit pattern that is a number.
      const uint32_t bits = static_cast<uint32_t>(random()) & 0xFF7FFFFFu;
      float score = 0;
      static_assert(sizeof(score) == sizeof(bits));
      std::memcpy(&score, &bits, sizeof(score));
      topic.documents.push_back({"doc" + std::to_string(d), score});
    }
    run.topics.push_back(std::move(topic));
  }
  SortRun(run);
  std::ostringstream out;
  ASSERT_TRUE(WriteRun(run, out).ok());
  const absl::StatusOr<TrecRun> read = RunFrom(out.str());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->tag, run.tag);
  ASSERT_EQ(read->topics.size(), run.topics.size());
  for (size_t t = 0; t < run.topics.size(); ++t) {
    ASSERT_EQ(Ids(read->topics[t]), Ids(run.topics[t]));
    for (size_t d = 0; d < run.topics[t].documents.size(); ++d) {
      EXPECT_EQ(read->topics[t].documents[d].score, run.topics[t].documents[d].score);
    }
  }
}

TEST(WriteRun, NumbersRanksFromOne) {
  std::ostringstream out;
  ASSERT_TRUE(WriteRun({"cairn", {{"q", {{"a", 2.5f}, {"b", 0.1f}}}}}, out).ok());
  EXPECT_EQ(out.str(), "q Q0 a 1 2.5 cairn\nq Q0 b 2 0.1 cairn\n");
}

TEST(WriteRun, RefusesWhatCouldNotBeReadBack) {
  std::ostringstream out;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(WriteRun({"two words", {}}, out).ok());
  EXPECT_FALSE(WriteRun({"", {}}, out).ok());
  EXPECT_FALSE(WriteRun({"t", {{"q 1", {}}}}, out).ok());
  EXPECT_FALSE(WriteRun({"t", {{"#1", {{"d", 1}}}}}, out).ok());
  EXPECT_FALSE(WriteRun({"t", {{"q", {{"d\n", 1}}}}}, out).ok());
  EXPECT_FALSE(WriteRun({"t", {{"q", {{"d", nan}}}}}, out).ok());
  EXPECT_EQ(out.str(), "");
}

TEST(WriteRun, ReportsAStreamThatFails) {
  std::ostringstream out;
  out.setstate(std::ios::badbit);
  EXPECT_EQ(WriteRun({"t", {}}, out).code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace cairn::engine::testing
