// Reading and writing UTF-8 one code point at a time.
#ifndef CAIRN_CHUNKING_TEXT_UTF8_H_
#define CAIRN_CHUNKING_TEXT_UTF8_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace cairn::chunking {

inline constexpr char32_t kReplacementCharacter = 0xFFFD;

struct DecodedCodePoint {
  char32_t value = kReplacementCharacter;
  uint32_t size = 1;  // Bytes read; 1 where they are ill-formed.
};

inline bool IsUtf8Trail(char c) { return (static_cast<uint8_t>(c) & 0xC0) == 0x80; }

// Decodes the code point at `p`, which must be before `end`. Ill-formed bytes (stray trail bytes,
// overlong forms, surrogates, anything above U+10FFFF, a cut sequence) give U+FFFD and size 1.
inline DecodedCodePoint DecodeUtf8(const char* p, const char* end) {
  const uint8_t lead = static_cast<uint8_t>(*p);
  if (lead < 0x80) return {lead, 1};
  const size_t left = static_cast<size_t>(end - p);
  if (lead < 0xE0) {
    if (lead < 0xC2 || left < 2 || !IsUtf8Trail(p[1])) return {};
    return {static_cast<char32_t>((lead & 0x1F) << 6 | (p[1] & 0x3F)), 2};
  }
  if (lead < 0xF0) {
    if (left < 3 || !IsUtf8Trail(p[1]) || !IsUtf8Trail(p[2])) return {};
    const char32_t c = (lead & 0x0F) << 12 | (p[1] & 0x3F) << 6 | (p[2] & 0x3F);
    if (c < 0x800 || (c >= 0xD800 && c < 0xE000)) return {};
    return {c, 3};
  }
  if (lead > 0xF4 || left < 4 || !IsUtf8Trail(p[1]) || !IsUtf8Trail(p[2]) || !IsUtf8Trail(p[3])) {
    return {};
  }
  const char32_t c = (lead & 0x07) << 18 | (p[1] & 0x3F) << 12 | (p[2] & 0x3F) << 6 | (p[3] & 0x3F);
  if (c < 0x10000 || c > 0x10FFFF) return {};
  return {c, 4};
}

// Appends `c`, a Unicode scalar value.
inline void AppendUtf8(char32_t c, std::string* out) {
  if (c < 0x80) {
    out->push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    out->push_back(static_cast<char>(0xC0 | c >> 6));
    out->push_back(static_cast<char>(0x80 | (c & 0x3F)));
  } else if (c < 0x10000) {
    out->push_back(static_cast<char>(0xE0 | c >> 12));
    out->push_back(static_cast<char>(0x80 | (c >> 6 & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (c & 0x3F)));
  } else {
    out->push_back(static_cast<char>(0xF0 | c >> 18));
    out->push_back(static_cast<char>(0x80 | (c >> 12 & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (c >> 6 & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (c & 0x3F)));
  }
}

// Length of the longest prefix of `text` of at most `limit` (>= 4) bytes that ends between two code
// points.
inline size_t PrefixWithin(std::string_view text, size_t limit) {
  if (text.size() <= limit) return text.size();
  size_t cut = limit;
  while (cut > limit - 3 && IsUtf8Trail(text[cut])) --cut;
  return IsUtf8Trail(text[cut]) ? limit : cut;
}

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_UTF8_H_
