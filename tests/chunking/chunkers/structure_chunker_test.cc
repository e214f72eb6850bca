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
using ::testing::SizeIs;
using ::testing::StartsWith;
using Fake = cairn::testing::FakeTokenizer;

std::vector<Chunk> StructureChunks(const Document& document, size_t max_tokens,
                                   const Tokenizer& tokenizer = Fake::Words()) {
  const ChunkerOptions options{max_tokens, 0};
  std::vector<Chunk> chunks = Split("structure", options, tokenizer, document);
  ExpectSound(document, chunks, options, tokenizer);
  return chunks;
}

std::vector<std::string> StructureTexts(const Document& document, size_t max_tokens,
                                        const Tokenizer& tokenizer = Fake::Words()) {
  return Texts(document, StructureChunks(document, max_tokens, tokenizer));
}

TEST(StructureChunker, GivesNothingForTextWithoutContent) {
  EXPECT_THAT(StructureTexts(PlainText(""), 8), IsEmpty());
  EXPECT_THAT(StructureTexts(PlainText("\n \n"), 8), IsEmpty());
}

TEST(StructureChunker, KeepsADocumentThatFitsWhole) {
  const Document document = DocumentBuilder()
                                .Heading(1, "# A")
                                .Paragraph("b c")
                                .Heading(2, "## D")
                                .Paragraph("e")
                                .Build();
  EXPECT_THAT(StructureTexts(document, 8), ElementsAre("# A\n\nb c\n\n## D\n\ne"));
}

TEST(StructureChunker, FindsParagraphsByBlankLinesWithoutBlocks) {
  EXPECT_THAT(StructureTexts(PlainText("a b c\nd e f\n \t\n\ng h i j k\nl m\n"), 8),
              ElementsAre("a b c\nd e f", "g h i j k\nl m"));
}

TEST(StructureChunker, PacksSmallParagraphsEvenly) {
  const Document document = PlainText("a1 a2\n\nb1 b2\n\nc1 c2\n\nd1 d2\n\ne1 e2\n\nf1 f2");
  EXPECT_THAT(StructureTexts(document, 10),
              ElementsAre("a1 a2\n\nb1 b2\n\nc1 c2", "d1 d2\n\ne1 e2\n\nf1 f2"));
}

TEST(StructureChunker, NeverCutsAParagraphThatFits) {
  const Document document = PlainText(NumberedWords(6, "a") + "\n\n" + NumberedWords(6, "b") +
                                      "\n\n" + NumberedWords(6, "c"));
  EXPECT_THAT(StructureTexts(document, 8),
              ElementsAre(NumberedWords(6, "a"), NumberedWords(6, "b"), NumberedWords(6, "c")));
}

TEST(StructureChunker, CutsALongParagraphBetweenSentences) {
  const Document document = PlainText("One two three. Four five six. Seven eight nine.");
  EXPECT_THAT(StructureTexts(document, 8),
              ElementsAre("One two three. Four five six.", "Seven eight nine."));
}

TEST(StructureChunker, KeepsAHeadingWithTheTextThatFollows) {
  const Document document = DocumentBuilder()
                                .Heading(1, "Top")
                                .Heading(2, "Sub")
                                .Paragraph(NumberedWords(6, "a"))
                                .Paragraph(NumberedWords(6, "b"))
                                .Build();
  EXPECT_THAT(StructureTexts(document, 8),
              ElementsAre("Top\n\nSub\n\n" + NumberedWords(6, "a"), NumberedWords(6, "b")));
}

TEST(StructureChunker, KeepsAHeadingWithASentenceThatJustFillsAChunk) {
  const Document document = DocumentBuilder().Heading(1, "Top").Paragraph(NumberedWords(8)).Build();
  EXPECT_THAT(StructureTexts(document, 8), ElementsAre("Top\n\nw1 w2 w3 w4", "w5 w6 w7 w8"));
}

