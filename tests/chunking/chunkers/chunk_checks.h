// What must hold for every chunker's output, and short forms for tests.
#ifndef CAIRN_TESTS_CHUNKING_CHUNKERS_CHUNK_CHECKS_H_
#define CAIRN_TESTS_CHUNKING_CHUNKERS_CHUNK_CHECKS_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unicode/brkiter.h>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chunking/chunkers/chunker.h"

namespace cairn::testing {

inline constexpr std::string_view kChunkers[] = {"fixed", "sentence", "structure"};

inline std::vector<chunking::Chunk> Split(std::string_view chunker,
                                          const chunking::ChunkerOptions& options,
                                          const chunking::Tokenizer& tokenizer,
                                          const chunking::Document& document) {
  auto made = chunking::MakeChunker(chunker, options, &tokenizer);
  if (!made.ok()) {
    ADD_FAILURE() << made.status();
    return {};
  }
  return (*made)->Split(document);
}

inline std::vector<std::string> Texts(const chunking::Document& document,
                                      const std::vector<chunking::Chunk>& chunks) {
  std::vector<std::string> texts;
  for (const chunking::Chunk& chunk : chunks) {
    texts.push_back(document.text.substr(chunk.span.begin, chunk.span.size()));
  }
  return texts;
}

// Marks of the grapheme boundaries of `text`, from ICU over the whole text; text.size() + 1 long.
inline std::vector<bool> GraphemeMarks(std::string_view text) {
  std::vector<bool> marks(text.size() + 1);
  UErrorCode error = U_ZERO_ERROR;
  UText view = UTEXT_INITIALIZER;
  utext_openUTF8(&view, text.data(), static_cast<int64_t>(text.size()), &error);
  const std::unique_ptr<icu::BreakIterator> breaks(
      icu::BreakIterator::createCharacterInstance(icu::Locale::getRoot(), error));
  EXPECT_TRUE(U_SUCCESS(error));
  breaks->setText(&view, error);
  for (int32_t i = breaks->first(); i != icu::BreakIterator::DONE; i = breaks->next()) {
    marks[static_cast<size_t>(i)] = true;
  }
  utext_close(&view);
  return marks;
}

// Marks of the bytes of `text` that are white space.
inline std::vector<bool> SpaceMarks(std::string_view text) {
  std::vector<bool> marks(text.size());
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  for (int32_t i = 0; i < static_cast<int32_t>(text.size());) {
    const int32_t begin = i;
    UChar32 code_point = 0;
    U8_NEXT(bytes, i, static_cast<int32_t>(text.size()), code_point);
    if (u_isUWhiteSpace(code_point)) std::fill(marks.begin() + begin, marks.begin() + i, true);
  }
  return marks;
}

// The promises of chunker.h, except the headings.
inline void ExpectSound(const chunking::Document& document,
                        const std::vector<chunking::Chunk>& chunks,
                        const chunking::ChunkerOptions& options,
                        const chunking::Tokenizer& tokenizer) {
  const std::string_view text = document.text;
  const std::vector<bool> graphemes = GraphemeMarks(text);
  const std::vector<bool> space = SpaceMarks(text);
  const auto all_space = [&](size_t begin, size_t end) {
    return std::find(space.begin() + static_cast<std::ptrdiff_t>(begin),
                     space.begin() + static_cast<std::ptrdiff_t>(end),
                     false) == space.begin() + static_cast<std::ptrdiff_t>(end);
  };
  size_t covered = 0;
  size_t last_begin = 0;
  for (size_t i = 0; i < chunks.size(); ++i) {
    const auto [begin, end] = chunks[i].span;
    SCOPED_TRACE(::testing::Message() << "chunk " << i << " [" << begin << ", " << end << ")");
    ASSERT_LT(begin, end);
    ASSERT_LE(end, text.size());
    ASSERT_TRUE(i == 0 || begin > last_begin);
    ASSERT_TRUE(i == 0 || end > covered);
    ASSERT_TRUE(options.overlap_tokens > 0 || begin >= covered);
    ASSERT_TRUE(begin <= covered || all_space(covered, begin)) << "text lost before the chunk";

    ASSERT_TRUE(graphemes[begin]);
    ASSERT_TRUE(graphemes[end]);
    size_t first_cluster_end = begin + 1;
    while (!graphemes[first_cluster_end]) ++first_cluster_end;
    size_t last_cluster_begin = end - 1;
    while (!graphemes[last_cluster_begin]) --last_cluster_begin;
    ASSERT_FALSE(all_space(begin, first_cluster_end));
    ASSERT_FALSE(all_space(last_cluster_begin, end));

    const size_t tokens = tokenizer.CountTokens(text.substr(begin, end - begin));
    ASSERT_EQ(chunks[i].token_count, tokens);
    ASSERT_TRUE(tokens <= options.max_tokens || first_cluster_end == end) << tokens << " tokens";
    last_begin = begin;
    covered = end;
  }
  ASSERT_TRUE(all_space(covered, text.size())) << "text lost at the end";
}

// A document put together block by block.
class DocumentBuilder {
 public:
  DocumentBuilder& Add(chunking::BlockKind kind, int level, std::string_view text,
                       std::string_view separator = "\n\n") {
    const size_t begin = document_.text.size();
    document_.text.append(text);
    document_.blocks.push_back({kind, level, {begin, document_.text.size()}});
    document_.text.append(separator);
    return *this;
  }
  DocumentBuilder& Heading(int level, std::string_view text) {
    return Add(chunking::BlockKind::kHeading, level, text);
  }
  DocumentBuilder& Paragraph(std::string_view text) {
    return Add(chunking::BlockKind::kParagraph, 0, text);
  }
  DocumentBuilder& Item(int level, std::string_view text) {
    return Add(chunking::BlockKind::kListItem, level, text, "\n");
  }
  // Text of no block.
  DocumentBuilder& Raw(std::string_view text) {
    document_.text.append(text);
    return *this;
  }
  const chunking::Document& Build() const { return document_; }

 private:
  chunking::Document document_;
};

inline chunking::Document PlainText(std::string_view text) {
  chunking::Document document;
  document.text = std::string(text);
  return document;
}

inline std::string Repeat(std::string_view piece, size_t times) {
  std::string text;
  text.reserve(piece.size() * times);
  for (size_t i = 0; i < times; ++i) text.append(piece);
  return text;
}

// "w1 w2 ... wN": N tokens for FakeTokenizer::Words.
inline std::string NumberedWords(size_t count, std::string_view stem = "w") {
  std::string text;
  for (size_t i = 1; i <= count; ++i) {
    if (i > 1) text.push_back(' ');
    text.append(stem).append(std::to_string(i));
  }
  return text;
}

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_CHUNKING_CHUNKERS_CHUNK_CHECKS_H_
