// Splits text into the words within which byte-level BPE merges.
#ifndef CAIRN_CHUNKING_TEXT_PRE_TOKENIZER_H_
#define CAIRN_CHUNKING_TEXT_PRE_TOKENIZER_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "chunking/text/code_point_table.h"
#include "chunking/text/utf8.h"

namespace cairn::chunking {

// One way to cut text. The regular expressions are those of the models' files and define what each
// step does; here they are scanners that read every character once or twice. Text between two
// matches is a word too.
enum class SplitStep : uint8_t {
  // 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
  kGpt2,
  // (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|
  // \s*[\r\n]+|\s+(?!\S)|\s+
  kLlama3,
  kQwen2,                   // As kLlama3, with \p{N} for \p{N}{1,3}.
  kPunctuation,             // Runs of [\p{P}$+<=>^`|~].
  kPunctuationButBacktick,  // Runs of [\p{P}$+<=>^|~].
  kNumbers,                 // Runs of \p{N}.
  kEachNumber,              // Each \p{N}.
  kThreeDigits,             // Each [0-9][0-9][0-9].
  // Runs of the bytes whose letters in GPT-2's byte alphabet are numbers: [0-9] and those of
  // superscripts and fractions in Latin-1. What Falcon's Digits step, which comes after the
  // change to that alphabet, amounts to; it may cut a character.
  kByteNumbers,
};

// Thread-safe.
class PreTokenizer {
 public:
  // Each step cuts the words that the ones before it leave; no steps: the text is one word.
  explicit PreTokenizer(std::vector<SplitStep> steps) : steps_(std::move(steps)) {}

  // Calls visit(begin, end) for each word of `text`, which are not empty and follow each other
  // without gaps. Ill-formed bytes count as symbols.
  template <typename Visit>
  void ForEachWord(std::string_view text, Visit visit) const {
    ForEachWord(text, 0, text.size(), 0, visit);
  }

 private:
  // What a character is to the expressions.
  enum Class : uint8_t { kOther, kSpace, kLineEnd, kLetter, kNumber, kPunctuationMark };
  struct Compute {
    uint8_t operator()(char32_t c) const;
  };
  struct Character {
    uint8_t kind;
    uint32_t size;
  };

  template <typename Visit>
  void ForEachWord(std::string_view text, size_t begin, size_t end, size_t step,
                   Visit& visit) const {
    if (step == steps_.size()) {
      if (begin < end) visit(begin, end);
      return;
    }
    // Words end where `text` ends for the step: it does not look beyond.
    const std::string_view part = text.substr(0, end);
    while (begin < end) {
      const size_t word_end = WordEnd(steps_[step], part, begin);
      if (step + 1 == steps_.size()) {
        visit(begin, word_end);
      } else {
        ForEachWord(text, begin, word_end, step + 1, visit);
      }
      begin = word_end;
    }
  }

  // The end of the word that begins at `at`, which is less than text.size().
  size_t WordEnd(SplitStep step, std::string_view text, size_t at) const;
  size_t Gpt2WordEnd(std::string_view text, size_t at) const;
  size_t Llama3WordEnd(std::string_view text, size_t at, int most_digits) const;
  size_t SpaceRunEnd(std::string_view text, size_t at, bool line_ends) const;
  template <typename Matches>
  size_t RunEnd(std::string_view text, size_t at, Matches matches) const;

  Character At(std::string_view text, size_t at) const {
    const uint8_t byte = static_cast<uint8_t>(text[at]);
    if (byte < 0x80) return {classes_[byte], 1};
    const DecodedCodePoint c = DecodeUtf8(text.data() + at, text.data() + text.size());
    return {classes_[c.value], c.size};
  }
  size_t SkipAll(std::string_view text, size_t at, uint8_t kind) const {
    while (at < text.size()) {
      const Character c = At(text, at);
      if (c.kind != kind) break;
      at += c.size;
    }
    return at;
  }
  size_t SkipSymbols(std::string_view text, size_t at) const {
    while (at < text.size()) {
      const Character c = At(text, at);
      if (c.kind != kOther && c.kind != kPunctuationMark) break;
      at += c.size;
    }
    return at;
  }

  std::vector<SplitStep> steps_;
  CodePointTable<uint8_t, Compute> classes_;
};

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_PRE_TOKENIZER_H_