TEST(StructureChunker, MergesShortSectionsOfOneParent) {
  DocumentBuilder builder;
  builder.Heading(1, "Top").Paragraph(NumberedWords(6));
  for (const char* name : {"A", "B", "C"}) builder.Heading(2, name).Paragraph("x y");
  const Document& document = builder.Build();
  const std::vector<Chunk> chunks = StructureChunks(document, 8);
  EXPECT_THAT(Texts(document, chunks),
              ElementsAre("Top\n\n" + NumberedWords(6), "A\n\nx y\n\nB\n\nx y", "C\n\nx y"));
  EXPECT_THAT(chunks[0].headings, ElementsAre("Top"));
  EXPECT_THAT(chunks[1].headings, ElementsAre("Top", "A"));
  EXPECT_THAT(chunks[2].headings, ElementsAre("Top", "C"));
}

TEST(StructureChunker, LetsTheTextOfASectionTakeInItsFirstSubsection) {
  const Document document = DocumentBuilder()
                                .Heading(1, "Top")
                                .Paragraph("a b")
                                .Heading(2, "S")
                                .Paragraph("c d")
                                .Heading(2, "T")
                                .Paragraph(NumberedWords(6))
                                .Build();
  EXPECT_THAT(StructureTexts(document, 8), ElementsAre("Top\n\na b\n\nS\n\nc d", StartsWith("T")));
}

TEST(StructureChunker, NeverMergesTheRestOfALongSectionWithTheNextOne) {
  const Document document = DocumentBuilder()
                                .Heading(1, "A")
                                .Paragraph(NumberedWords(6))
                                .Paragraph("rest of it")
                                .Heading(1, "B")
                                .Paragraph("b c")
                                .Build();
  EXPECT_THAT(StructureTexts(document, 8),
              ElementsAre("A\n\n" + NumberedWords(6), "rest of it", "B\n\nb c"));
}

TEST(StructureChunker, NeverMergesAcrossAHigherHeading) {
  const Document document = DocumentBuilder()
                                .Heading(1, "A")
                                .Heading(2, "A1")
                                .Paragraph(NumberedWords(6))
                                .Heading(2, "A2")
                                .Paragraph("x")
                                .Heading(1, "B")
                                .Paragraph("y")
                                .Build();
  EXPECT_THAT(StructureTexts(document, 8),
              ElementsAre("A\n\nA1\n\n" + NumberedWords(6), "A2\n\nx", "B\n\ny"));
}

TEST(StructureChunker, CutsTablesBetweenRows) {
  const Document document =
      DocumentBuilder()
          .Add(BlockKind::kTable, 0, "| a | b |\n| c | d |\n| e | f |\n| g | h |")
          .Build();
  EXPECT_THAT(StructureTexts(document, 10),
              ElementsAre("| a | b |\n| c | d |", "| e | f |\n| g | h |"));
}

TEST(StructureChunker, CutsCodeBetweenLines) {
  const Document document =
      DocumentBuilder()
          .Add(BlockKind::kCode, 0, "int a = 1. + 2;\nreturn a * 2.;\n\nint b = a;")
          .Build();
  EXPECT_THAT(StructureTexts(document, 10),
              ElementsAre("int a = 1. + 2;\nreturn a * 2.;", "int b = a;"));
}

TEST(StructureChunker, CutsALineOverTheLimitBetweenWords) {
  const Document document = DocumentBuilder().Add(BlockKind::kCode, 0, NumberedWords(12)).Build();
  EXPECT_THAT(StructureTexts(document, 8),
              ElementsAre("w1 w2 w3 w4 w5 w6", "w7 w8 w9 w10 w11 w12"));
}

TEST(StructureChunker, KeepsAListWithTheParagraphBeforeIt) {
  const Document document = DocumentBuilder()
                                .Paragraph(NumberedWords(5))
                                .Paragraph("the list:")
                                .Item(1, "- a b")
                                .Item(1, "- c d")
                                .Build();
  EXPECT_THAT(StructureTexts(document, 8),
              ElementsAre(NumberedWords(5), "the list:\n\n- a b\n- c d"));
}

TEST(StructureChunker, KeepsTheFirstItemWithItsLeadInWhenTheListIsLong) {
  DocumentBuilder builder;
  builder.Paragraph(NumberedWords(4)).Paragraph("these two:");
  for (int i = 0; i < 4; ++i) builder.Item(1, "- a b c");
  EXPECT_THAT(
      StructureTexts(builder.Build(), 8),
      ElementsAre(NumberedWords(4), "these two:\n\n- a b c", "- a b c\n- a b c", "- a b c"));
}

