// Sizes and shapes that would show quadratic time, deep recursion or unbounded memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "tests/chunking/chunkers/chunk_checks.h"
#include "tests/support/fake_tokenizer.h"

namespace cairn::chunking {
namespace {

using cairn::testing::kChunkers;
using cairn::testing::PlainText;
using cairn::testing::Repeat;
using cairn::testing::Split;
using ::testing::SizeIs;
using Fake = cairn::testing::FakeTokenizer;

constexpr size_t kMebibyte = size_t{1} << 20;

// Chunks lie side by side and keep the limit: what can be checked fast.
void ExpectTiling(const Document& document, const std::vector<Chunk>& chunks, size_t limit) {
  ASSERT_FALSE(chunks.empty());
  size_t done = 0;
  for (const Chunk& chunk : chunks) {
    ASSERT_GE(chunk.span.begin, done);
    ASSERT_LE(chunk.span.begin - done, 2U);
    ASSERT_LE(chunk.token_count, limit);
    done = chunk.span.end;
  }
  ASSERT_GE(done + 2, document.text.size());
}

TEST(HostileText, OneUnknownWordOf64MebibytesIsOneChunk) {
  const Document document = PlainText(std::string(64 * kMebibyte, 'x'));
  for (const std::string_view chunker : kChunkers) {
    EXPECT_THAT(Split(chunker, {512, 0}, Fake(4, 3, 100), document), SizeIs(1)) << chunker;
  }
}

TEST(HostileText, OneWordOfManyTokensIsCutInLinearTime) {
  const Document document = PlainText(std::string(8 * kMebibyte, 'x'));
  for (const std::string_view chunker : kChunkers) {
    ExpectTiling(document, Split(chunker, {512, 0}, Fake::CodePoints(), document), 512);
    ExpectTiling(document, Split(chunker, {8, 0}, Fake(1, 5, Fake::kUnlimited), document), 8);
  }
}

TEST(HostileText, TenMillionParagraphs) {
  const Document document = PlainText(Repeat("a\n\n", 10'000'000));
  const Fake tokenizer = Fake::Words();
  EXPECT_THAT(Split("structure", {512, 0}, tokenizer, document), SizeIs(19532));
  EXPECT_THAT(Split("structure", {8, 0}, tokenizer, document), SizeIs(1'250'000));
}

TEST(HostileText, AMillionHeadings) {
  Document document;
  for (size_t i = 0; i < 1'000'000; ++i) {
    const size_t begin = document.text.size();
    document.text += "# x\n";
    document.blocks.push_back({BlockKind::kHeading, static_cast<int>(i % 9), {begin, begin + 3}});
  }
  for (const std::string_view chunker : kChunkers) {
    ExpectTiling(document, Split(chunker, {512, 0}, Fake::Words(), document), 512);
  }
}

TEST(HostileText, AMillionHeadingsEachDeeperThanTheLast) {
  Document document;
  for (int i = 0; i < 1'000'000; ++i) {
    const size_t begin = document.text.size();
    document.text += "x\n";
    document.blocks.push_back({BlockKind::kHeading, i, {begin, begin + 1}});
  }
  ExpectTiling(document, Split("structure", {8, 0}, Fake::Words(), document), 8);
}

TEST(HostileText, AMillionNestedListItems) {
  Document document;
  for (int i = 0; i < 1'000'000; ++i) {
    const size_t begin = document.text.size();
    document.text += "x\n";
    document.blocks.push_back({BlockKind::kListItem, i, {begin, begin + 1}});
  }
  ExpectTiling(document, Split("structure", {512, 0}, Fake::Words(), document), 512);
}

TEST(HostileText, AMillionFlags) {
  const Document document = PlainText(Repeat("\U0001F1E9\U0001F1EA", 1'000'000));
  for (const std::string_view chunker : kChunkers) {
    const std::vector<Chunk> chunks = Split(chunker, {63, 0}, Fake::CodePoints(), document);
    ExpectTiling(document, chunks, 63);
    for (const Chunk& chunk : chunks) ASSERT_EQ(chunk.span.begin % 8, 0U);
  }
}

TEST(HostileText, AMillionCombiningMarksAreOneChunk) {
  const Document document = PlainText("a " + Repeat("\u0301", 1'000'000) + " b");
  for (const std::string_view chunker : kChunkers) {
    const std::vector<Chunk> chunks = Split(chunker, {8, 0}, Fake::CodePoints(), document);
    ASSERT_THAT(chunks, SizeIs(3)) << chunker;
    EXPECT_GE(chunks[1].token_count, 1'000'000U);
  }
}

TEST(HostileText, AHeadingOfMebibytesIsNotCopiedIntoEveryChunk) {
  Document document = PlainText(Repeat("word ", 2 * kMebibyte));
  document.blocks = {{BlockKind::kHeading, 1, {0, document.text.size()}}};
  for (const std::string_view chunker : kChunkers) {
    const std::vector<Chunk> chunks = Split(chunker, {8, 0}, Fake::Words(), document);
    ExpectTiling(document, chunks, 8);
    ASSERT_THAT(chunks.back().headings, SizeIs(1));
    EXPECT_LE(chunks.back().headings[0].size(), 200U);
  }
}

TEST(HostileText, AMillionBlocksOnOneLine) {
  Document document = PlainText(Repeat("ab ", 1'000'000));
  for (size_t i = 0; i < 1'000'000; ++i) {
    document.blocks.push_back(
        {i % 2 == 0 ? BlockKind::kHeading : BlockKind::kParagraph, 1, {3 * i + 1, 3 * i + 2}});
  }
  for (const std::string_view chunker : kChunkers) {
    ExpectTiling(document, Split(chunker, {512, 0}, Fake::Words(), document), 512);
  }
}

TEST(HostileText, InvalidUtf8IsCutWithoutHarm) {
  std::string text;
  for (int i = 0; i < 3000; ++i) text.push_back(static_cast<char>(i * 37 % 256));
  const Document document = PlainText(text);
  for (const std::string_view chunker : kChunkers) {
    for (const Chunk& chunk : Split(chunker, {8, 0}, Fake::CodePoints(), document)) {
      ASSERT_LE(chunk.span.end, text.size());
      ASSERT_LT(chunk.span.begin, chunk.span.end);
    }
  }
}

}  // namespace
}  // namespace cairn::chunking
