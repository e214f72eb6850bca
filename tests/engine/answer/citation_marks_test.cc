#include "engine/answer/citation_marks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <utility>
#include <vector>

namespace cairn::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

using Marks = std::vector<std::pair<size_t, std::vector<uint32_t>>>;

Marks MarksOf(const CitationScanner& scanner) {
  Marks marks;
  for (const CitationMark& mark : scanner.marks()) marks.emplace_back(mark.offset, mark.numbers);
  return marks;
}

CitationScanner Scan(std::string_view text) {
  CitationScanner scanner;
  scanner.Append(text);
  scanner.Finish();
  return scanner;
}

TEST(CitationScanner, KnowsTheFormsOfMarks) {
  const std::pair<const char*, std::vector<uint32_t>> cases[] = {
      {"x[1]", {1}},
      {"x [12]", {12}},
      {"x[1, 2]", {1, 2}},
      {"x[1,2 ;3]", {1, 2, 3}},
      {"x[1-3]", {1, 2, 3}},
      {"x[ 3 - 1 ]", {1, 2, 3}},
      {"x[2\xE2\x80\x93"
       "4, 9]",
       {2, 3, 4, 9}},
      {"x[0]", {0}},
      {"x[999]", {999}},
  };
  for (const auto& [text, numbers] : cases) {
    const CitationScanner scanner = Scan(text);
    EXPECT_EQ(scanner.text(), "x") << text;
    EXPECT_EQ(MarksOf(scanner), (Marks{{1, numbers}})) << text;
  }
}

TEST(CitationScanner, AdjacentMarksAreMarksEach) {
  EXPECT_EQ(MarksOf(Scan("x [1][2] [3]")), (Marks{{1, {1}}, {1, {2}}, {1, {3}}}));
}

TEST(CitationScanner, OtherBracketsStayText) {
  for (const char* text :
       {"a[i]", "[]", "x [ ]", "[1", "[1,", "[1, 2", "x[2019]", "[1000-1001]", "[1.5]", "[-1]",
        "[1-]", "[,1]", "[1,,2]", "[1-2-3]", "[sic]", "1]", "[[a]]",
        "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]"}) {
    const CitationScanner scanner = Scan(text);
    EXPECT_EQ(scanner.text(), text);
    EXPECT_THAT(scanner.marks(), IsEmpty()) << text;
  }
}

TEST(CitationScanner, AMarkMayFollowWhatLookedLikeOne) {
  const CitationScanner scanner = Scan("x[1[2]");
  EXPECT_EQ(scanner.text(), "x[1");
  EXPECT_EQ(MarksOf(scanner), (Marks{{3, {2}}}));
}

TEST(CitationScanner, SpacesAroundMarksLeaveWhatAPersonWouldWrite) {
  const std::pair<const char*, const char*> cases[] = {
      {"One [1]. Two", "One. Two"},       {"One. [1] Two", "One. Two"}, {"One.[1]Two", "One. Two"},
      {"One [1] and two", "One and two"}, {"One [1], two", "One, two"}, {"[1] One", "One"},
      {"One.\n[1] Two", "One.\n Two"},    {"\n\n One", "One"},          {"One [1]  ", "One"},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(Scan(text).text(), expected) << text;
}

TEST(CitationScanner, NulsAreDroppedAndMakeNoMark) {
  const std::string nul(1, '\0');
  EXPECT_EQ(Scan("a" + nul + "b").text(), "ab");
  const CitationScanner scanner = Scan("a[1" + nul + "2]");
  EXPECT_EQ(scanner.text(), "a[12]");
  EXPECT_THAT(scanner.marks(), IsEmpty());
}

// Text made of what marks are made of.
std::string RandomText(std::mt19937* rng) {
  static constexpr const char* kParts[] = {
      "[", "]",   "1",      "23",           ",",  ";", "-",
      " ", "[1]", "[2, 3]", "\xE2\x80\x93", "\n", "a", "Word. "};
  std::string text;
  for (size_t i = (*rng)() % 24; i > 0; --i) text += kParts[(*rng)() % std::size(kParts)];
  return text;
}

TEST(CitationScanner, PiecesCutAnywhereGiveTheSameResult) {
  std::mt19937 rng(7);
  for (int i = 0; i < 3000; ++i) {
    const std::string text = RandomText(&rng);
    const CitationScanner whole = Scan(text);
    CitationScanner pieces;
    for (size_t at = 0; at < text.size();) {
      const size_t size = 1 + rng() % 4;
      pieces.Append(std::string_view(text).substr(at, size));
      at += size;
    }
    pieces.Finish();
    ASSERT_EQ(pieces.text(), whole.text()) << text;
    ASSERT_EQ(MarksOf(pieces), MarksOf(whole)) << text;
  }
}

TEST(DefuseMarks, LeavesNoMarkAndNothingElseChanged) {
  EXPECT_EQ(DefuseMarks("It is so.[1] See [2, 3] and [4-6], a[i] and [citation needed]."),
            "It is so.(1) See (2, 3) and (4-6), a[i] and [citation needed].");
  EXPECT_EQ(DefuseMarks("[[1]] [1 [2]"), "[(1)] [1 (2)");
  std::mt19937 rng(11);
  for (int i = 0; i < 3000; ++i) {
    const std::string defused = DefuseMarks(RandomText(&rng));
    EXPECT_THAT(Scan(defused).marks(), IsEmpty()) << defused;
  }
}

}  // namespace
}  // namespace cairn::engine
