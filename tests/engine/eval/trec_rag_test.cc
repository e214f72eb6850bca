#include "engine/eval/trec_rag.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/temp_dir.h"

namespace cairn::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Json = nlohmann::ordered_json;

Json Valid2024() {
  return {{"run_id", "mine"},
          {"topic_id", "t1"},
          {"topic", "How many hearts?"},
          {"references", {"d1", "d2"}},
          {"response_length", 4},
          {"answer",
           {{{"text", "Three hearts."}, {"citations", {0, 1}}},
            {{"text", "Or so."}, {"citations", Json::array()}}}}};
}

Json Valid2025() {
  return {{"metadata",
           {{"team_id", "us"}, {"run_id", "mine"}, {"narrative_id", "t1"}, {"type", "automatic"}}},
          {"references", {"d1", "d2"}},
          {"answer", {{{"text", "Three hearts."}, {"citations", {1}}}}}};
}

// "line: what" for each violation.
std::vector<std::string> Violations(std::string_view file,
                                    const std::vector<Topic>* topics = nullptr) {
  const TrecRagReport report = ValidateTrecRag(file, topics);
  EXPECT_EQ(report.violations.size(), report.violation_count);
  std::vector<std::string> all;
  for (const TrecRagViolation& v : report.violations) {
    all.push_back(std::to_string(v.line) + ": " + v.what);
  }
  return all;
}

TEST(TrecRag, ValidFilesHaveNoViolations) {
  Json other = Valid2024();
  other["topic_id"] = "t2";
  other["references"] = Json::array();
  other["answer"] = {{{"text", "Four."}, {"citations", Json::array()}}};
  other["response_length"] = 1;
  const std::string file = Valid2024().dump() + "\n" + other.dump() + "\n";
  EXPECT_THAT(Violations(file), IsEmpty());
  EXPECT_THAT(Violations(file.substr(0, file.size() - 1)), IsEmpty());
  EXPECT_EQ(ValidateTrecRag(file, nullptr).answers, 2u);
  const std::vector<Topic> topics = {{"t1", "How many hearts?"}, {"t2", "How many hearts?"}};
  EXPECT_THAT(Violations(file, &topics), IsEmpty());

  Json numbered = Valid2025();
  numbered["metadata"]["narrative_id"] = 7;
  numbered["metadata"]["type"] = "manual";
  EXPECT_THAT(Violations(Valid2025().dump() + "\r\n" + numbered.dump()), IsEmpty());
  const std::vector<Topic> narratives = {{"t1", "x"}, {"7", "y"}};
  EXPECT_THAT(Violations(Valid2025().dump() + "\n" + numbered.dump(), &narratives), IsEmpty());
}

// One change to a valid line, and the violation that it is.
struct Case {
  const char* name;
  bool is_2025;
  void (*change)(Json& line);
  const char* violation;
};

class TrecRagViolations : public ::testing::TestWithParam<Case> {};

TEST_P(TrecRagViolations, IsRefused) {
  Json line = GetParam().is_2025 ? Valid2025() : Valid2024();
  GetParam().change(line);
  EXPECT_THAT(Violations(line.dump()), ElementsAre(HasSubstr(GetParam().violation)));
}

std::string ManyWords(size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += "w ";
  return text;
}

