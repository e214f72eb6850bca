#include "chunking/text/sentence.h"

#include <unicode/uchar.h>

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>

#include "chunking/text/abbreviations.h"
#include "chunking/text/utf8.h"

namespace cairn::chunking {
namespace {

// Sentence_Break classes of Unicode Standard Annex 29. kSpace includes the single line feed, which
// only wraps a line here; kEnd is the end of the text.
enum SentenceClass : uint8_t {
  kOther,
  kSpace,
  kLineFeed,
  kSeparator,
  kLower,
  kUpper,
  kOtherLetter,
  kNumeric,
  kFullStop,    // ATerm
  kTerminator,  // STerm
  kClose,
  kContinue,
  kExtend,  // Extend and Format: as if not there.
  kEnd,
};

SentenceClass Classify(char32_t code_point) {
  const UChar32 c = static_cast<UChar32>(code_point);
  if (c == '\n') return kLineFeed;
  if (c == '\r') return kSpace;
  switch (u_getIntPropertyValue(c, UCHAR_SENTENCE_BREAK)) {
    case U_SB_SP:
      return kSpace;
    case U_SB_SEP:
      return kSeparator;
    case U_SB_LOWER:
      return kLower;
    case U_SB_UPPER:
      return kUpper;
    case U_SB_OLETTER:
      return kOtherLetter;
    case U_SB_NUMERIC:
      return kNumeric;
    case U_SB_ATERM:
      return kFullStop;
    case U_SB_STERM:
      return kTerminator;
    case U_SB_CLOSE:
      return kClose;
    case U_SB_SCONTINUE:
      return kContinue;
    case U_SB_EXTEND:
    case U_SB_FORMAT:
      return kExtend;
    default:
      return kOther;
  }
}

// The same as Classify for ASCII.
constexpr std::array<uint8_t, 128> MakeAsciiSentenceClasses() {
  std::array<uint8_t, 128> classes{};
  for (int c = 'a'; c <= 'z'; ++c) {
    classes[c] = kLower;
    classes[c - 0x20] = kUpper;
  }
  for (int c = '0'; c <= '9'; ++c) classes[c] = kNumeric;
  for (const char c : {' ', '\t', '\v', '\f', '\r'}) classes[static_cast<int>(c)] = kSpace;
  for (const char c : {'"', '\'', '(', ')', '[', ']', '{', '}'}) {
    classes[static_cast<int>(c)] = kClose;
  }
  for (const char c : {',', '-', ':'}) classes[static_cast<int>(c)] = kContinue;
  classes['\n'] = kLineFeed;
  classes['.'] = kFullStop;
  classes['!'] = classes['?'] = kTerminator;
  return classes;
}
constexpr std::array<uint8_t, 128> kAsciiSentenceClasses = MakeAsciiSentenceClasses();

// Whether a sentence may end at a byte of this value, or at a character that begins with it.
constexpr std::array<bool, 256> MakeStops() {
  std::array<bool, 256> stops{};
  for (const char c : {'.', '!', '?', '\n'}) stops[static_cast<int>(c)] = true;
  for (int c = 0xC2; c < 0xF5; ++c) stops[c] = true;
  return stops;
}
constexpr std::array<bool, 256> kStops = MakeStops();

class Splitter {
 public:
  explicit Splitter(std::string_view text) : text_(text) {}

  std::vector<Span> Run() {
    size_t at = SkipSpace(0);  // White space before the first sentence belongs to it.
    while (at < text_.size()) {
      const uint8_t byte = static_cast<uint8_t>(text_[at]);
      if (!kStops[byte]) {
        ++at;
        continue;
      }
      const Char c = At(at);
      const size_t next = at + c.size;
      switch (c.type) {
        case kFullStop:
        case kTerminator:
          at = AfterTerminator(at, c.type, next);
          break;
        case kLineFeed:
          at = AfterLineFeed(at);
          break;
        case kSeparator:
          at = Cut(SkipSpace(next));
          break;
        default:
          at = next;
      }
    }
    if (begin_ < text_.size()) spans_.push_back({begin_, text_.size()});
    return std::move(spans_);
  }

 private:
  struct Char {
    SentenceClass type = kEnd;
    uint32_t size = 0;
  };

  Char At(size_t at) const {
    if (at >= text_.size()) return {};
    const uint8_t byte = static_cast<uint8_t>(text_[at]);
    if (byte < 0x80) return {static_cast<SentenceClass>(kAsciiSentenceClasses[byte]), 1};
    const DecodedCodePoint c = DecodeUtf8(text_.data() + at, text_.data() + text_.size());
    return {Classify(c.value), c.size};
  }

