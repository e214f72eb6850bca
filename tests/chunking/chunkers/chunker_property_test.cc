#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tests/chunking/chunkers/chunk_checks.h"
#include "tests/support/fake_tokenizer.h"
#include "tests/support/shared_data.h"

namespace cairn::chunking {
namespace {

using cairn::testing::DocumentBuilder;
using cairn::testing::ExpectSound;
using cairn::testing::kChunkers;
using cairn::testing::PlainText;
using cairn::testing::Split;
using Fake = cairn::testing::FakeTokenizer;

// Text of every kind that makes cutting hard.
constexpr std::string_view kFragments[] = {
    "a",
    "word",
    "Sentence.",
    "Why?",
    " ",
    " ",
    " ",
    " ",
    "\n",
    "\n\n",
    " \n\t\n",
    "e.g.",
    "(x)",
    "https://example.org/a-b?c=d",
    "supercalifragilisticexpialidocious",
    "\u00e9",
    "e\u0301\u0323",
    " \u0308",
    "\u00a0",
    "\u3000",
    "\u2028",
    "\u0085",
    "\f",
    "\v",
    "\u200b",
    "\u200d",
    "\u0600",
    "\U0001F468\u200D\U0001F469\u200D\U0001F467",
    "\U0001F1E9\U0001F1EA",
    "\U0001F1E9",
    "\u1100",
    "\u1161",
    "\u11A8",
    "\uAC00",
    "\u0915\u094D",
    "\u0937\u093F",
    "\u6211\u4eec\u559c\u6b22\u3002",
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01",
    "#",
    "- ",
    "| a |",
    "```"};

using Random = std::mt19937;

size_t Below(Random& random, size_t bound) { return random() % bound; }

std::string RandomText(Random& random, size_t fragments) {
  // A few kinds of fragment per text, so that runs of one kind come about.
  std::vector<std::string_view> kinds;
  for (size_t i = 0; i < 1 + Below(random, 12); ++i) {
    kinds.push_back(kFragments[Below(random, std::size(kFragments))]);
  }
  std::string text;
  for (size_t i = 0; i < fragments; ++i) text += kinds[Below(random, kinds.size())];
  return text;
}

// Blocks as a reader delivers them: each begins a line.
Document RandomDocument(Random& random) {
  DocumentBuilder builder;
  constexpr std::string_view kSeparators[] = {"\n", "\n\n", "\n\n\n", "\n\n* * *\n\n", "\n```\n"};
  for (size_t i = 0; i < Below(random, 30); ++i) {
    const auto kind = static_cast<BlockKind>(Below(random, 6));
    const bool heading = kind == BlockKind::kHeading;
    const std::string text = heading ? "# H" + std::to_string(Below(random, 1000))
                                     : RandomText(random, Below(random, 60));
    builder.Add(kind, static_cast<int>(1 + Below(random, 4)), text,
                kSeparators[Below(random, std::size(kSeparators))]);
  }
  return builder.Build();
}

// Blocks as no reader should deliver them.
Document WildDocument(Random& random) {
  Document document = PlainText(RandomText(random, Below(random, 300)));
  for (size_t i = 0; i < Below(random, 20); ++i) {
    const size_t begin = Below(random, document.text.size() + 10);
    document.blocks.push_back({static_cast<BlockKind>(Below(random, 6)),
                               static_cast<int>(Below(random, 20)) - 5,
                               {begin, begin + Below(random, 50) - Below(random, 5)}});
  }
  return document;
}

std::vector<std::string> ExpectedHeadings(const Document& document, size_t position) {
  std::vector<std::pair<int, std::string>> path;
  for (const Block& block : document.blocks) {
    if (block.kind != BlockKind::kHeading || block.span.begin > position) continue;
    while (!path.empty() && path.back().first >= block.level) path.pop_back();
    path.emplace_back(block.level,
                      document.text.substr(block.span.begin + 2, block.span.size() - 2));
  }
  std::vector<std::string> headings;
  for (const auto& [level, text] : path) headings.push_back(text);
  return headings;
}

std::vector<Fake> Tokenizers() {
  return {Fake::Words(), Fake::CodePoints(), Fake(4, 3, 100), Fake(1, 6, 20), Fake(7, 1, 1000)};
}

ChunkerOptions RandomOptions(Random& random, std::string_view chunker) {
  constexpr size_t kLimits[] = {8, 8, 9, 13, 32, 100, 512};
  ChunkerOptions options;
  options.max_tokens = kLimits[Below(random, std::size(kLimits))];
  if (chunker == "fixed" && Below(random, 2) == 0) {
    options.overlap_tokens = Below(random, options.max_tokens);
  }
  return options;
}

TEST(Chunkers, AreSoundOnRandomDocuments) {
  Random random(20240917);
  const std::vector<Fake> tokenizers = Tokenizers();
  for (int round = 0; round < 600; ++round) {
    const Document document = RandomDocument(random);
    for (const std::string_view chunker : kChunkers) {
      const Fake& tokenizer = tokenizers[Below(random, tokenizers.size())];
      const ChunkerOptions options = RandomOptions(random, chunker);
      SCOPED_TRACE(::testing::Message() << chunker << " round " << round << " limit "
                                        << options.max_tokens << "/" << options.overlap_tokens);
      const std::vector<Chunk> chunks = Split(chunker, options, tokenizer, document);
      ExpectSound(document, chunks, options, tokenizer);
      for (const Chunk& chunk : chunks) {
        ASSERT_EQ(chunk.headings, ExpectedHeadings(document, chunk.span.begin));
      }
      if (HasFatalFailure()) return;
    }
  }
}

TEST(Chunkers, AreSoundOnRandomTextWithoutBlocks) {
  Random random(7);
  const std::vector<Fake> tokenizers = Tokenizers();
  for (int round = 0; round < 600; ++round) {
    const Document document = PlainText(RandomText(random, Below(random, 500)));
    for (const std::string_view chunker : kChunkers) {
      const Fake& tokenizer = tokenizers[Below(random, tokenizers.size())];
      const ChunkerOptions options = RandomOptions(random, chunker);
      SCOPED_TRACE(::testing::Message() << chunker << " round " << round << " limit "
                                        << options.max_tokens << "/" << options.overlap_tokens);
      ExpectSound(document, Split(chunker, options, tokenizer, document), options, tokenizer);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(Chunkers, AreSoundOnBlocksThatCannotBe) {
  Random random(99);
  const std::vector<Fake> tokenizers = Tokenizers();
  for (int round = 0; round < 600; ++round) {
    const Document document = WildDocument(random);
    for (const std::string_view chunker : kChunkers) {
      const Fake& tokenizer = tokenizers[Below(random, tokenizers.size())];
      const ChunkerOptions options = RandomOptions(random, chunker);
      SCOPED_TRACE(::testing::Message() << chunker << " round " << round << " limit "
                                        << options.max_tokens << "/" << options.overlap_tokens);
      ExpectSound(document, Split(chunker, options, tokenizer, document), options, tokenizer);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(Chunkers, NeverCutAWordThatFits) {
  Random random(5);
  const Fake tokenizer = Fake::CodePoints();
  for (int round = 0; round < 100; ++round) {
    std::string text;
    for (int i = 0; i < 200; ++i) text += std::string(1 + Below(random, 10), 'x') + " ";
    const Document document = PlainText(text);
    for (const std::string_view chunker : kChunkers) {
      const ChunkerOptions options{10 + Below(random, 20), 0};
      for (const Chunk& chunk : Split(chunker, options, tokenizer, document)) {
        ASSERT_TRUE(chunk.span.begin == 0 || text[chunk.span.begin - 1] == ' ');
        ASSERT_EQ(text[chunk.span.end], ' ');
      }
    }
  }
}

TEST(Chunkers, RepeatNoMoreThanTheOverlap) {
  Random random(6);
  const Fake tokenizer(3, 2, Fake::kUnlimited);
  for (int round = 0; round < 200; ++round) {
    const Document document = PlainText(RandomText(random, 300));
    const ChunkerOptions options{16, Below(random, 16)};
    const std::vector<Chunk> chunks = Split("fixed", options, tokenizer, document);
    std::vector<Token> tokens;
    tokenizer.Encode(document.text, &tokens);
    for (size_t i = 1; i < chunks.size(); ++i) {
      size_t repeated = 0;
      for (const Token& token : tokens) {
        if (token.begin >= chunks[i].span.begin && token.begin < chunks[i - 1].span.end) ++repeated;
      }
      ASSERT_LE(repeated, options.overlap_tokens);
    }
  }
}

// Markdown headings and paragraphs, roughly: enough for realistic blocks.
Document ReadMarkdown(const std::string& text) {
  Document document = PlainText(text);
  for (size_t line = 0; line < text.size();) {
    const size_t end = std::min(text.find('\n', line), text.size());
    const size_t marks = text.find_first_not_of('#', line) - line;
    if (marks >= 1 && marks <= 6 && text[line + marks] == ' ') {
      document.blocks.push_back({BlockKind::kHeading, static_cast<int>(marks), {line, end}});
    } else if (end > line) {
      document.blocks.push_back({BlockKind::kParagraph, 0, {line, end}});
    }
    line = end + 1;
  }
  return document;
}

TEST(Chunkers, AreSoundOnTheChunkingCorpora) {
  CAIRN_NEED_SHARED("data/chunking/finance.md");
  const Fake tokenizer(5, 3, 100);
  for (const char* name : {"finance.md", "state_of_the_union.md", "wikitexts.md"}) {
    std::string text =
        cairn::testing::ReadFileOrDie(cairn::testing::SharedDir() + "/data/chunking/" + name);
    std::replace(text.begin(), text.end(), '\r', '\n');
    const Document document = ReadMarkdown(text);
    for (const std::string_view chunker : kChunkers) {
      for (const size_t limit : {8, 64, 512}) {
        SCOPED_TRACE(::testing::Message() << name << " " << chunker << " " << limit);
        const ChunkerOptions options{limit, chunker == "fixed" ? limit / 8 : 0};
        const std::vector<Chunk> chunks = Split(chunker, options, tokenizer, document);
        EXPECT_GT(chunks.size(), 10U);
        ExpectSound(document, chunks, options, tokenizer);
      }
    }
  }
}

}  // namespace
}  // namespace cairn::chunking
