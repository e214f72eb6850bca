#include "chunking/text/normalize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

namespace cairn::chunking {
namespace {

using ::testing::HasSubstr;

std::string Normalized(std::string_view text) {
  absl::StatusOr<std::string> normalized = NormalizeText(text);
  EXPECT_TRUE(normalized.ok()) << normalized.status();
  return normalized.ok() ? *normalized : "";
}

std::string ErrorOf(std::string_view text) {
  absl::StatusOr<std::string> normalized = NormalizeText(text);
  EXPECT_EQ(normalized.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(normalized.status().message());
}

TEST(NormalizeText, LeavesPlainTextAsItIs) {
  EXPECT_EQ(Normalized(""), "");
  EXPECT_EQ(Normalized("Hello,\n\tworld."), "Hello,\n\tworld.");
  EXPECT_EQ(Normalized("na\u00EFve \u6F22\u5B57 \U0001F600"), "na\u00EFve \u6F22\u5B57 \U0001F600");
}

TEST(NormalizeText, ComposesCharacters) {
  EXPECT_EQ(Normalized("cafe\u0301"), "caf\u00E9");
  EXPECT_EQ(Normalized("\u1112\u1161\u11AB"), "\uD55C");
  EXPECT_EQ(Normalized("\u212B"), "\u00C5");
  EXPECT_EQ(Normalized("a\u0301\u0323"), "\u1EA1\u0301");
}

TEST(NormalizeText, KeepsCompatibilityCharacters) { EXPECT_EQ(Normalized("\uFB01"), "\uFB01"); }

TEST(NormalizeText, MakesUnixLineEnds) {
  EXPECT_EQ(Normalized("a\r\nb\rc\r\r\nd\n\r"), "a\nb\nc\n\nd\n\n");
}

TEST(NormalizeText, DropsByteOrderMarksAtTheStartOnly) {
  EXPECT_EQ(Normalized("\uFEFFa\uFEFFb"), "a\uFEFFb");
  EXPECT_EQ(Normalized("\uFEFF\uFEFF"), "");
}

TEST(NormalizeText, ErrorNamesLineAndByte) {
  EXPECT_EQ(ErrorOf("ab\ncd\xFF"), "line 2, byte 5: invalid UTF-8");
  EXPECT_EQ(ErrorOf(std::string_view("a\r\nb\rc\0", 7)), "line 3, byte 6: NUL character");
  EXPECT_EQ(ErrorOf(std::string_view("\xC3\0", 2)), "line 1, byte 0: invalid UTF-8");
}

TEST(NormalizeText, RefusesEveryKindOfIllFormedUtf8) {
  for (const char* bad : {"\x80", "\xC0\xAF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                          "\xF8\x88\x80\x80\x80", "a\xE2\x82", "\xF0\x9F\x98"}) {
    EXPECT_THAT(ErrorOf(bad), HasSubstr("invalid UTF-8"));
  }
}

std::string RandomText(std::mt19937* random) {
  static const char* const kPieces[] = {
      "a",      "E",      " ",      "\r",     "\n",         "\u0301", "\u0323", "\u00E9",
      "\u1100", "\u1161", "\uAC00", "\u11A8", "\uFEFF",     "\u212A", "\uFB01", "\u0130",
      "\u00DF", "\u3099", "\u304B", "\uFDFA", "\U0001D15E", "\u200B"};
  std::string text;
  for (unsigned i = (*random)() % 20; i > 0; --i) {
    text += kPieces[(*random)() % std::size(kPieces)];
  }
  return text;
}

TEST(NormalizeText, IsIdempotent) {
  std::mt19937 random(1);
  for (int i = 0; i < 5000; ++i) {
    const std::string once = Normalized(RandomText(&random));
    ASSERT_EQ(Normalized(once), once);
  }
}

TEST(NormalizeText, NeverCrashesOnRandomBytes) {
  std::mt19937 random(2);
  for (int i = 0; i < 5000; ++i) {
    std::string bytes(random() % 40, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    const absl::StatusOr<std::string> normalized = NormalizeText(bytes);
    if (normalized.ok()) {
      ASSERT_EQ(Normalized(*normalized), *normalized);
    }
    FoldForMatching(bytes);
  }
}

TEST(FoldForMatching, FoldsCaseWidthAndCompatibility) {
  EXPECT_EQ(FoldForMatching("HeLLo 42"), "hello 42");
  EXPECT_EQ(FoldForMatching("Stra\u00DFe"), "strasse");
  EXPECT_EQ(FoldForMatching("\uFF21\uFF22\uFF43 \uFB01 \u2460"), "abc fi 1");
  EXPECT_EQ(FoldForMatching("\u03A3\u03C2"), "\u03C3\u03C3");
  EXPECT_EQ(FoldForMatching("Cafe\u0301"), "caf\u00E9");
  EXPECT_EQ(FoldForMatching("so\u00ADft\u200B"), "soft");
}

TEST(FoldForMatching, CombinesWithAnAsciiLetterBefore) {
  EXPECT_EQ(FoldForMatching("E\u0301"), "\u00E9");
  EXPECT_EQ(FoldForMatching("e\u0301"), FoldForMatching("\u00C9"));
}

TEST(FoldForMatching, ReplacesIllFormedBytes) {
  EXPECT_EQ(FoldForMatching("A\xFF"
                            "B"),
            "a\uFFFDb");
}

TEST(FoldForMatching, IsIdempotent) {
  std::mt19937 random(3);
  for (int i = 0; i < 5000; ++i) {
    const std::string once = FoldForMatching(RandomText(&random));
    ASSERT_EQ(FoldForMatching(once), once);
  }
}

}  // namespace
}  // namespace cairn::chunking
