#include "chunking/text/word_count.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "chunking/text/normalize.h"

namespace cairn::chunking {
namespace {

TEST(CountWords, CountsAsPythonSplitsTheNfkcForm) {
  // Values from len(unicodedata.normalize("NFKC", text).split()).
  const std::pair<const char*, size_t> cases[] = {
      {"", 0},
      {" \t\n\v\f\r", 0},
      {"one", 1},
      {"  one  two\nthree ", 3},
      {"a\xC2\xA0"
       "b",
       2},  // No-break space.
      {"a\xE3\x80\x80"
       "b",
       2},  // Ideographic space.
      {"a\xE2\x80\xA8"
       "b",
       2},  // Line separator.
      {"a\xC2\x85"
       "b",
       2},  // Next line.
      {"a\x1C"
       "b\x1D"
       "c\x1E"
       "d\x1F"
       "e",
       5},
      {"a\xE2\x80\x8B"
       "b",
       1},  // Zero-width space is none.
      {"\xE1\x9A\x80"
       "a",
       1},  // Ogham space.
      {"a\xC2\xB4"
       "b",
       2},                  // The acute accent is a space and a combining mark.
      {"\xEF\xB7\xBA", 4},  // One character, four words.
      {"\xE6\x97\xA5\xE6\x9C\xAC", 1},
  };
  for (const auto& [text, words] : cases) EXPECT_EQ(CountWords(text), words) << text;
}

TEST(FirstWords, EndsWithTheLastWordThatFits) {
  EXPECT_EQ(FirstWords(" one  two three ", 2), " one  two");
  EXPECT_EQ(FirstWords("one two", 2), "one two");
  EXPECT_EQ(FirstWords("one two", 9), "one two");
  EXPECT_EQ(FirstWords("one two", 0), "");
  EXPECT_EQ(FirstWords("", 3), "");
  EXPECT_EQ(FirstWords("a \xEF\xB7\xBA b", 4), "a");
  EXPECT_EQ(FirstWords("\xEF\xB7\xBA b", 3), "");
}

TEST(NormalizeCompatibility, KeepsCaseAndRepairsBytes) {
  EXPECT_EQ(NormalizeCompatibility("\xEF\xBC\xA1 \xEF\xAC\x81x \xC2\xBD"),
            "A fix 1\xE2\x81\x84"
            "2");
  EXPECT_EQ(NormalizeCompatibility("a\xFF"), "a\xEF\xBF\xBD");
}

}  // namespace
}  // namespace cairn::chunking
