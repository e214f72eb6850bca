#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/chunking/chunkers/chunk_checks.h"
#include "tests/support/fake_tokenizer.h"

namespace cairn::chunking {
namespace {

using cairn::testing::DocumentBuilder;
using cairn::testing::ExpectSound;
using cairn::testing::NumberedWords;
using cairn::testing::PlainText;
using cairn::testing::Repeat;
using cairn::testing::Split;
using cairn::testing::Texts;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Fake = cairn::testing::FakeTokenizer;

std::vector<std::string> FixedTexts(const Document& document, const ChunkerOptions& options,
                                    const Tokenizer& tokenizer = Fake::Words()) {
  const std::vector<Chunk> chunks = Split("fixed", options, tokenizer, document);
  ExpectSound(document, chunks, options, tokenizer);
  return Texts(document, chunks);
}

TEST(FixedChunker, GivesNothingForTextWithoutContent) {
  EXPECT_THAT(FixedTexts(PlainText(""), {8, 0}), IsEmpty());
  EXPECT_THAT(FixedTexts(PlainText(" \n\t \u00a0\u3000\n"), {8, 0}), IsEmpty());
}

TEST(FixedChunker, KeepsAShortTextWholeWithoutOuterSpace) {
  EXPECT_THAT(FixedTexts(PlainText("\n  one two\nthree \n"), {8, 0}),
              ElementsAre("one two\nthree"));
}

TEST(FixedChunker, FillsWindowsAndSharesTheLastTwoEvenly) {
  EXPECT_THAT(FixedTexts(PlainText(NumberedWords(18)), {8, 0}),
              ElementsAre("w1 w2 w3 w4 w5 w6 w7 w8", "w9 w10 w11 w12 w13", "w14 w15 w16 w17 w18"));
}

TEST(FixedChunker, KeepsFullWindowsWhereTheTextIsAMultiple) {
  EXPECT_THAT(FixedTexts(PlainText(NumberedWords(16)), {8, 0}),
              ElementsAre("w1 w2 w3 w4 w5 w6 w7 w8", "w9 w10 w11 w12 w13 w14 w15 w16"));
}

TEST(FixedChunker, RepeatsTheOverlap) {
  EXPECT_THAT(FixedTexts(PlainText(NumberedWords(20)), {8, 2}),
              ElementsAre("w1 w2 w3 w4 w5 w6 w7 w8", "w7 w8 w9 w10 w11 w12 w13 w14",
                          "w13 w14 w15 w16 w17 w18 w19 w20"));
}

TEST(FixedChunker, CutsBeforeAWordRatherThanInsideIt) {
  // Three tokens a word: a third word would be cut, and so waits.
  EXPECT_THAT(FixedTexts(PlainText("abc def ghi jkl mno pqr"), {8, 0}, Fake::CodePoints()),
              ElementsAre("abc def", "ghi jkl", "mno pqr"));
}

TEST(FixedChunker, BeginsTheOverlapBeforeAWord) {
  // The last four tokens are "f ghi"; the overlap begins with the whole word among them.
  EXPECT_THAT(FixedTexts(PlainText("ab def ghi jkl mno"), {8, 4}, Fake::CodePoints()),
              ElementsAre("ab def ghi", "ghi jkl", "jkl mno"));
}

TEST(FixedChunker, CutsAnOverlongWordAlone) {
  EXPECT_THAT(FixedTexts(PlainText("aa bb abcdefghijklmnopqrs cc"), {8, 0}, Fake::CodePoints()),
              ElementsAre("aa bb", "abcdefgh", "ijklmno", "pqrs cc"));
}

TEST(FixedChunker, CutsAnOverlongWordBesidePunctuation) {
  EXPECT_THAT(FixedTexts(PlainText("abcdefg/hijklmnopq"), {10, 0}, Fake::CodePoints()),
              ElementsAre("abcdefg/", "hijklmnopq"));
}

TEST(FixedChunker, ProgressesPastAnOverlongWordWithTheLargestOverlap) {
  const std::vector<std::string> texts =
      FixedTexts(PlainText("aa bb " + Repeat("x", 40) + " cc"), {8, 7}, Fake::CodePoints());
  EXPECT_EQ(texts.front(), "aa bb");
  EXPECT_EQ(texts.back(), "cc");
}

TEST(FixedChunker, CountsAPieceOfAWordByItself) {
  // By position the rest of the word has fewer tokens than by itself: a first token is short.
  const Fake tokenizer(1, 5, Fake::kUnlimited);
  FixedTexts(PlainText(Repeat("abcdefghij", 30)), {8, 0}, tokenizer);
  FixedTexts(PlainText(Repeat("abcdefghij", 30)), {8, 3}, tokenizer);
}

// Two tokens a letter, the second one without bytes, behind it: as where normalisation takes a
// character apart.
class TwoTokensPerLetter final : public Tokenizer {
 public:
  void Encode(std::string_view text, std::vector<Token>* tokens) const override {
    for (uint32_t i = 0; i < text.size(); ++i) {
      if (text[i] == ' ') continue;
      tokens->push_back({0, i, i + 1});
      tokens->push_back({0, i + 1, i + 1});
    }
  }
  size_t CountTokens(std::string_view text) const override {
    std::vector<Token> tokens;
    Encode(text, &tokens);
    return tokens.size();
  }
  size_t vocabulary_size() const override { return 1; }
  std::optional<uint32_t> unknown_id() const override { return std::nullopt; }
  const SpecialTokens& special_tokens() const override { return special_tokens_; }
  std::vector<uint32_t> EncodePrompt(std::string_view text, ControlText) const override {
    return std::vector<uint32_t>(CountTokens(text), 0);
  }
  void AppendBytes(uint32_t, ControlText, std::string*) const override {}
  std::string Decode(absl::Span<const uint32_t>) const override { return ""; }
  bool starts_with_space() const override { return false; }

