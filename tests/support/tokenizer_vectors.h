// Reference vectors of tokenizers: texts, and the ids that the models' own libraries give for them.
#ifndef CAIRN_TESTS_SUPPORT_TOKENIZER_VECTORS_H_
#define CAIRN_TESTS_SUPPORT_TOKENIZER_VECTORS_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "chunking/text/tokenizer.h"

namespace cairn::testing {

// Whether ids give back the text they came from.
enum class Reversible { kYes, kNo };

// Expects `text` to become `ids`, spans in order and within it, and, if `reversible`, the ids to
// become the text again, at once and in a stream.
inline void CheckTokens(const chunking::Tokenizer& tokenizer, const std::string& text,
                        const std::vector<uint32_t>& ids, Reversible reversible) {
  std::vector<chunking::Token> tokens;
  tokenizer.Encode(text, &tokens);
  std::vector<uint32_t> encoded;
  uint32_t end = 0;
  for (const chunking::Token& token : tokens) {
    encoded.push_back(token.id);
    EXPECT_LE(end, token.begin);
    EXPECT_LE(token.begin, token.end);
    end = token.end;
  }
  EXPECT_LE(end, text.size());
  EXPECT_EQ(encoded, ids) << "of \"" << text << "\"";
  EXPECT_EQ(tokenizer.CountTokens(text), tokens.size());
  const std::string decoded = tokenizer.Decode(ids);
  if (reversible == Reversible::kYes) {
    EXPECT_EQ(decoded, text);
  }
  chunking::StreamDecoder stream(tokenizer, /*continues=*/false);
  std::string streamed;
  for (const uint32_t id : ids) streamed += stream.Append(id);
  streamed += stream.Finish();
  EXPECT_EQ(streamed, decoded);
}

// CheckTokens for each of the texts in `texts`, which lines "__ggml_vocab_test__" separate, and the
// ids in the lines of `ids`. Returns how many there were.
inline int CheckVectors(const chunking::Tokenizer& tokenizer, std::string_view texts,
                        const std::string& ids, Reversible reversible) {
  constexpr std::string_view kSeparator = "\n__ggml_vocab_test__\n";
  std::istringstream lines(ids);
  std::string line;
  int checked = 0;
  for (size_t begin = 0; begin <= texts.size() && std::getline(lines, line); ++checked) {
    const size_t end = std::min(texts.find(kSeparator, begin), texts.size());
    std::istringstream numbers(line);
    const std::vector<uint32_t> expected{std::istream_iterator<uint32_t>(numbers), {}};
    CheckTokens(tokenizer, std::string(texts.substr(begin, end - begin)), expected, reversible);
    begin = end + kSeparator.size();
  }
  return checked;
}

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_SUPPORT_TOKENIZER_VECTORS_H_
