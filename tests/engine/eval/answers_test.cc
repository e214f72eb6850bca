#include "engine/eval/answers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <utility>

#include "tests/support/shared_data.h"

namespace cairn::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

template <typename Read>
auto ReadText(Read read, const std::string& text) {
  std::istringstream in(text);
  return read(in, "f");
}

TEST(Answers, WhatIsWrittenIsRead) {
  AnswerRecord record;
  record.id = "t\"1";
  record.question = "How\nmany?";
  record.answer = "Three. \xC3\x89.";
  record.sentences = {{"Three.", true, {{"d1", 3, 9}, {"d 2", 0, uint64_t{1} << 60}}},
                      {"\xC3\x89.", false, {}}};
  const std::string line = AnswerLine(record);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const auto records = ReadText(ReadAnswers, line + "\n\n");
  ASSERT_TRUE(records.ok()) << records.status();
  ASSERT_EQ(records->size(), 1u);
  EXPECT_EQ(AnswerLine((*records)[0]), line);
  EXPECT_EQ((*records)[0].question, record.question);
  EXPECT_EQ((*records)[0].sentences[0].citations[1].end, uint64_t{1} << 60);
}

TEST(Answers, FaultsNameFileLineAndReason) {
  const std::string good = R"({"id":"a","question":"","answer":"","sentences":[]})";
  const std::pair<std::string, const char*> cases[] = {
      {"x", "not valid JSON"},
      {"[]", "not a JSON object"},
      {good, "id a appears twice"},
      {R"({"question":"","answer":"","sentences":[]})", "\"id\""},
      {R"({"id":"","question":"","answer":"","sentences":[]})", "the id is empty"},
      {R"({"id":1,"question":"","answer":"","sentences":[]})", "\"id\""},
      {R"({"id":"b","answer":"","sentences":[]})", "\"question\""},
      {R"({"id":"b","question":"","sentences":[]})", "\"answer\""},
      {R"({"id":"b","question":"","answer":""})", "\"sentences\""},
      {R"({"id":"b","question":"","answer":"","sentences":[3]})", "\"sentences\""},
      {R"({"id":"b","question":"","answer":"","sentences":[{"text":1}]})", "\"text\""},
      {R"({"id":"b","question":"","answer":"","sentences":[{"text":"","citations":[]}]})",
       "\"supported\""},
      {R"({"id":"b","question":"","answer":"","sentences":[{"text":"","supported":true}]})",
       "\"citations\""},
      {R"({"id":"b","question":"","answer":"","sentences":[{"text":"","supported":true,)"
       R"("citations":[{"document":"d","begin":-1,"end":2}]}]})",
       "\"begin\""},
      {R"({"id":"b","question":"","answer":"","sentences":[{"text":"","supported":true,)"
       R"("citations":[{"document":"d","begin":3,"end":2}]}]})",
       "ends before it begins"},
  };
  for (const auto& [line, reason] : cases) {
    const auto records = ReadText(ReadAnswers, good + "\n" + line);
    EXPECT_TRUE(absl::IsInvalidArgument(records.status())) << line;
    EXPECT_THAT(std::string(records.status().message()),
                AllOf(StartsWith("f:2: "), HasSubstr(reason)));
  }
  EXPECT_TRUE(absl::IsNotFound(ReadAnswersFile("/nonexistent/answers").status()));
}

TEST(Gold, IsReadAsMusiqueHasIt) {
  const auto gold =
      ReadText(ReadGold, R"({"_id":"q1","question":"?","answers":["three","3"],"gold":["d1","d2"]})"
                         "\n"
                         R"({"id":"q2","answers":["four"],"gold":[]})");
  ASSERT_TRUE(gold.ok()) << gold.status();
  ASSERT_EQ(gold->size(), 2u);
  EXPECT_EQ((*gold)[0].id, "q1");
  EXPECT_THAT((*gold)[0].answers, ElementsAre("three", "3"));
  EXPECT_THAT((*gold)[0].gold, ElementsAre("d1", "d2"));
  for (const char* bad :
       {R"({"_id":"q","answers":[],"gold":[]})", R"({"_id":"q","answers":["x"]})",
        R"({"_id":"q","answers":"x","gold":[]})", R"({"answers":["x"],"gold":[]})",
        R"({"_id":"q","answers":["x"],"gold":[1]})"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ReadText(ReadGold, bad).status())) << bad;
  }
}

TEST(Gold, TheQuestionsOfMusiqueAreRead) {
  CAIRN_NEED_SHARED("data/musique100/questions.jsonl");
  const auto gold =
      ReadGoldFile(::cairn::testing::SharedDir() + "/data/musique100/questions.jsonl");
  ASSERT_TRUE(gold.ok()) << gold.status();
  EXPECT_EQ(gold->size(), 100u);
}

}  // namespace
}  // namespace cairn::engine
