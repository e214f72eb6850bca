#include "engine/answer/answer_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <utility>
#include <vector>

namespace cairn::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

using Sentences = std::vector<std::pair<std::string, std::vector<uint32_t>>>;

// Reads pieces and keeps what comes, in the order in which it comes.
class Reading {
 public:
  void Append(std::string_view piece) { reader_.Append(piece); }
  void Finish() { reader_.Finish(); }

  std::string text;
  Sentences sentences;
  std::vector<std::string> events;

 private:
  AnswerReader reader_{[this](std::string_view piece) {
                         EXPECT_FALSE(piece.empty());
                         text += piece;
                         events.emplace_back(piece);
                       },
                       [this](DraftSentence sentence) {
                         EXPECT_TRUE(text.ends_with(sentence.text)) << text;
                         events.push_back("<" + sentence.text + ">");
                         sentences.emplace_back(sentence.text, sentence.cited);
                       }};
};

Reading Read(std::string_view text) {
  Reading reading;
  reading.Append(text);
  reading.Finish();
  return reading;
}

TEST(AnswerReader, MarksBelongToTheSentenceBeforeThem) {
  EXPECT_THAT(Read("One is [1]. Two is. [2][3] Three [1] is [4].").sentences,
              ElementsAre(Pair("One is.", ElementsAre(1)), Pair("Two is.", ElementsAre(2, 3)),
                          Pair("Three is.", ElementsAre(1, 4))));
}

TEST(AnswerReader, MarksThatBeginALineBelongToWhatFollows) {
  EXPECT_THAT(Read("[1] One is so.\n\n[2] Two is so.").sentences,
              ElementsAre(Pair("One is so.", ElementsAre(1)), Pair("Two is so.", ElementsAre(2))));
}

TEST(AnswerReader, MarksAfterEverythingBelongToTheLastSentence) {
  EXPECT_THAT(Read("One is. Two is.\n[2]").sentences,
              ElementsAre(Pair("One is.", ElementsAre()), Pair("Two is.", ElementsAre(2))));
}

TEST(AnswerReader, APassageCitedTwiceIsCitedOnce) {
  EXPECT_THAT(Read("One [2] is [1, 2][1].").sentences,
              ElementsAre(Pair("One is.", ElementsAre(2, 1))));
}

TEST(AnswerReader, WhatHasNoEndIsASentenceAtTheEnd) {
  EXPECT_THAT(Read("One is. And then [1").sentences,
              ElementsAre(Pair("One is.", ElementsAre()), Pair("And then [1", ElementsAre())));
}

TEST(AnswerReader, AbbreviationsEndNoSentence) {
  EXPECT_THAT(
      Read("Dr. Smith met J. R. Jones, e.g. in Fig. 3, at 5 p.m. today [1]. He left.").sentences,
      ElementsAre(
          Pair("Dr. Smith met J. R. Jones, e.g. in Fig. 3, at 5 p.m. today.", ElementsAre(1)),
          Pair("He left.", ElementsAre())));
}

TEST(AnswerReader, NothingIsNoSentence) {
  for (const char* text : {"", " \n ", "[1]", " [1] [2]\n"}) {
    const Reading reading = Read(text);
    EXPECT_TRUE(reading.sentences.empty()) << text;
    EXPECT_EQ(reading.text, "") << text;
  }
}

TEST(AnswerReader, TextComesBeforeItsSentenceAndBeforeTheNextText) {
  EXPECT_THAT(Read("One is. [1] Two.").events,
              ElementsAre("One", " is.", "<One is.>", " Two.", "<Two.>"));
}

TEST(AnswerReader, PiecesCutAnywhereGiveTheSameSentences) {
  static constexpr const char* kParts[] = {
      "One ", "two. ", "Dr. ", "e.g. ",  "[1]",         " [2, 3]", "[4-",
      "5]",   "?",     "!\" ", "\n",     "\n\n",        "3.5 ",    "\xC3\xA9t\xC3\xA9. ",
      "No. ", "(x) ",  "[",    "lower ", "\xE3\x80\x82"};
  std::mt19937 rng(3);
  for (int i = 0; i < 1500; ++i) {
    std::string text;
    for (size_t n = rng() % 30; n > 0; --n) text += kParts[rng() % std::size(kParts)];
    const Reading whole = Read(text);
    Reading pieces;
    for (size_t at = 0; at < text.size();) {
      const size_t size = 1 + rng() % 5;
      pieces.Append(std::string_view(text).substr(at, size));
      at += size;
    }
    pieces.Finish();
    ASSERT_EQ(pieces.sentences, whole.sentences) << text;
    ASSERT_EQ(pieces.events, whole.events) << text;
    // Nothing is lost: what was written is the text without marks, to its last sentence.
    CitationScanner scanner;
    scanner.Append(text);
    scanner.Finish();
    ASSERT_TRUE(std::string_view(scanner.text()).starts_with(whole.text));
    ASSERT_EQ(scanner.text().find_first_not_of(" \n", whole.text.size()), std::string::npos);
  }
}

}  // namespace
}  // namespace cairn::engine