TEST(StructureChunker, KeepsAnItemWithTheItemsBelowIt) {
  const Document document = DocumentBuilder()
                                .Item(1, "- one two three")
                                .Item(1, "- four")
                                .Item(2, "  - five")
                                .Item(2, "  - six")
                                .Item(1, "- seven eight")
                                .Build();
  EXPECT_THAT(StructureTexts(document, 8),
              ElementsAre("- one two three", "- four\n  - five\n  - six", "- seven eight"));
}

TEST(StructureChunker, LeavesNothingOutThatIsInNoBlock) {
  const Document document = DocumentBuilder()
                                .Raw("preface\n\n## ")
                                .Heading(2, "Title")
                                .Raw("* * *\n\n```cpp\n")
                                .Add(BlockKind::kCode, 0, "int main;", "\n```\n\n")
                                .Raw("afterword")
                                .Build();
  EXPECT_THAT(StructureTexts(document, 64), SizeIs(1));
  EXPECT_THAT(StructureTexts(document, 8),
              ElementsAre("preface", "## Title\n\n* * *", "```cpp\nint main;\n```\n\nafterword"));
}

TEST(StructureChunker, CleansHeadings) {
  const auto heading_of = [](std::string_view text) {
    const Document document = DocumentBuilder().Heading(1, text).Paragraph("x").Build();
    const std::vector<Chunk> chunks = StructureChunks(document, 4096, Fake::CodePoints());
    return chunks.size() == 1 && chunks[0].headings.size() == 1 ? chunks[0].headings[0] : "?";
  };
  EXPECT_EQ(heading_of("## Two  words\u00a0\u3000here ##"), "Two words here");
  EXPECT_EQ(heading_of("# About C#"), "About C#");
  EXPECT_EQ(heading_of("#hashtag"), "#hashtag");
  EXPECT_EQ(heading_of("Underlined\n=========="), "Underlined");
  EXPECT_EQ(heading_of("Also\nunderlined\n---"), "Also underlined");
  EXPECT_EQ(heading_of(Repeat("\u20ac", 100)), Repeat("\u20ac", 66));
  EXPECT_EQ(heading_of("a" + Repeat("\u20ac", 100)), "a" + Repeat("\u20ac", 66));
  EXPECT_EQ(heading_of(Repeat("x ", 150)), Repeat("x ", 99) + "x");
}

TEST(StructureChunker, KeepsPathsThroughSkippedAndExcessiveLevels) {
  const Document document = DocumentBuilder()
                                .Heading(-5, "A")
                                .Paragraph(NumberedWords(7))
                                .Heading(4, "B")
                                .Paragraph(NumberedWords(7))
                                .Heading(1000000, "C")
                                .Paragraph(NumberedWords(7))
                                .Heading(3, "D")
                                .Paragraph(NumberedWords(7))
                                .Build();
  const std::vector<Chunk> chunks = StructureChunks(document, 8);
  ASSERT_THAT(chunks, SizeIs(4));
  EXPECT_THAT(chunks[0].headings, ElementsAre("A"));
  EXPECT_THAT(chunks[1].headings, ElementsAre("A", "B"));
  EXPECT_THAT(chunks[2].headings, ElementsAre("A", "B", "C"));
  EXPECT_THAT(chunks[3].headings, ElementsAre("A", "D"));
}

TEST(StructureChunker, NamesTheHeadingInsideASectionToo) {
  const Document document =
      DocumentBuilder().Heading(1, "A").Heading(2, "B").Paragraph(NumberedWords(30)).Build();
  for (const Chunk& chunk : StructureChunks(document, 8)) {
    std::vector<std::string> expected = {"A"};
    if (chunk.span.begin > 0) expected.push_back("B");
    EXPECT_EQ(chunk.headings, expected);
  }
}

TEST(StructureChunker, CutsAHeadingOverTheLimit) {
  const Document document =
      DocumentBuilder().Heading(1, NumberedWords(20)).Paragraph("text").Build();
  EXPECT_THAT(StructureTexts(document, 8), SizeIs(3));
}

}  // namespace
}  // namespace cairn::chunking
