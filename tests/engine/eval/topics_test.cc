#include "engine/eval/topics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <sstream>
#include <string>

#include "tests/engine/eval/eval_text.h"
#include "tests/support/shared_data.h"

namespace cairn::engine::testing {
namespace {

using ::testing::AnyOf;
using ::testing::StartsWith;

absl::StatusOr<std::vector<Topic>> TopicsFrom(const std::string& text) {
  std::istringstream in(text);
  return ReadTopics(in, "topics");
}

TEST(ReadTopics, ReadsTabSeparatedLinesInOrder) {
  const absl::StatusOr<std::vector<Topic>> topics = TopicsFrom(
      "\xEF\xBB\xBF"
      "9\twhat is\ta posting\r\n\n2\t#hash and caf\xC3\xA9\n3\t");
  ASSERT_TRUE(topics.ok()) << topics.status();
  ASSERT_EQ(topics->size(), 3u);
  EXPECT_EQ((*topics)[0].id, "9");
  EXPECT_EQ((*topics)[0].text, "what is\ta posting");
  EXPECT_EQ((*topics)[1].text, "#hash and caf\xC3\xA9");
  EXPECT_EQ((*topics)[2].text, "");
}

TEST(ReadTopics, ReadsBeirJsonLines) {
  const absl::StatusOr<std::vector<Topic>> topics = TopicsFrom(
      "{\"_id\": \"q1\", \"text\": \"caf\\u00e9\", \"metadata\": {}}\n"
      " {\"text\": \"two\", \"_id\": 7}\n");
  ASSERT_TRUE(topics.ok()) << topics.status();
  ASSERT_EQ(topics->size(), 2u);
  EXPECT_EQ((*topics)[0].id, "q1");
  EXPECT_EQ((*topics)[0].text, "caf\xC3\xA9");
  EXPECT_EQ((*topics)[1].id, "7");
}

TEST(ReadTopics, NamesFileLineAndReasonOfAnError) {
  EXPECT_EQ(MessageOf(TopicsFrom("1\tone\n2 two\n")),
            "topics:2: expected `id<TAB>text`, found no tab");
  EXPECT_EQ(MessageOf(TopicsFrom("\tone\n")), "topics:1: the topic's id is empty");
  EXPECT_EQ(MessageOf(TopicsFrom("1\tone\n1\ttwo\n")), "topics:2: topic 1 appears twice");
  EXPECT_EQ(MessageOf(TopicsFrom("{\"_id\": \"1\", \"text\": \"x\"}\n{\"_id\": \"2\"\n")),
            "topics:2: not a JSON object");
  EXPECT_EQ(MessageOf(TopicsFrom("{\"text\": \"x\"}\n")),
            "topics:1: member \"_id\" is missing or not a string");
  EXPECT_EQ(MessageOf(TopicsFrom("{\"_id\": \"1\", \"text\": 5}\n")),
            "topics:1: member \"text\" is missing or not a string");
  EXPECT_EQ(MessageOf(TopicsFrom("{\"_id\": \"1\", \"text\": \"\xFF\"}\n")),
            "topics:1: not a JSON object");
}

TEST(ReadTopics, SurvivesDeeplyNestedJson) {
  std::string line = "{\"_id\": \"1\", \"text\": \"x\", \"deep\": ";
  line.append(1000000, '[').append(1000000, ']').append("}");
  const absl::StatusOr<std::vector<Topic>> topics = TopicsFrom(line);
  EXPECT_TRUE(topics.ok()) << topics.status();
}

TEST(ReadTopics, SurvivesRandomBytes) {
  std::mt19937 random(11);
  const std::string alphabet = "{}[]\":,_idtext1\t\n\r\\u \xFF" + std::string(1, '\0');
  for (int round = 0; round < 3000; ++round) {
    std::string text = round % 2 == 0 ? "{\"_id\"" : "";
    const size_t length = random() % 60;
    for (size_t i = 0; i < length; ++i) text += alphabet[random() % alphabet.size()];
    const absl::StatusOr<std::vector<Topic>> topics = TopicsFrom(text);
    EXPECT_THAT(MessageOf(topics), AnyOf("OK", StartsWith("topics:")));
  }
}

TEST(ReadTopics, ReadsTheDevelopmentTopics) {
  CAIRN_NEED_SHARED("data/scifact/topics.tsv");
  const absl::StatusOr<std::vector<Topic>> topics =
      ReadTopicsFile(cairn::testing::SharedDir() + "/data/scifact/topics.tsv");
  ASSERT_TRUE(topics.ok()) << topics.status();
  EXPECT_EQ(topics->size(), 300u);
}

}  // namespace
}  // namespace cairn::engine::testing
