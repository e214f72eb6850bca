#include "engine/eval/trec_rag_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

namespace cairn::engine {
namespace {

using nlohmann::json;

std::string Words(size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += i == 0 ? "w" : " w";
  return text;
}

AnswerRecord Record(std::vector<AnsweredSentence> sentences) {
  AnswerRecord record;
  record.id = "t1";
  record.question = "How many hearts?";
  record.sentences = std::move(sentences);
  return record;
}

TEST(TrecRagWriter, WritesBothFormats) {
  const AnswerRecord record = Record({{"Three hearts.", true, {{"d2", 0, 5}, {"d1", 3, 9}}},
                                      {"It is so.", true, {{"d1", 0, 2}, {"d1", 7, 9}}},
                                      {"Who knows?", false, {}}});
  TrecRagRun run;
  run.run_id = "mine";
  EXPECT_EQ(TrecRagLine(record, run),
            R"({"run_id":"mine","topic_id":"t1","topic":"How many hearts?",)"
            R"("references":["d2","d1"],"response_length":7,"answer":[)"
            R"({"text":"Three hearts.","citations":[0,1]},)"
            R"({"text":"It is so.","citations":[1]},{"text":"Who knows?","citations":[]}]})");
  run.format = TrecRagFormat::k2025;
  run.team_id = "us";
  run.type = "manual";
  EXPECT_EQ(TrecRagLine(Record({{"Three hearts.", true, {{"d2", 0, 5}}}}), run),
            R"({"metadata":{"team_id":"us","run_id":"mine","narrative_id":"t1","type":"manual"},)"
            R"("references":["d2"],"answer":[{"text":"Three hearts.","citations":[0]}]})");
}

TEST(TrecRagWriter, LongAnswersEndAtASentence) {
  const json line = json::parse(TrecRagLine(
      Record({{Words(150), true, {}}, {Words(250), true, {}}, {Words(1), true, {}}}), {}));
  EXPECT_EQ(line["answer"].size(), 2u);
  EXPECT_EQ(line["response_length"], 400);
  // What comes after the first that does not fit is left out, however short: no gaps.
  const json gap = json::parse(TrecRagLine(
      Record({{Words(150), true, {}}, {Words(251), true, {{"d", 0, 1}}}, {Words(1), true, {}}}),
      {}));
  EXPECT_EQ(gap["answer"].size(), 1u);
  EXPECT_TRUE(gap["references"].empty());
}

TEST(TrecRagWriter, OneEndlessSentenceIsCut) {
  const json line = json::parse(TrecRagLine(Record({{Words(1000), true, {{"d", 0, 1}}}}), {}));
  ASSERT_EQ(line["answer"].size(), 1u);
  EXPECT_EQ(line["answer"][0]["text"], Words(400));
  EXPECT_EQ(line["answer"][0]["citations"], json::array({0}));
}

TEST(TrecRagWriter, NoMoreReferencesThanTheTrackTakes) {
  std::vector<AnsweredSentence> sentences;
  for (int i = 0; i < 25; ++i) {
    sentences.push_back({"w", true, {{"d" + std::to_string(i), 0, 1}, {"d0", 0, 1}}});
  }
  const json line = json::parse(TrecRagLine(Record(sentences), {}));
  EXPECT_EQ(line["references"].size(), 20u);
  EXPECT_EQ(line["answer"].size(), 25u);
  EXPECT_EQ(line["answer"][19]["citations"], json::array({19, 0}));
  EXPECT_EQ(line["answer"][24]["citations"], json::array({0}));
}

TEST(TrecRagWriter, NoSentenceIsSaidInWords) {
  for (const AnswerRecord& record : {Record({}), Record({{" ", false, {}}})}) {
    const json line = json::parse(TrecRagLine(record, {}));
    ASSERT_EQ(line["answer"].size(), 1u);
    EXPECT_EQ(line["answer"][0]["text"], kTrecRagNoAnswer);
  }
}

TEST(TrecRagWriter, WhateverIsWrittenIsValid) {
  static constexpr const char* kWords[] = {"w",
                                           "\xEF\xB7\xBA",
                                           "a\xC2\xB4"
                                           "b",
                                           "\xFF",
                                           "\n",
                                           "\xE3\x80\x80",
                                           "\"",
                                           "x\x1Dy",
                                           "\xC2\xA0"};
  std::mt19937 rng(5);
  for (int i = 0; i < 300; ++i) {
    std::vector<AnsweredSentence> sentences(rng() % 30);
    for (AnsweredSentence& sentence : sentences) {
      for (size_t n = rng() % 60; n > 0; --n) {
        sentence.text += kWords[rng() % std::size(kWords)];
        sentence.text += ' ';
      }
      for (size_t n = rng() % 4; n > 0; --n) {
        sentence.citations.push_back({"d" + std::to_string(rng() % 40), 0, 1});
      }
    }
    TrecRagRun run;
    run.format = i % 2 == 0 ? TrecRagFormat::k2024 : TrecRagFormat::k2025;
    const std::vector<Topic> topics = {{"t1", "How many hearts?"}};
    const std::string line = TrecRagLine(Record(sentences), run);
    const TrecRagReport report = ValidateTrecRag(line, &topics);
    ASSERT_EQ(report.violation_count, 0u) << report.violations[0].what << "\n" << line;
  }
}

}  // namespace
}  // namespace cairn::engine
