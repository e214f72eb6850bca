#include "chunking/text/pre_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unicode/regex.h>
#include <unicode/unistr.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

namespace cairn::chunking {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> Words(const PreTokenizer& pre_tokenizer, std::string_view text) {
  std::vector<std::string> words;
  size_t end = 0;
  pre_tokenizer.ForEachWord(text, [&](size_t word_begin, size_t word_end) {
    EXPECT_EQ(word_begin, end);
    EXPECT_LT(word_begin, word_end);
    end = word_end;
    words.emplace_back(text.substr(word_begin, word_end - word_begin));
  });
  EXPECT_EQ(end, text.size());
  return words;
}

std::vector<std::string> Words(std::vector<SplitStep> steps, std::string_view text) {
  return Words(PreTokenizer(std::move(steps)), text);
}

// ICU's \s is not the models'.
std::unique_ptr<icu::RegexMatcher> Compile(std::string expression) {
  for (size_t at; (at = expression.find("\\s")) != std::string::npos;) {
    expression.replace(at, 2, "\\p{White_Space}");
  }
  for (size_t at; (at = expression.find("\\S")) != std::string::npos;) {
    expression.replace(at, 2, "\\P{White_Space}");
  }
  UErrorCode error = U_ZERO_ERROR;
  auto matcher =
      std::make_unique<icu::RegexMatcher>(icu::UnicodeString::fromUTF8(expression), 0, error);
  EXPECT_TRUE(U_SUCCESS(error));
  return matcher;
}

// The matches of an expression in `text`, and what is between them.
std::vector<std::string> Matches(icu::RegexMatcher* regex, const std::string& text) {
  icu::RegexMatcher& matcher = *regex;
  UErrorCode error = U_ZERO_ERROR;
  const icu::UnicodeString utf16 = icu::UnicodeString::fromUTF8(text);
  matcher.reset(utf16);
  std::vector<std::string> words;
  int32_t done = 0;
  const auto add = [&](int32_t begin, int32_t end) {
    if (begin == end) return;
    utf16.tempSubStringBetween(begin, end).toUTF8String(words.emplace_back());
  };
  while (matcher.find(error)) {
    add(done, matcher.start(error));
    add(matcher.start(error), matcher.end(error));
    done = matcher.end(error);
  }
  add(done, utf16.length());
  EXPECT_TRUE(U_SUCCESS(error));
  return words;
}

std::string RandomPieces(std::mt19937* random) {
  const std::vector<std::string> pieces = {
      "a",      "Zq",     "\u00E9", "e\u0301", "\u4E2D", "\uD55C",     "\u01C5",
      "1",      "22",     "\u0663", "\u00BD",  "\u2167", "\U0001D7D8", " ",
      "  ",     "\t",     "\n",     "\r\n",    "\r",     "\u00A0",     "\u3000",
      "\u2028", "\u0085", "\x0B",   "\x1C",    "\u200B", "\u180E",     "'",
      "'s",     "'RE",    "'lL",    "'\u017F", "'d",     "'v",         "!",
      "``",     "$+<",    "...",    "\u3002",  "\u20AC", "\U0001F600", "\u0301",
      "_",      "\uFEFF", "\u0E33", "'M",      "\u0130", "-",          "0",
  };
  std::string text;
  for (unsigned k = (*random)() % 24; k > 0; --k) {
    if ((*random)() % 8 == 0) {
      UChar32 c = static_cast<UChar32>((*random)() % 0x3000);
      icu::UnicodeString(c).toUTF8String(text);
    } else {
      text += pieces[(*random)() % pieces.size()];
    }
  }
  return text;
}

struct Expression {
  SplitStep step;
  const char* text;
};

class SplitStepTest : public ::testing::TestWithParam<Expression> {};

TEST_P(SplitStepTest, SplitsAsItsRegularExpression) {
  std::mt19937 random(3);
  const PreTokenizer pre_tokenizer({GetParam().step});
  const auto regex = Compile(GetParam().text);
  for (int i = 0; i < 20000; ++i) {
    const std::string text = RandomPieces(&random);
    ASSERT_EQ(Words(pre_tokenizer, text), Matches(regex.get(), text))
        << ::testing::PrintToString(text);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Steps, SplitStepTest,
    ::testing::Values(
        Expression{SplitStep::kGpt2,
                   R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"},
        Expression{
            SplitStep::kLlama3,
            R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
        Expression{
            SplitStep::kQwen2,
            R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
        Expression{SplitStep::kPunctuation, R"([\p{P}$+<=>\^`|~]+)"},
        Expression{SplitStep::kPunctuationButBacktick, R"([\p{P}$+<=>\^|~]+)"},
        Expression{SplitStep::kNumbers, R"(\p{N}+)"},
        Expression{SplitStep::kEachNumber, R"(\p{N})"},
        Expression{SplitStep::kThreeDigits, "[0-9][0-9][0-9]"}));

TEST(PreTokenizer, EachStepSplitsTheWordsOfTheOneBefore) {
  EXPECT_THAT(Words({SplitStep::kPunctuation, SplitStep::kGpt2, SplitStep::kByteNumbers,
                     SplitStep::kThreeDigits},
                    "a, 12345\u00BD"),
              ElementsAre("a", ",", " ", "123", "45", "\xC2", "\xBD"));
  EXPECT_THAT(Words({SplitStep::kEachNumber, SplitStep::kGpt2}, "x 12 y"),
              ElementsAre("x", " ", "1", "2", " y"));
  EXPECT_THAT(Words({}, "a b"), ElementsAre("a b"));
  EXPECT_THAT(Words({SplitStep::kGpt2}, ""), ElementsAre());
}

TEST(PreTokenizer, CountsIllFormedBytesAsSymbols) {
  EXPECT_THAT(Words({SplitStep::kGpt2}, "a\xFF\xE4!b"), ElementsAre("a", "\xFF\xE4!", "b"));
}

TEST(PreTokenizer, TakesLongRunsInOneGo) {
  const std::string spaces(2'000'000, ' ');
  EXPECT_EQ(Words({SplitStep::kLlama3}, spaces + "x").size(), 2u);
  EXPECT_EQ(Words({SplitStep::kGpt2}, std::string(2'000'000, 'x') + spaces).size(), 2u);
}

}  // namespace
}  // namespace cairn::chunking
