#include "chunking/text/sentence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unicode/brkiter.h>
#include <unicode/locid.h>
#include <unicode/utext.h>

#include <random>
#include <string>
#include <vector>

namespace cairn::chunking {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> Sentences(std::string_view text) {
  std::vector<std::string> sentences;
  for (const Span& span : SplitSentences(text)) {
    sentences.emplace_back(text.substr(span.begin, span.size()));
  }
  return sentences;
}

// The number of sentences in `text`.
size_t Count(std::string_view text) { return SplitSentences(text).size(); }

TEST(SplitSentences, SplitsAtTerminators) {
  EXPECT_THAT(Sentences("One. Two! Three? Four"), ElementsAre("One. ", "Two! ", "Three? ", "Four"));
  EXPECT_THAT(Sentences("He said \"Go.\" She went."), ElementsAre("He said \"Go.\" ", "She went."));
  EXPECT_THAT(Sentences("Wait... He left."), ElementsAre("Wait... ", "He left."));
  EXPECT_THAT(Sentences("\u6F22\u5B57\u3002\u304B\u306A\u3002"),
              ElementsAre("\u6F22\u5B57\u3002", "\u304B\u306A\u3002"));
}

TEST(SplitSentences, HasNothingForEmptyAndOneSpanForBlankText) {
  EXPECT_TRUE(SplitSentences("").empty());
  EXPECT_THAT(Sentences(" \n\n "), ElementsAre(" \n\n "));
  EXPECT_THAT(Sentences("\n\n Hi."), ElementsAre("\n\n Hi."));
}

TEST(SplitSentences, BlankLineEndsASentence) {
  EXPECT_THAT(Sentences("Heading\n\nText goes on"), ElementsAre("Heading\n\n", "Text goes on"));
  EXPECT_THAT(Sentences("a\n \t\n\n  b"), ElementsAre("a\n \t\n\n  ", "b"));
  EXPECT_THAT(Sentences("e.g.\n\nsmall"), ElementsAre("e.g.\n\n", "small"));
  EXPECT_THAT(Sentences("a\u2029b"), ElementsAre("a\u2029", "b"));
}

TEST(SplitSentences, LineWrapDoesNotEndASentence) {
  EXPECT_THAT(Sentences("One that is\nwrapped. Two\nalso."),
              ElementsAre("One that is\nwrapped. ", "Two\nalso."));
  EXPECT_THAT(Sentences("One.\nTwo."), ElementsAre("One.\n", "Two."));
}

TEST(SplitSentences, AbbreviationsDoNotEndASentence) {
  for (const char* one : {
           "We use it, e.g. Python, i.e. Snakes.",
           "See Fig. 3 and Eq. (2) in Sec. 4 of Vol. IV, pp. 3-4, No. 7.",
           "Dr. No met Mr. Bond and Mrs. Peel with Prof. Moriarty.",
           "J. R. R. Tolkien and C. S. Lewis wrote.",
           "J.R.R. Tolkien wrote.",
           "As Smith et al. (2010) and Lee et al. [3] show.",
           "The U.S. Army and the U.K. Parliament.",
           "It costs 3.5 dollars, or .5 euros, at example.com or v1.2.3.",
           "On Jan. 5 and Sept. 11 we met.",
           "Roe v. Wade and Kramer vs. Kramer.",
           "Apple Inc. Chairman John Q. Public.",
           "He has a Ph.D. Degree from Yale.",
           "Martin Luther King Jr. Day.",
           "apples, pears, etc. are fruit.",
           "St. Louis is a city.",
           "2.1. Introduction to the matter",
           "IV. Results",
           "It was 5 p.m. when they came.",
       }) {
    EXPECT_EQ(Count(one), 1u) << one << ": " << ::testing::PrintToString(Sentences(one));
  }
}

TEST(SplitSentences, SentencesEndAfterAbbreviationsToo) {
  for (const char* two : {
           "They came at 5 p.m. The dinner was cold.",
           "He lives in the U.S. She does not.",
           "We sell apples, pears, etc. Oranges are out.",
           "He works for Acme Inc. It pays well.",
           "He said no. Then he left.",
           "It rained in Jan. Later it snowed.",
           "It was 2010. The year began.",
           "I live on Elm St. The house is old.",
           "It was plan B. The other failed.",
           "See the fig. Then read on.",
           "It was described by Smith et al. Later work agrees.",
           "It weighs 3.5 kg. Take 2.",
       }) {
    EXPECT_EQ(Count(two), 2u) << two << ": " << ::testing::PrintToString(Sentences(two));
  }
}

std::string RandomSentences(std::mt19937* random, const std::vector<const char*>& pieces) {
  std::string text;
  for (unsigned i = (*random)() % 30; i > 0; --i) text += pieces[(*random)() % pieces.size()];
  return text;
}

TEST(SplitSentences, CoversTheTextWithoutGapOrOverlap) {
  std::mt19937 random(1);
  const std::vector<const char*> pieces = {
      "Mr",     "fig",    "U.S",    "A",      "b",    ".",    "!",  "?",     " ",
      "\n",     "\t",     "\"",     ")",      "(",    "3",    "IV", ",",     "-",
      "\u3002", "\u00E9", "\u2029", "\u0301", "\xFF", "\xE2", "\r", "\u0085"};
  for (int i = 0; i < 20000; ++i) {
    const std::string text = RandomSentences(&random, pieces);
    size_t end = 0;
    for (const Span& span : SplitSentences(text)) {
      ASSERT_EQ(span.begin, end) << text;
      ASSERT_LT(span.begin, span.end) << text;
      end = span.end;
    }
    ASSERT_EQ(end, text.size());
  }
}

std::vector<size_t> IcuBoundaries(const std::string& text) {
  UErrorCode error = U_ZERO_ERROR;
  std::unique_ptr<icu::BreakIterator> sentences(
      icu::BreakIterator::createSentenceInstance(icu::Locale::getRoot(), error));
  UText* utext = utext_openUTF8(nullptr, text.data(), static_cast<int64_t>(text.size()), &error);
  sentences->setText(utext, error);
  std::vector<size_t> ends;
  sentences->first();
  for (int32_t end = sentences->next(); end != icu::BreakIterator::DONE; end = sentences->next()) {
    ends.push_back(static_cast<size_t>(end));
  }
  utext_close(utext);
  return ends;
}

// Texts in which no word looks like an abbreviation and no line or paragraph ends.
TEST(SplitSentences, AgreesWithIcuWhereNoGuardApplies) {
  std::mt19937 random(2);
  const std::vector<const char*> ascii = {"Wug", "blick", "42%", ".", "!", "?", " ", "  ", "(",
                                          ")",   "\"",    "'",   ",", ":", "-", "*", "\t", ". "};
  std::vector<const char*> all = ascii;
  for (const char* piece :
       {"\u00C9tat", "\u00E9t\u00E9", "\u6F22\u5B57", "\u3002", "\uFF01", "\u2026", "\u2019",
        "\u201C", "\u00A0", "\u0301", "\u200B", "\u2024", "\u3001", "\u0661", "\u05D0"}) {
    all.push_back(piece);
  }
  for (int i = 0; i < 20000; ++i) {
    // A first word keeps leading white space out of play: here it belongs to the first sentence.
    const std::string text = "blick" + RandomSentences(&random, i % 2 == 0 ? ascii : all);
    std::vector<size_t> ends;
    for (const Span& span : SplitSentences(text)) ends.push_back(span.end);
    ASSERT_EQ(ends, IcuBoundaries(text)) << text;
  }
}

}  // namespace
}  // namespace cairn::chunking
