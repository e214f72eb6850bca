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
using cairn::testing::Split;
using cairn::testing::Texts;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Fake = cairn::testing::FakeTokenizer;

std::vector<std::string> SentenceTexts(const Document& document, size_t max_tokens,
                                       const Tokenizer& tokenizer = Fake::Words()) {
  const ChunkerOptions options{max_tokens, 0};
  const std::vector<Chunk> chunks = Split("sentence", options, tokenizer, document);
  ExpectSound(document, chunks, options, tokenizer);
  return Texts(document, chunks);
}

TEST(SentenceChunker, GivesNothingForTextWithoutContent) {
  EXPECT_THAT(SentenceTexts(PlainText(""), 8), IsEmpty());
  EXPECT_THAT(SentenceTexts(PlainText(" \n\n "), 8), IsEmpty());
}

TEST(SentenceChunker, PacksWholeSentences) {
  EXPECT_THAT(SentenceTexts(PlainText("One two three. Four five six. Seven eight nine. Ten "
                                      "eleven twelve."),
                            8),
              ElementsAre("One two three. Four five six.", "Seven eight nine. Ten eleven twelve."));
}

TEST(SentenceChunker, BalancesSizesInsteadOfLeavingATinyRest) {
  EXPECT_THAT(SentenceTexts(PlainText("One two. Three four. Five six. Seven eight. Nine ten."), 8),
              ElementsAre("One two. Three four. Five six.", "Seven eight. Nine ten."));
}

TEST(SentenceChunker, KeepsEverythingTogetherThatFits) {
  EXPECT_THAT(SentenceTexts(PlainText("One two.\n\nThree four. Five.\n"), 8),
              ElementsAre("One two.\n\nThree four. Five."));
}

TEST(SentenceChunker, CutsAnOverlongSentenceBetweenWordsEvenly) {
  EXPECT_THAT(SentenceTexts(PlainText(NumberedWords(9)), 8),
              ElementsAre("w1 w2 w3 w4 w5", "w6 w7 w8 w9"));
}

TEST(SentenceChunker, LetsShortSentencesJoinTheRestOfAnOverlongOne) {
  EXPECT_THAT(SentenceTexts(PlainText(NumberedWords(9) + " end. Next one."), 8),
              ElementsAre("w1 w2 w3 w4 w5", "w6 w7 w8 w9 end. Next one."));
}

TEST(SentenceChunker, CutsAnOverlongWordButNoCluster) {
  std::string text = "Go.";
  for (int i = 0; i < 20; ++i) text += "e\u0301\u0323";
  SentenceTexts(PlainText(text + ". Stop."), 8, Fake::CodePoints());
}

TEST(SentenceChunker, NamesTheHeadingsInForce) {
  const Document document = DocumentBuilder()
                                .Heading(1, "Top")
                                .Paragraph("One two three four five.")
                                .Heading(1, "Other")
                                .Paragraph("Six seven eight nine ten.")
                                .Build();
  const std::vector<Chunk> chunks = Split("sentence", {8, 0}, Fake::Words(), document);
  ASSERT_EQ(chunks.size(), 2U);
  EXPECT_THAT(chunks[0].headings, ElementsAre("Top"));
  EXPECT_THAT(chunks[1].headings, ElementsAre("Other"));
}

}  // namespace
}  // namespace cairn::chunking
