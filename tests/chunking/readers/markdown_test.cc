// Reading Markdown through chunking/readers/reader.h.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/document_recorder.h"

namespace cairn::chunking {
namespace {

using ::cairn::testing::BlockTexts;
using ::cairn::testing::BrokenPromise;
using ::cairn::testing::ReadOne;
using ::cairn::testing::Repeat;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> MarkdownBlocks(const std::string& markdown) {
  return BlockTexts(ReadOne("a.md", markdown));
}

TEST(Markdown, TheTextIsTheSource) {
  const std::string source = "# *A*\n\n- b\n\n<!-- c -->\n";
  EXPECT_EQ(ReadOne("a.md", source).text, source);
}

TEST(Markdown, FindsAtxHeadings) {
  EXPECT_THAT(MarkdownBlocks("# One\ntext\n### Three ###\n####### no\n#no\n\n#\n"),
              ElementsAre("H1 # One", "P text", "H3 ### Three ###", "P ####### no\n#no", "H1 #"));
}

TEST(Markdown, FindsSetextHeadings) {
  EXPECT_THAT(MarkdownBlocks("One\n===\n\nTwo\nlines\n---\ntext\n"),
              ElementsAre("H1 One\n===", "H2 Two\nlines\n---", "P text"));
  EXPECT_THAT(MarkdownBlocks("- item\n---\n\n***\n===\n"), ElementsAre("L1 - item", "P ==="));
}

TEST(Markdown, FindsFencedCodeVerbatim) {
  EXPECT_THAT(MarkdownBlocks("a\n```c++\n# no heading\n\n  x\n~~~\n````\nb"),
              ElementsAre("P a", "C ```c++\n# no heading\n\n  x\n~~~\n````", "P b"));
  EXPECT_THAT(MarkdownBlocks("~~~\nopen to the end\n\n# x\n"),
              ElementsAre("C ~~~\nopen to the end\n\n# x"));
  EXPECT_THAT(MarkdownBlocks("``` a ` b\n"), ElementsAre("P ``` a ` b"));
}

TEST(Markdown, FindsIndentedCode) {
  EXPECT_THAT(MarkdownBlocks("a\n    lazy\n\n    code\n\n\tmore\nb"),
              ElementsAre("P a\n    lazy", "C code\n\n\tmore", "P b"));
}

TEST(Markdown, FindsNestedListItems) {
  EXPECT_THAT(
      MarkdownBlocks("- a\n  lazy\n  - b\n    1. c\n- d\n\n  more of d\n\nend\n"),
      ElementsAre("L1 - a\n  lazy", "L2 - b", "L3 1. c", "L1 - d", "L1 more of d", "P end"));
  EXPECT_THAT(MarkdownBlocks("1) a\n2) b\n* * x\n"), ElementsAre("L1 1) a", "L1 2) b", "L2 * * x"));
  EXPECT_THAT(MarkdownBlocks("text\n1999. no list\n-\n"), ElementsAre("H2 text\n1999. no list\n-"));
  EXPECT_THAT(MarkdownBlocks("- a\n\n  ```\n  code\n  ```\n"),
              ElementsAre("L1 - a", "C ```\n  code\n  ```"));
}

TEST(Markdown, FindsQuotes) {
  EXPECT_THAT(MarkdownBlocks("> a\n> b\nlazy\n>\n> c\n\nd"),
              ElementsAre("Q > a\n> b\nlazy", "Q > c", "P d"));
}

TEST(Markdown, FindsTables) {
  EXPECT_THAT(MarkdownBlocks("intro\n| a | b |\n|---|:-:|\n| 1 | 2 |\n3 | 4\n\nend\n"),
              ElementsAre("P intro", "T | a | b |\n|---|:-:|\n| 1 | 2 |\n3 | 4", "P end"));
  EXPECT_THAT(MarkdownBlocks("| a | b |\n|---|\n"), ElementsAre("P | a | b |\n|---|"));
}

TEST(Markdown, LeavesCommentsAndBreaksOutOfBlocks) {
  EXPECT_THAT(MarkdownBlocks("a\n<!-- x\n\n# y\n-->\nb\n\n***\n- - -\nc"),
              ElementsAre("P a", "P b", "P c"));
  EXPECT_THAT(MarkdownBlocks("<!-- open\n\nb\n"), ElementsAre("P <!-- open", "P b"));
}

TEST(Markdown, FrontMatterBecomesMetadata) {
  const Document document = ReadOne("a.md",
                                    "---\n"
                                    "title: \"A: \\\"title\\\"\"\n"
                                    "author: O'Neill # a comment\n"
                                    "count: 3\nscore: 1.5\ndraft: false\nempty: ~\n"
                                    "date: 2024-01-02\n"
                                    "tags: [a, 'b, c', \"d\"]\n"
                                    "list:\n  - x\n  - y: z\n"
                                    "nested:\n  inner: 1\n"
                                    "---\n# Heading\n");
  const Metadata expected = {
      {"author", std::string("O'Neill")},
      {"count", int64_t{3}},
      {"score", 1.5},
      {"draft", false},
      {"date", std::string("2024-01-02")},
      {"tags", std::vector<std::string>{"a", "b, c", "d"}},
      {"list", std::vector<std::string>{"x", "y: z"}},
  };
  EXPECT_EQ(document.metadata, expected);
  EXPECT_EQ(document.title, "A: \"title\"");
  EXPECT_THAT(BlockTexts(document), ElementsAre("H1 # Heading"));
}

TEST(Markdown, ThematicBreaksAreNoFrontMatter) {
  const Document document = ReadOne("a.md", "---\ntext\n\n---\nmore\n");
  EXPECT_THAT(document.metadata, IsEmpty());
  EXPECT_THAT(BlockTexts(document), ElementsAre("P text", "P more"));
  EXPECT_THAT(ReadOne("a.md", "---\nkey: never closed\n").metadata, IsEmpty());
}

TEST(Markdown, TheTitleIsTheFirstTopHeadingElseTheStem) {
  EXPECT_EQ(ReadOne("a.md", "## No\n\n# The **real** `one` [here](http://x) \\* ##\n\n# Two").title,
            "The real one here *");
  EXPECT_EQ(ReadOne("a.md", "Two\nlines\n===\n").title, "Two lines");
  EXPECT_EQ(ReadOne("dir/readme.md", "text").title, "readme");
  EXPECT_EQ(ReadOne("a.md", "# " + std::string(100000, 'x')).title.size(), 4096u);
}

// Each takes seconds when linear, hours when quadratic.
TEST(Markdown, HostileNestingTakesLinearTime) {
  const std::string inputs[] = {
      std::string(100000, '>') + "x\n" + Repeat("y\n", 100000),
      Repeat("- ", 1000000) + "x\n" + Repeat("y\n\n", 100000),
      std::string(1000000, '\n') + "x" + std::string(1000000, '\n'),
      std::string(20000000, '#'),
      std::string(20000000, '|') + "\n" + std::string(20000000, '|'),
      Repeat("# [x](", 1000000),
      Repeat("<!--\n\n", 500000),
      Repeat("|a|\n|-|\n", 500000),
      Repeat("a\n-\n", 500000),
  };
  for (const std::string& input : inputs) {
    EXPECT_EQ(BrokenPromise(ReadOne("a.md", input)), "") << input.substr(0, 20);
  }
}

}  // namespace
}  // namespace cairn::chunking