 private:
  SpecialTokens special_tokens_;
};

TEST(FixedChunker, CountsTokensWithoutBytesWithTheCharacterBeforeThem) {
  EXPECT_THAT(FixedTexts(PlainText("ab cd ef gh"), {8, 0}, TwoTokensPerLetter()),
              ElementsAre("ab cd", "ef gh"));
  EXPECT_THAT(FixedTexts(PlainText("abcdef"), {8, 0}, TwoTokensPerLetter()),
              ElementsAre("abc", "def"));
}

TEST(FixedChunker, NeverCutsAGraphemeCluster) {
  const std::string family = "\U0001F468\u200D\U0001F469\u200D\U0001F467";
  const std::vector<std::string> clusters = {
      family,
      "\U0001F1E9\U0001F1EA",      // Flag.
      "e\u0301\u0323",             // Combining marks.
      "\u1100\u1161\u11A8",        // Hangul jamo.
      "\u0915\u094D\u0937\u093F",  // Devanagari conjunct with a vowel sign.
      "\U0001F44D\U0001F3FD",      // Skin tone.
      "\u0600\u0661",              // Prepended mark.
  };
  for (const std::string& cluster : clusters) {
    for (const size_t overlap : {0, 3}) {
      SCOPED_TRACE(cluster);
      FixedTexts(PlainText(Repeat(cluster, 50)), {8, overlap}, Fake::CodePoints());
      FixedTexts(PlainText("a" + Repeat(cluster, 50)), {8, overlap}, Fake::CodePoints());
      FixedTexts(PlainText(Repeat(cluster + " ", 50)), {8, overlap}, Fake::CodePoints());
    }
  }
}

TEST(FixedChunker, LetsOnlyASingleClusterExceedTheLimit) {
  const std::string giant = "z" + Repeat("\u0301", 30);
  EXPECT_THAT(FixedTexts(PlainText("ab" + giant + "cd"), {8, 0}, Fake::CodePoints()),
              ElementsAre("ab", giant, "cd"));
}

TEST(FixedChunker, TreatsASpaceWithACombiningMarkAsText) {
  const std::string marked = " \u0308";
  EXPECT_THAT(FixedTexts(PlainText(" " + marked + "a "), {8, 0}, Fake::CodePoints()),
              ElementsAre(marked + "a"));
}

TEST(FixedChunker, CutsChineseBetweenWords) {
  // "我们 喜欢 研究 自然 语言 处理": every cut is at an even number of characters.
  const std::string text =
      "\u6211\u4eec\u559c\u6b22\u7814\u7a76\u81ea\u7136\u8bed\u8a00\u5904\u7406";
  for (const std::string& chunk : FixedTexts(PlainText(text), {9, 0}, Fake::CodePoints())) {
    EXPECT_EQ(chunk.size() % 6, 0U) << chunk;
  }
}

TEST(FixedChunker, NamesTheHeadingsInForce) {
  const Document document = DocumentBuilder()
                                .Heading(1, "Top")
                                .Paragraph(NumberedWords(8))
                                .Heading(2, "Below")
                                .Paragraph(NumberedWords(8))
                                .Build();
  const std::vector<Chunk> chunks = Split("fixed", {9, 0}, Fake::Words(), document);
  ASSERT_EQ(chunks.size(), 2U);
  EXPECT_THAT(chunks[0].headings, ElementsAre("Top"));
  EXPECT_THAT(chunks[1].headings, ElementsAre("Top", "Below"));
}

}  // namespace
}  // namespace cairn::chunking