const Case kCases[] = {
    {"MissingRunId", false, [](Json& l) { l.erase("run_id"); }, "\"run_id\" is missing"},
    {"MissingTopicId", false, [](Json& l) { l.erase("topic_id"); }, "\"topic_id\" is missing"},
    {"MissingTopic", false, [](Json& l) { l.erase("topic"); }, "\"topic\" is missing"},
    {"MissingReferences", true,
     [](Json& l) {
       l.erase("references");
       l["answer"][0]["citations"] = Json::array();
     },
     "\"references\" is missing"},
    {"MissingLength", false, [](Json& l) { l.erase("response_length"); },
     "\"response_length\" is missing"},
    {"MissingAnswer", true, [](Json& l) { l.erase("answer"); }, "\"answer\" is missing"},
    {"MissingTeamId", true, [](Json& l) { l["metadata"].erase("team_id"); },
     "metadata: member \"team_id\" is missing"},
    {"MissingRunId2025", true, [](Json& l) { l["metadata"].erase("run_id"); },
     "metadata: member \"run_id\" is missing"},
    {"MissingNarrativeId", true, [](Json& l) { l["metadata"].erase("narrative_id"); },
     "metadata: member \"narrative_id\" is missing"},
    {"MissingType", true, [](Json& l) { l["metadata"].erase("type"); },
     "metadata: member \"type\" is missing"},
    {"MissingText", true, [](Json& l) { l["answer"][0].erase("text"); },
     "sentence 0: member \"text\" is missing"},
    {"MissingCitations", true, [](Json& l) { l["answer"][0].erase("citations"); },
     "sentence 0: member \"citations\" is missing"},
    {"UnknownMember", false, [](Json& l) { l["notes"] = "x"; }, "member \"notes\" is unknown"},
    {"UnknownMetadata", true, [](Json& l) { l["metadata"]["x"] = "x"; },
     "metadata: member \"x\" is unknown"},
    {"UnknownInSentence", true, [](Json& l) { l["answer"][0]["score"] = 1; },
     "sentence 0: member \"score\" is unknown"},
    {"LengthIn2025", true, [](Json& l) { l["response_length"] = 2; },
     "member \"response_length\" is unknown"},
    {"RunIdNoString", false, [](Json& l) { l["run_id"] = 3; }, "\"run_id\" is not a string"},
    {"RunIdEmpty", false, [](Json& l) { l["run_id"] = " "; }, "\"run_id\" is empty"},
    {"TopicIdNoString", false, [](Json& l) { l["topic_id"] = 3; }, "\"topic_id\" is not a string"},
    {"TopicIdEmpty", false, [](Json& l) { l["topic_id"] = ""; }, "\"topic_id\" is empty"},
    {"TopicNoString", false, [](Json& l) { l["topic"] = nullptr; }, "\"topic\" is not a string"},
    {"TopicEmpty", false, [](Json& l) { l["topic"] = ""; }, "\"topic\" is empty"},
    {"MetadataNoObject", true, [](Json& l) { l["metadata"] = "x"; },
     "\"metadata\" is not an object"},
    {"NarrativeIdNegative", true, [](Json& l) { l["metadata"]["narrative_id"] = -1; },
     "\"narrative_id\" is not a string"},
    {"NarrativeIdReal", true, [](Json& l) { l["metadata"]["narrative_id"] = 1.5; },
     "\"narrative_id\" is not a string"},
    {"TypeUnknown", true, [](Json& l) { l["metadata"]["type"] = "magic"; },
     "neither \"automatic\" nor \"manual\""},
    {"ReferencesNoArray", true,
     [](Json& l) {
       l["references"] = "d1";
       l["answer"][0]["citations"] = Json::array();
     },
     "\"references\" is not an array"},
    {"ReferenceNoString", true, [](Json& l) { l["references"][0] = 5; },
     "reference 0 is not a string"},
    {"ReferenceEmpty", true, [](Json& l) { l["references"][0] = ""; }, "reference 0 is empty"},
    {"ReferenceWithNul", true, [](Json& l) { l["references"][0] = std::string("d\0", 2); },
     "reference 0 contains a NUL"},
    {"ReferenceTwice", true, [](Json& l) { l["references"][1] = "d1"; },
     "reference 1 is there twice: d1"},
    {"TooManyReferences", true,
     [](Json& l) {
       l["references"] = Json::array();
       for (int i = 0; i < 21; ++i) l["references"].push_back("d" + std::to_string(i));
     },
     "21 references are more than 20"},
    {"LengthNoNumber", false, [](Json& l) { l["response_length"] = "4"; },
     "\"response_length\" is not a whole number"},
    {"LengthReal", false, [](Json& l) { l["response_length"] = 4.0; },
     "\"response_length\" is not a whole number"},
    {"LengthNegative", false, [](Json& l) { l["response_length"] = -4; },
     "\"response_length\" is not a whole number"},
    {"LengthWrong", false, [](Json& l) { l["response_length"] = 5; },
     "\"response_length\" is 5, but the answer has 4 words"},
    {"AnswerNoArray", true, [](Json& l) { l["answer"] = "x"; }, "\"answer\" is not an array"},
    {"AnswerEmpty", true, [](Json& l) { l["answer"] = Json::array(); }, "the answer is empty"},
    {"SentenceNoObject", true, [](Json& l) { l["answer"][0] = "x"; }, "sentence 0: not an object"},
    {"TextNoString", true, [](Json& l) { l["answer"][0]["text"] = 1; },
     "sentence 0: \"text\" is not a string"},
    {"TextEmpty", true, [](Json& l) { l["answer"][0]["text"] = " \n"; },
     "sentence 0: \"text\" is empty"},
    {"TextWithNul", true, [](Json& l) { l["answer"][0]["text"] = std::string("a\0b", 3); },
     "sentence 0: \"text\" contains a NUL"},
    {"TooManyWords", true, [](Json& l) { l["answer"][0]["text"] = ManyWords(401); },
     "401 words are more than 400"},
    {"TooManyWordsInNfkc", true,
     [](Json& l) { l["answer"][0]["text"] = ManyWords(397) + "\xEF\xB7\xBA"; },
     "401 words are more than 400"},
    {"CitationsNoArray", true, [](Json& l) { l["answer"][0]["citations"] = 0; },
     "sentence 0: \"citations\" is not an array"},
    {"CitationString", true, [](Json& l) { l["answer"][0]["citations"][0] = "0"; },
     "sentence 0: citation \\\"0\\\" is not a whole number"},
    {"CitationReal", true, [](Json& l) { l["answer"][0]["citations"][0] = 1.0; },
     "sentence 0: citation 1.0 is not a whole number"},
    {"CitationNegative", true, [](Json& l) { l["answer"][0]["citations"][0] = -1; },
     "sentence 0: citation -1 is none of the 2 references"},
    {"CitationOutOfRange", true, [](Json& l) { l["answer"][0]["citations"][0] = 2; },
     "sentence 0: citation 2 is none of the 2 references"},
    {"CitationTwice", true,
     [](Json& l) {
       l["answer"][0]["citations"] = {1, 1};
     },
     "sentence 0: citation 1 is there twice"},
};

