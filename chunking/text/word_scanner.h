// Words as Lucene's StandardTokenizer finds them.
#ifndef CAIRN_CHUNKING_TEXT_WORD_SCANNER_H_
#define CAIRN_CHUNKING_TEXT_WORD_SCANNER_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "chunking/text/code_point_table.h"

namespace cairn::chunking {

// Longest token in bytes; longer ones are split there, as Lucene does (there in UTF-16 units).
inline constexpr size_t kMaxTermBytes = 255;

// Half-open byte range of a text.
struct WordToken {
  size_t begin = 0;
  size_t end = 0;
};

// The word boundaries of Unicode Standard Annex 29 in Lucene's reading (StandardTokenizer): runs of
// letters, digits and Katakana with the inner punctuation the annex allows ("can't", "3.14",
// "U.S.A"), each Han and Hiragana character alone, runs of South-East Asian letters whole, emoji
// sequences; everything else is left out. Character classes are those of ICU's Unicode version.
// Thread-safe.
class WordScanner {
 public:
  enum Flag : uint16_t {
    kBaseMask = 0xF,      // A Base.
    kEmoji = 1 << 4,      // Begins an emoji by itself.
    kEmojiBase = 1 << 5,  // May be followed by a skin tone.
    kSkinTone = 1 << 6,
    kKeyCapBase = 1 << 7,  // 0-9, #, *.
    kRegional = 1 << 8,
    kSoutheastAsian = 1 << 9,  // Line_Break = Complex_Context.
    kHan = 1 << 10,
    kHiragana = 1 << 11,
    kHangul = 1 << 12,
  };
  // Word_Break classes as far as the rules tell them apart.
  enum Base : uint16_t {
    kOther,
    kLetter,
    kHebrew,
    kNumeric,
    kKatakana,
    kExtendNumLet,  // "_" and the like.
    kMidLetter,
    kMidNum,
    kMidNumLet,
    kSingleQuote,
    kDoubleQuote,
    kExtend,  // Extend, Format, ZWJ: belong to the character before them.
  };

  // The first token at or after `*at`, which moves to the token's end. False at the end of `text`.
  bool Next(std::string_view text, size_t* at, WordToken* token) const;

  // A Base, or'ed with flags.
  uint16_t FlagsOf(char32_t c) const { return flags_[c]; }

 private:
  struct Compute {
    uint16_t operator()(char32_t c) const;
  };
  struct Cursor;

  bool MatchAt(std::string_view text, size_t* at, WordToken* token) const;
  size_t MatchWord(std::string_view text, size_t begin, size_t* hopeless) const;
  size_t MatchEmoji(std::string_view text, size_t begin) const;
  size_t MatchEmojiUnit(std::string_view text, size_t begin) const;
  size_t MatchKeyCap(std::string_view text, size_t begin) const;
  size_t MatchScript(std::string_view text, size_t begin) const;
  Cursor At(std::string_view text, size_t at) const;
  size_t SkipExtend(std::string_view text, size_t at) const;
  size_t SkipExtendInEmoji(std::string_view text, size_t at) const;

  CodePointTable<uint16_t, Compute> flags_;
};

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_WORD_SCANNER_H_
