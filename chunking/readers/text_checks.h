// What every reader asks of the bytes it is given.
#ifndef CAIRN_CHUNKING_READERS_TEXT_CHECKS_H_
#define CAIRN_CHUNKING_READERS_TEXT_CHECKS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "chunking/document.h"
#include "chunking/strings.h"

namespace cairn::chunking {

inline constexpr std::string_view kUtf8Bom = "\xEF\xBB\xBF";

inline bool IsAsciiLetter(char c) { return static_cast<unsigned char>((c | 0x20) - 'a') < 26; }
inline bool IsAsciiDigit(char c) { return static_cast<unsigned char>(c - '0') < 10; }

inline char AsciiLower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }
std::string AsciiLower(std::string_view text);
bool EqualsIgnoreCase(std::string_view a, std::string_view b);
inline bool StartsWithIgnoreCase(std::string_view text, std::string_view prefix) {
  return EqualsIgnoreCase(text.substr(0, prefix.size()), prefix);
}
inline bool Contains(std::string_view text, char c) {
  return text.find(c) != std::string_view::npos;
}

bool IsUtf8(std::string_view bytes);

struct TextFault {
  uint64_t line = 0;  // 1-based.
  std::string reason;
};
// The first NUL or ill-formed UTF-8 sequence.
std::optional<TextFault> FindTextFault(std::string_view bytes);

// True when `utf8` holds nothing but Unicode white space, byte-order marks and zero-width spaces.
bool IsBlank(std::string_view utf8);

// `text` without white space at its ends.
std::string_view Trim(std::string_view text);
Span TrimSpan(std::string_view text, Span span);

// `utf8` (valid) normalised, with each run of white space (no-break spaces too) and control
// characters made one space.
std::string OneLine(std::string_view utf8);

// Titles go with every chunk of their document, so their size is bounded.
inline constexpr size_t kMaxTitleBytes = 4096;
// The beginning of `title` that is short enough, at a character boundary.
std::string CutTitle(std::string title);

// Appends code point `c` as UTF-8; U+FFFD when it is none.
void AppendUtf8(uint32_t c, std::string* out);

// Appends to `blocks` the paragraphs of text[range): runs of lines that are not blank.
void AppendParagraphs(std::string_view text, Span range, BlockKind kind, int level,
                      std::vector<Block>* blocks);

// The name of the file at `path` without folder and extension; empty for standard input ("-").
std::string Stem(std::string_view path);

// An id is 1 to 1,024 bytes of UTF-8 without control characters.
absl::Status CheckId(std::string_view id);

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_READERS_TEXT_CHECKS_H_