INSTANTIATE_TEST_SUITE_P(All, TrecRagViolations, ::testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(TrecRag, LinesThatAreNoObjectsAreRefused) {
  const std::string valid = Valid2024().dump();
  const std::pair<std::string, const char*> cases[] = {
      {"[1]", "not a JSON object"},
      {"3", "not a JSON object"},
      {"{\"run_id\":", "not valid JSON"},
      {valid + " x", "not valid JSON"},
      {valid + valid, "not valid JSON"},
      {"", "the line is empty"},
      {"  ", "the line is empty"},
      {"\xEF\xBB\xBF" + valid, "byte order mark"},
      {"{\"topic\": \"a\xFF\"}", "invalid UTF-8 at byte 12"},
      {std::string("{\"topic\": \"a\0\"}", 15), "NUL"},
      {"{\"a\": 1, \"a\": 2}", "duplicate key"},
      {"{\"a\": " + std::string(100000, '[') + std::string(100000, ']') + "}", "nested deeper"},
      {"{\"a\": \"" + std::string(1 << 20, 'x') + "\"}", "longer than 1048576 bytes"},
      {"{\"a\": 1e999}", "not valid JSON"},
  };
  for (const auto& [line, violation] : cases) {
    Json next = Valid2024();
    next["topic_id"] = "t2";
    // The lines around it are read all the same.
    EXPECT_THAT(Violations(valid + "\n" + line + "\n" + next.dump()),
                ElementsAre(AllOf(HasSubstr(violation), ::testing::StartsWith("2: "))))
        << line.substr(0, 80);
  }
  EXPECT_THAT(Violations(""), ElementsAre("0: the file has no answers"));
}

TEST(TrecRag, FilesAreOfOneFormatRunAndTeam) {
  Json other = Valid2025();
  other["metadata"]["narrative_id"] = "t2";
  EXPECT_THAT(Violations(Valid2024().dump() + "\n" + other.dump()),
              ElementsAre("2: another format than in the lines before"));
  other["metadata"]["team_id"] = "them";
  other["metadata"]["run_id"] = "theirs";
  EXPECT_THAT(Violations(Valid2025().dump() + "\n" + other.dump()),
              ElementsAre(HasSubstr("2: \"team_id\" is \"them\""),
                          HasSubstr("2: \"run_id\" is \"theirs\"")));
}

TEST(TrecRag, TopicsAreAnsweredOnce) {
  EXPECT_THAT(Violations(Valid2024().dump() + "\n" + Valid2024().dump()),
              ElementsAre("2: topic t1 is answered twice"));
  const std::vector<Topic> others = {{"t2", "How?"}, {"t3", "Why?"}};
  EXPECT_THAT(Violations(Valid2024().dump(), &others),
              ElementsAre("1: there is no topic t1", "0: topic t2 has no answer",
                          "0: topic t3 has no answer"));
  const std::vector<Topic> another_text = {{"t1", "How many brains?"}};
  EXPECT_THAT(Violations(Valid2024().dump(), &another_text),
              ElementsAre("1: \"topic\" is not the text of topic t1"));
}

TEST(TrecRag, AllViolationsAreListedAndCounted) {
  Json line = Valid2024();
  line["answer"][0]["citations"] = {5, 6};
  line["references"][1] = "d1";
  line.erase("topic");
  EXPECT_EQ(Violations(line.dump()).size(), 4u);
  std::string file;
  for (int i = 0; i < 2000; ++i) file += "x\n";
  const TrecRagReport report = ValidateTrecRag(file, nullptr);
  EXPECT_EQ(report.violations.size(), 1000u);
  EXPECT_EQ(report.violation_count, 2000u);
}

TEST(TrecRag, FilesAreRead) {
  const ::cairn::testing::TempDir dir;
  const std::string path = dir.Write("run.jsonl", Valid2024().dump() + "\nx\n");
  const absl::StatusOr<TrecRagReport> report = ValidateTrecRagFile(path, nullptr);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->answers, 2u);
  EXPECT_EQ(report->violation_count, 1u);
  EXPECT_TRUE(absl::IsNotFound(ValidateTrecRagFile(dir.file("absent"), nullptr).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(ValidateTrecRagFile(dir.path(), nullptr).status()));
}

}  // namespace
}  // namespace cairn::engine