  // The first position at or after `at` whose character is not to be ignored (rule SB5).
  size_t SkipExtend(size_t at) const {
    for (;;) {
      const Char c = At(at);
      if (c.type != kExtend) return at;
      at += c.size;
    }
  }

  size_t SkipSpace(size_t at) const {
    for (;;) {
      const Char c = At(at);
      if (c.type != kSpace && c.type != kLineFeed && c.type != kSeparator) return at;
      at += c.size;
    }
  }

  size_t SkipAll(size_t at, SentenceClass type) const {
    for (;;) {
      at = SkipExtend(at);
      const Char c = At(at);
      if (c.type != type) return at;
      at += c.size;
    }
  }

  // Ends the sentence at `at` and returns it. Nothing ends at the start.
  size_t Cut(size_t at) {
    if (at > begin_ && at < text_.size()) {
      spans_.push_back({begin_, at});
      begin_ = at;
    }
    return at;
  }

  // Whether the line feed at `at` is followed by an empty line.
  bool BlankLineFollows(size_t at) const {
    size_t next = at + 1;
    for (;; ++next) {
      if (next >= text_.size()) return false;
      const char c = text_[next];
      if (c == '\n') return true;
      if (c != ' ' && c != '\t' && c != '\r' && c != '\f' && c != '\v') return false;
    }
  }

  size_t AfterLineFeed(size_t at) { return BlankLineFollows(at) ? Cut(SkipSpace(at)) : at + 1; }

  // White space after a terminator, up to where a separator or blank line certainly ends the
  // sentence (`*certain`).
  size_t SkipSpaceAfter(size_t at, bool* certain) const {
    *certain = false;
    for (;;) {
      at = SkipExtend(at);
      const Char c = At(at);
      if (c.type == kSeparator || (c.type == kLineFeed && BlankLineFollows(at))) {
        *certain = true;
        return SkipSpace(at);
      }
      if (c.type != kSpace && c.type != kLineFeed) return at;
      at += c.size;
    }
  }

  // Rule SB8: whether a lower-case letter comes before any other letter, terminator or separator.
  bool LowerFollows(size_t at) const {
    for (;;) {
      const Char c = At(at);
      switch (c.type) {
        case kLower:
          return true;
        case kUpper:
        case kOtherLetter:
        case kFullStop:
        case kTerminator:
        case kSeparator:
        case kEnd:
          return false;
        case kLineFeed:
          if (BlankLineFollows(at)) return false;
          break;
        default:
          break;
      }
      at += c.size;
    }
  }

  // Decides about the terminator at `at`, which ends at `next`; returns where to go on.
  size_t AfterTerminator(size_t at, SentenceClass type, size_t next) {
    next = SkipExtend(next);
    const Char follows = At(next);
    if (type == kFullStop) {
      if (follows.type == kNumeric) return next;                    // SB6
      if (follows.type == kUpper && LetterBefore(at)) return next;  // SB7
    }
    size_t end = SkipAll(next, kClose);
    const bool closed = end > next;
    bool certain = false;
    const size_t spaced = end;
    end = SkipSpaceAfter(end, &certain);
    if (certain) return Cut(end);
    const Char c = At(end);
    if (c.type == kContinue || c.type == kFullStop || c.type == kTerminator) return end;  // SB8a
    if (type == kFullStop) {
      if (LowerFollows(end)) return end;  // SB8
      if (!closed && end > spaced && text_[at] == '.' &&
          FullStopAbbreviates(text_.substr(begin_, at - begin_), text_.substr(end))) {
        return end;
      }
    }
    return Cut(end);  // SB11
  }

  // Whether an upper- or lower-case letter comes before the character at `at`.
  bool LetterBefore(size_t at) const {
    while (at > begin_) {
      --at;
      while (at > begin_ && IsUtf8Trail(text_[at])) --at;
      const Char c = At(at);
      if (c.type != kExtend) return c.type == kLower || c.type == kUpper;
    }
    return false;
  }

  std::string_view text_;
  size_t begin_ = 0;  // Of the sentence at hand.
  std::vector<Span> spans_;
};

}  // namespace

std::vector<Span> SplitSentences(std::string_view text) { return Splitter(text).Run(); }

}  // namespace cairn::chunking
