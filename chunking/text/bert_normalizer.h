// BERT's text clean-up, with the input bytes each output byte stands for.
#ifndef CAIRN_CHUNKING_TEXT_BERT_NORMALIZER_H_
#define CAIRN_CHUNKING_TEXT_BERT_NORMALIZER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "chunking/text/code_point_table.h"
#include "chunking/text/utf8.h"

namespace cairn::chunking {

// Rewritten text. Byte i of `text` stands for input bytes [begin[i], end[i]).
struct AlignedText {
  std::string text;
  std::vector<uint32_t> begin;  // As long as text.
  std::vector<uint32_t> end;    // As long as text.

  void Clear() {
    text.clear();
    begin.clear();
    end.clear();
  }
  void Reserve(size_t bytes) {
    text.reserve(bytes);
    begin.reserve(bytes);
    end.reserve(bytes);
  }
  void Append(char32_t c, uint32_t input_begin, uint32_t input_end) {
    AppendUtf8(c, &text);
    begin.resize(text.size(), input_begin);
    end.resize(text.size(), input_end);
  }
  void Append(std::string_view bytes, uint32_t input_begin, uint32_t input_end) {
    text.append(bytes);
    begin.resize(text.size(), input_begin);
    end.resize(text.size(), input_end);
  }
};

// Character classes as the Hugging Face tokenizers library has them: general categories of Unicode
// 8.0 (later characters are of no category there), white space and lower case of current Unicode.
class BertCharacters {
 public:
  enum Flag : uint8_t {
    kControl = 1,          // Cc, Cf, Co except tab, line feed, carriage return; NUL and U+FFFD.
    kSpace = 2,            // White_Space.
    kPunctuation = 4,      // General category P, and every ASCII symbol.
    kCjkIdeograph = 8,     // The blocks of BERT's "Chinese character".
    kNonspacingMark = 16,  // General category Mn.
    kDecomposes = 32,      // Has a canonical decomposition.
    kHasLower = 64,        // Is changed by lower-casing.
  };
  // The flags of `c`, or'ed.
  uint8_t operator[](char32_t c) const { return flags_[c]; }

 private:
  struct Compute {
    uint8_t operator()(char32_t c) const;
  };
  CodePointTable<uint8_t, Compute> flags_;
};

// Hugging Face's BertNormalizer. Thread-safe.
class BertNormalizer {
 public:
  struct Options {
    bool clean_text = true;            // Drop control characters, every white space becomes ' '.
    bool handle_chinese_chars = true;  // A space on both sides of CJK ideographs.
    bool strip_accents = true;         // Canonical decomposition without non-spacing marks.
    bool lowercase = true;
  };

  // `characters` outlives the normalizer.
  BertNormalizer(const Options& options, const BertCharacters* characters)
      : options_(options), characters_(characters) {}

  // Appends the rewritten `text`, whose first byte is input byte `offset`.
  void Append(std::string_view text, uint32_t offset, AlignedText* out) const;

  const Options& options() const { return options_; }

 private:
  void AppendFolded(char32_t c, uint8_t flags, uint32_t begin, uint32_t end,
                    AlignedText* out) const;

  Options options_;
  const BertCharacters* characters_;
};

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_BERT_NORMALIZER_H_
