#include "chunking/text/word_scanner.h"

#include <unicode/uchar.h>
#include <unicode/uscript.h>

#include <algorithm>
#include <array>

#include "chunking/text/utf8.h"

namespace cairn::chunking {
namespace {

constexpr char32_t kZwj = 0x200D;
constexpr char32_t kTextSelector = 0xFE0E;
constexpr char32_t kEmojiSelector = 0xFE0F;
constexpr char32_t kKeyCap = 0x20E3;

// What an ASCII byte does in a word. Nothing (0): it separates.
enum AsciiClass : uint8_t {
  kAsciiLetter = 1,
  kAsciiDigit = 2,
  kAsciiUnderscore = 4,
  kAsciiWord = kAsciiLetter | kAsciiDigit | kAsciiUnderscore,
  kJoinsLetters = 8,  // Between two letters.
  kJoinsDigits = 16,  // Between two digits.
  kMayBeKeyCap = 32,  // "#", "*".
  kNotAscii = 64,
};

constexpr std::array<uint8_t, 256> MakeAsciiClasses() {
  std::array<uint8_t, 256> classes{};
  for (int c = 'a'; c <= 'z'; ++c) classes[c] = classes[c - 0x20] = kAsciiLetter;
  for (int c = '0'; c <= '9'; ++c) classes[c] = kAsciiDigit;
  classes['_'] = kAsciiUnderscore;
  classes['.'] = classes['\''] = kJoinsLetters | kJoinsDigits;
  classes[':'] = kJoinsLetters;
  classes[','] = classes[';'] = kJoinsDigits;
  classes['#'] = classes['*'] = kMayBeKeyCap;
  for (int c = 0x80; c < 0x100; ++c) classes[c] = kNotAscii;
  return classes;
}
constexpr std::array<uint8_t, 256> kAsciiClasses = MakeAsciiClasses();

uint16_t BaseOf(UChar32 c) {
  // Skin tones extend in current Unicode but not in Lucene's grammar, which has rules for them.
  if (u_hasBinaryProperty(c, UCHAR_EMOJI_MODIFIER)) return WordScanner::kOther;
  switch (u_getIntPropertyValue(c, UCHAR_WORD_BREAK)) {
    case U_WB_ALETTER:
      // Unicode 11 added symbols (modifier letters, Armenian marks) that Lucene's tables, of
      // Unicode 9, do not have; before it was the alphabetic characters and the Hebrew geresh.
      return u_isUAlphabetic(c) || c == 0x5F3 ? WordScanner::kLetter : WordScanner::kOther;
    case U_WB_HEBREW_LETTER:
      return WordScanner::kHebrew;
    case U_WB_NUMERIC:
      return WordScanner::kNumeric;
    case U_WB_KATAKANA:
      return WordScanner::kKatakana;
    case U_WB_EXTENDNUMLET:
      return WordScanner::kExtendNumLet;
    case U_WB_MIDLETTER:
      return WordScanner::kMidLetter;
    case U_WB_MIDNUM:
      return WordScanner::kMidNum;
    case U_WB_MIDNUMLET:
      return WordScanner::kMidNumLet;
    case U_WB_SINGLE_QUOTE:
      return WordScanner::kSingleQuote;
    case U_WB_DOUBLE_QUOTE:
      return WordScanner::kDoubleQuote;
    case U_WB_EXTEND:
    case U_WB_FORMAT:
    case U_WB_ZWJ:
      return WordScanner::kExtend;
    default:
      break;
  }
  const bool full_width_digit = c >= 0xFF10 && c <= 0xFF19;
  return full_width_digit ? WordScanner::kNumeric : WordScanner::kOther;
}

bool IsKeyCapBase(UChar32 c) { return (c >= '0' && c <= '9') || c == '#' || c == '*'; }

// Extended_Pictographic, and Emoji other than regional indicators, key caps, skin tones and the
// signs that are emoji by accident.
bool IsEmoji(UChar32 c) {
  if (u_hasBinaryProperty(c, UCHAR_EXTENDED_PICTOGRAPHIC)) return true;
  return u_hasBinaryProperty(c, UCHAR_EMOJI) && !IsKeyCapBase(c) &&
         !u_hasBinaryProperty(c, UCHAR_REGIONAL_INDICATOR) &&
         !u_hasBinaryProperty(c, UCHAR_EMOJI_MODIFIER);
}

}  // namespace

uint16_t WordScanner::Compute::operator()(char32_t code_point) const {
  const UChar32 c = static_cast<UChar32>(code_point);
  uint16_t flags = BaseOf(c);
  if (IsEmoji(c)) flags |= kEmoji;
  if (u_hasBinaryProperty(c, UCHAR_EMOJI_MODIFIER_BASE)) flags |= kEmojiBase;
  if (u_hasBinaryProperty(c, UCHAR_EMOJI_MODIFIER)) flags |= kSkinTone;
  if (IsKeyCapBase(c)) flags |= kKeyCapBase;
  if (u_hasBinaryProperty(c, UCHAR_REGIONAL_INDICATOR)) flags |= kRegional;
  if (u_getIntPropertyValue(c, UCHAR_LINE_BREAK) == U_LB_COMPLEX_CONTEXT) flags |= kSoutheastAsian;
  UErrorCode error = U_ZERO_ERROR;
  const UScriptCode script = uscript_getScript(c, &error);
  if (script == USCRIPT_HAN) flags |= kHan;
  if (script == USCRIPT_HIRAGANA) flags |= kHiragana;
  if (script == USCRIPT_HANGUL) flags |= kHangul;
  return flags;
}

// A decoded character; at the end of the text its size is 0 and it is of no class.
struct WordScanner::Cursor {
  char32_t value = 0;
  uint32_t size = 0;
  uint16_t flags = 0;
  uint16_t base() const { return flags & kBaseMask; }
};

WordScanner::Cursor WordScanner::At(std::string_view text, size_t at) const {
  if (at >= text.size()) return {};
  const DecodedCodePoint c = DecodeUtf8(text.data() + at, text.data() + text.size());
  return {c.value, c.size, flags_[c.value]};
}

bool WordScanner::Next(std::string_view text, size_t* at, WordToken* token) const {
  const auto class_at = [&](size_t i) {
    return i < text.size() ? kAsciiClasses[static_cast<uint8_t>(text[i])] : uint8_t{0};
  };
  size_t i = *at;
  while (i < text.size()) {
    const uint8_t first = class_at(i);
    const bool key_cap = first == kMayBeKeyCap && class_at(i + 1) == kNotAscii;
    if ((first & kAsciiWord) == 0 && first != kNotAscii && !key_cap) {
      ++i;
      continue;
    }
    size_t end = i;
    bool ascii = (first & kAsciiWord) != 0;
    uint8_t seen = 0;
    // Not beyond the longest term: the rest of a word is looked at again with its next piece.
    while (ascii && end - i <= kMaxTermBytes) {
      uint8_t last = 0, next;
      while (((next = class_at(end)) & kAsciiWord) != 0 && end - i <= kMaxTermBytes) {
        seen |= next;
        last = next;
        ++end;
      }
      ascii = next != kNotAscii;
      const bool joins = (last == kAsciiLetter && (next & kJoinsLetters) != 0) ||
                         (last == kAsciiDigit && (next & kJoinsDigits) != 0);
      if (!joins) break;
      const uint8_t after = class_at(end + 1);
      ascii = after != kNotAscii;
      if (after != last) break;
      ++end;
    }
    if (ascii && end - i <= kMaxTermBytes) {
      const bool word = seen != kAsciiUnderscore;
      if (word) *token = {i, end};
      *at = i = end;
      if (word) return true;
    } else {
      *at = i;
      if (MatchAt(text, at, token)) return true;
      i = *at;
    }
  }
  *at = i;
  return false;
}

// The longest token that begins at `*at`; false, moving on, where there is none.
bool WordScanner::MatchAt(std::string_view text, size_t* at, WordToken* token) const {
  const size_t begin = *at;
  const std::string_view window =
      text.substr(0, begin + PrefixWithin(text.substr(begin), kMaxTermBytes));
  const Cursor first = At(window, begin);
  size_t hopeless = begin + first.size;
  size_t end = begin;
  if (first.base() != kOther) end = MatchWord(window, begin, &hopeless);
  if ((first.flags & (kSoutheastAsian | kHan | kHiragana)) != 0) {
    end = std::max(end, MatchScript(window, begin));
  }
  if ((first.flags & (kEmoji | kSkinTone | kKeyCapBase | kRegional)) != 0 || first.value == kZwj) {
    end = std::max(end, MatchEmoji(window, begin));
  }
  if (end == begin) {
    *at = hopeless;
    return false;
  }
  *token = {begin, end};
  *at = end;
  return true;
}

size_t WordScanner::SkipExtend(std::string_view text, size_t at) const {
  for (;;) {
    const Cursor c = At(text, at);
    if (c.base() != kExtend) return at;
    at += c.size;
  }
}

size_t WordScanner::SkipExtendInEmoji(std::string_view text, size_t at) const {
  for (;;) {
    const Cursor c = At(text, at);
    if (c.base() != kExtend || c.value == kTextSelector || c.value == kEmojiSelector) return at;
    at += c.size;
  }
}

// The end of the longest word of letters, digits or Katakana at `begin`, or `begin`. `*hopeless` is
// where to go on where no word is found.
size_t WordScanner::MatchWord(std::string_view text, size_t begin, size_t* hopeless) const {
  // `state` is the class of the last character that may end a word, or kOther at the start;
  // `pending` that of a character that needs a certain one after it.
  uint16_t state = kOther;
  uint16_t pending = kOther;
  size_t accepted = begin;
  size_t at = begin;
  bool content = false;
  for (;;) {
    const Cursor c = At(text, at);
    const uint16_t base = c.base();
    const bool letter = base == kLetter || base == kHebrew;
    const bool after_letter = state == kLetter || state == kHebrew;
    const bool middle = base == kMidNumLet || base == kSingleQuote;
    if (pending != kOther) {
      const bool fits = pending == kNumeric  ? base == kNumeric
                        : pending == kHebrew ? base == kHebrew
                                             : letter;
      // After a Hebrew letter's single quote the word may also go on as after the letter.
      const bool quoted = pending == kSingleQuote && (base == kNumeric || base == kExtendNumLet);
      if (!fits && !quoted) break;
      pending = kOther;
    } else if (after_letter && (base == kMidLetter || middle)) {
      const bool hebrew_quote = state == kHebrew && base == kSingleQuote;
      pending = hebrew_quote ? kSingleQuote : kLetter;
      at = SkipExtend(text, at + c.size);
      if (hebrew_quote) accepted = at;
      continue;
    } else if (state == kHebrew && base == kDoubleQuote) {
      pending = kHebrew;
      at = SkipExtend(text, at + c.size);
      continue;
    } else if (state == kNumeric && (base == kMidNum || middle)) {
      pending = kNumeric;
      at = SkipExtend(text, at + c.size);
      continue;
    }
    const bool katakana_joins = state == kOther || state == kExtendNumLet || state == kKatakana;
    if (base == kKatakana
            ? !katakana_joins
            : !(base == kExtendNumLet || ((letter || base == kNumeric) && state != kKatakana))) {
      break;
    }
    at = SkipExtend(text, at + c.size);
    state = base;
    content |= base != kExtendNumLet;
    if (content) accepted = at;
  }
  // Underscores that lead to no word do so from each of them, unless the window ends here.
  if (!content && state == kExtendNumLet && at < text.size()) *hopeless = at;
  return accepted;
}

size_t WordScanner::MatchScript(std::string_view text, size_t begin) const {
  const Cursor first = At(text, begin);
  size_t end = SkipExtend(text, begin + first.size);
  if ((first.flags & kSoutheastAsian) == 0) return end;
  for (;;) {
    const Cursor c = At(text, end);
    if ((c.flags & kSoutheastAsian) == 0) return end;
    end = SkipExtend(text, end + c.size);
  }
}

size_t WordScanner::MatchEmoji(std::string_view text, size_t begin) const {
  const Cursor first = At(text, begin);
  if ((first.flags & kRegional) != 0) {
    const size_t second = SkipExtend(text, begin + first.size);
    const Cursor c = At(text, second);
    return (c.flags & kRegional) != 0 ? SkipExtend(text, second + c.size) : begin;
  }
  if ((first.flags & kKeyCapBase) != 0) return MatchKeyCap(text, begin);
  size_t end = MatchEmojiUnit(text, begin);
  while (end > begin) {
    // Further units follow a zero-width joiner, which the unit before may have taken in.
    const bool joined = text.substr(begin, end - begin).ends_with("\u200D");
    if (!joined && At(text, end).value != kZwj) break;
    const size_t next = MatchEmojiUnit(text, end);
    if (next == end) break;
    end = next;
  }
  return end;
}

// One emoji with its selector or skin tone, after any zero-width joiners.
size_t WordScanner::MatchEmojiUnit(std::string_view text, size_t begin) const {
  size_t at = begin;
  Cursor c = At(text, at);
  while (c.value == kZwj) c = At(text, at += c.size);
  if ((c.flags & kSkinTone) != 0 && at == begin) return SkipExtendInEmoji(text, at + c.size);
  if ((c.flags & kEmoji) == 0) return begin;
  const size_t end = SkipExtendInEmoji(text, at + c.size);
  const Cursor next = At(text, end);
  if ((c.flags & kEmojiBase) != 0 && (next.flags & kSkinTone) != 0) {
    return SkipExtendInEmoji(text, end + next.size);
  }
  return next.value == kEmojiSelector ? end + next.size : end;
}

size_t WordScanner::MatchKeyCap(std::string_view text, size_t begin) const {
  size_t at = begin + At(text, begin).size;
  bool key_cap = false, selector = false;
  for (;;) {
    const Cursor c = At(text, at);
    if (c.value == kEmojiSelector) {
      if (selector || key_cap || At(text, at + c.size).value != kKeyCap) break;
      selector = true;
    } else if (c.base() != kExtend || c.value == kTextSelector) {
      break;
    }
    key_cap |= c.value == kKeyCap;
    at += c.size;
  }
  return key_cap ? at : begin;
}

}  // namespace cairn::chunking
