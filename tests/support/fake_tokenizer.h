// Tokenizers simple enough to count by hand.
#ifndef CAIRN_TESTS_SUPPORT_FAKE_TOKENIZER_H_
#define CAIRN_TESTS_SUPPORT_FAKE_TOKENIZER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chunking/text/tokenizer.h"

namespace cairn::testing {

// Cuts words (stretches without ASCII white space) into tokens by their number of code points: the
// first token of a word has up to `first`, each further one up to `further`; a word longer than
// `longest_word` is a single unknown token, as in WordPiece. With first != further the tokens of a
// piece of a word depend on where the piece begins, as with WordPiece's "##".
class FakeTokenizer final : public chunking::Tokenizer {
 public:
  static constexpr size_t kUnlimited = static_cast<size_t>(-1);

  static FakeTokenizer Words() { return {kUnlimited, kUnlimited, kUnlimited}; }
  static FakeTokenizer CodePoints() { return {1, 1, kUnlimited}; }

  FakeTokenizer(size_t first, size_t further, size_t longest_word)
      : first_(first), further_(further), longest_word_(longest_word) {}

  void Encode(std::string_view text, std::vector<chunking::Token>* tokens) const override {
    Visit(text, [&](size_t begin, size_t end) {
      tokens->push_back({0, static_cast<uint32_t>(begin), static_cast<uint32_t>(end)});
    });
  }
  size_t CountTokens(std::string_view text) const override {
    size_t count = 0;
    Visit(text, [&](size_t, size_t) { ++count; });
    return count;
  }
  size_t vocabulary_size() const override { return 1; }
  std::optional<uint32_t> unknown_id() const override { return 0; }
  const chunking::SpecialTokens& special_tokens() const override { return special_tokens_; }
  std::vector<uint32_t> EncodePrompt(std::string_view text, chunking::ControlText) const override {
    return std::vector<uint32_t>(CountTokens(text), 0);
  }
  // Its one id stands for any text, and so for none.
  void AppendBytes(uint32_t, chunking::ControlText, std::string*) const override {}
  std::string Decode(absl::Span<const uint32_t>) const override { return ""; }
  bool starts_with_space() const override { return false; }

 private:
  static bool IsSpace(char c) { return c == ' ' || c == '\n' || c == '\t'; }
  static bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

  template <typename Sink>
  void Visit(std::string_view text, Sink sink) const {
    for (size_t i = 0; i < text.size();) {
      if (IsSpace(text[i])) {
        ++i;
        continue;
      }
      size_t end = i;
      size_t code_points = 0;
      for (; end < text.size() && !IsSpace(text[end]); ++end) {
        if (!IsContinuation(text[end])) ++code_points;
      }
      VisitWord(text, i, end, code_points, sink);
      i = end;
    }
  }

  template <typename Sink>
  void VisitWord(std::string_view text, size_t begin, size_t end, size_t code_points,
                 Sink sink) const {
    if (code_points > longest_word_ || first_ == kUnlimited) return sink(begin, end);
    size_t room = first_;
    for (size_t i = begin + 1; i < end; ++i) {
      if (IsContinuation(text[i]) || --room > 0) continue;
      sink(begin, i);
      begin = i;
      room = further_;
    }
    sink(begin, end);
  }

  chunking::SpecialTokens special_tokens_;
  size_t first_;
  size_t further_;
  size_t longest_word_;
};

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_SUPPORT_FAKE_TOKENIZER_H_
