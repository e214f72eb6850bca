#include "engine/generation/stop_strings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace cairn::engine {
namespace {

using Strings = std::vector<std::string>;

// What comes of `text` cut into `pieces`, with "|" and the stop string where one came.
std::string Outcome(const Strings& stops, const Strings& pieces) {
  StopStrings matcher(stops);
  std::string shown;
  for (const std::string& piece : pieces) shown += matcher.Append(piece);
  shown += matcher.Finish();
  return matcher.stopped() ? shown + "|" + matcher.matched() : shown;
}

TEST(StopStrings, TextEndsBeforeTheStopString) {
  EXPECT_EQ(Outcome({"STOP"}, {"one STOP two"}), "one |STOP");
  EXPECT_EQ(Outcome({"STOP"}, {"one S", "T", "OP", " two"}), "one |STOP");
  EXPECT_EQ(Outcome({"STOP"}, {"STOP"}), "|STOP");
  EXPECT_EQ(Outcome({"STOP"}, {"one STO"}), "one STO");
  EXPECT_EQ(Outcome({}, {"one ", "two"}), "one two");
}

TEST(StopStrings, HoldsBackJustWhatMayBeABeginning) {
  StopStrings matcher({"abcab", "xy"});
  EXPECT_EQ(matcher.Append("zabca"), "z");
  EXPECT_EQ(matcher.Append("x"), "abca");
  EXPECT_EQ(matcher.Append("z"), "xz");
  EXPECT_EQ(matcher.Append("abcabx"), "");
  EXPECT_TRUE(matcher.stopped());
  EXPECT_EQ(matcher.Append("more"), "");
  EXPECT_EQ(matcher.Finish(), "");
}

TEST(StopStrings, TheStringThatIsCompleteFirstWinsAndTheLongerOfTwo) {
  EXPECT_EQ(Outcome({"abcd", "bc"}, {"xabcd"}), "xa|bc");
  EXPECT_EQ(Outcome({"bc", "abc"}, {"xabcd"}), "x|abc");
  EXPECT_EQ(Outcome({"abc", "ab"}, {"xabc"}), "x|ab");
}

TEST(StopStrings, RefusesWhatCannotBeMatched) {
  EXPECT_TRUE(CheckStopStrings({"a", "\xC3\xA9"}).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(CheckStopStrings({"a", ""})));
  EXPECT_TRUE(absl::IsInvalidArgument(CheckStopStrings({"\xC3"})));
  EXPECT_TRUE(absl::IsInvalidArgument(CheckStopStrings({std::string(1025, 'a')})));
  EXPECT_TRUE(absl::IsInvalidArgument(CheckStopStrings(Strings(65, "a"))));
}

// However the text is cut up, the outcome is that of a search byte by byte; what is shown on the
// way never has to be taken back.
TEST(StopStrings, CutsMakeNoDifference) {
  std::mt19937 rng(1);
  const auto random_text = [&](size_t most, size_t least) {
    std::string text(least + rng() % (most - least + 1), 'a');
    for (char& c : text) c = static_cast<char>('a' + rng() % 2);
    return text;
  };
  size_t stopped = 0;
  for (int round = 0; round < 5000; ++round) {
    Strings stops(1 + rng() % 3);
    for (std::string& s : stops) s = random_text(7, 3);
    const std::string text = random_text(24, 0);
    std::string expected = text;
    for (size_t end = 1; end <= text.size() && expected == text; ++end) {
      const std::string* longest = nullptr;
      for (const std::string& s : stops) {
        if (!text.substr(0, end).ends_with(s)) continue;
        if (longest == nullptr || s.size() > longest->size()) longest = &s;
      }
      if (longest != nullptr) expected = text.substr(0, end - longest->size()) + "|" + *longest;
    }
    Strings pieces;
    for (size_t at = 0; at < text.size();) {
      pieces.push_back(text.substr(at, rng() % 5));
      at += pieces.back().size();
    }
    ASSERT_EQ(Outcome(stops, pieces), expected) << text;
    stopped += expected != text;
  }
  EXPECT_GT(stopped, 500u);
}

}  // namespace
}  // namespace cairn::engine
