#include "chunking/chunkers/boundaries.h"

#include <unicode/brkiter.h>
#include <unicode/locid.h>
#include <unicode/uchar.h>
#include <unicode/utext.h>
#include <unicode/utf8.h>

#include <algorithm>

#include "chunking/strings.h"

namespace cairn::chunking {
namespace {

bool IsContinuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }
bool IsAscii(char byte) { return static_cast<unsigned char>(byte) < 0x80; }
bool IsAsciiWord(char byte) {
  return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
         (byte >= 'a' && byte <= 'z');
}

int BreakClass(uint32_t code_point) {
  if (code_point >= 0x20 && code_point < 0x7F) return U_GCB_OTHER;
  return u_getIntPropertyValue(static_cast<UChar32>(code_point), UCHAR_GRAPHEME_CLUSTER_BREAK);
}

bool IsControlClass(int c) { return c == U_GCB_CONTROL || c == U_GCB_CR || c == U_GCB_LF; }

// ICU counts in int32; longer stretches are looked at from a nearer start.
constexpr size_t kIcuReach = size_t{1} << 30;
// Word boundaries depend on few characters around them; this is context enough for a dictionary.
constexpr size_t kWordLookBehind = 96;
constexpr size_t kWordLookAhead = 48;

}  // namespace

struct Boundaries::Iterator {
  std::unique_ptr<icu::BreakIterator> breaks;  // Null if ICU has no data: then every code point is.
  UText view = UTEXT_INITIALIZER;

  ~Iterator() { utext_close(&view); }

  bool SetText(std::string_view text) {
    if (breaks == nullptr) return false;
    UErrorCode error = U_ZERO_ERROR;
    utext_openUTF8(&view, text.data(), static_cast<int64_t>(text.size()), &error);
    breaks->setText(&view, error);
    return U_SUCCESS(error);
  }
};

Boundaries::Boundaries(std::string_view text) : text_(text) {}
Boundaries::~Boundaries() = default;

size_t Boundaries::PreviousCodePoint(size_t position) const {
  const size_t lowest = position > 4 ? position - 4 : 0;
  do {
    --position;
  } while (position > lowest && IsContinuation(text_[position]));
  return position;
}

uint32_t Boundaries::CodePointAt(size_t position) const {
  const auto* bytes = reinterpret_cast<const uint8_t*>(text_.data()) + position;
  const auto length = static_cast<int32_t>(std::min<size_t>(4, text_.size() - position));
  int32_t i = 0;
  UChar32 code_point = 0;
  U8_NEXT_OR_FFFD(bytes, i, length, code_point);
  return static_cast<uint32_t>(code_point);
}

Boundaries::Verdict Boundaries::Neighbours(size_t position) const {
  if (position == 0 || position >= text_.size()) return Verdict::kYes;
  const char before = text_[position - 1];
  const char after = text_[position];
  if (before == '\n' || after == '\n') return Verdict::kYes;  // Stored text has no "\r\n".
  if (IsAscii(before) && IsAscii(after)) return Verdict::kYes;
  if (IsContinuation(after)) return Verdict::kNo;
  const int left = BreakClass(CodePointAt(PreviousCodePoint(position)));
  const int right = BreakClass(CodePointAt(position));
  if (IsControlClass(left) || IsControlClass(right)) return Verdict::kYes;
  if (right == U_GCB_EXTEND || right == U_GCB_ZWJ || right == U_GCB_SPACING_MARK ||
      left == U_GCB_PREPEND) {
    return Verdict::kNo;
  }
  // Left of here: emoji and Indic sequences (after a mark or joiner), Hangul, flags.
  if (left == U_GCB_EXTEND || left == U_GCB_ZWJ || left == U_GCB_SPACING_MARK) {
    return Verdict::kAskIcu;
  }
  return left == U_GCB_OTHER || right == U_GCB_OTHER ? Verdict::kYes : Verdict::kAskIcu;
}

bool Boundaries::AskIcu(size_t known, size_t position) {
  if (graphemes_ == nullptr) {
    graphemes_ = std::make_unique<Iterator>();
    UErrorCode error = U_ZERO_ERROR;
    graphemes_->breaks.reset(
        icu::BreakIterator::createCharacterInstance(icu::Locale::getRoot(), error));
    if (U_FAILURE(error)) graphemes_->breaks.reset();
  }
  if (position - known > kIcuReach) {
    known = position - kWordLookBehind;
    while (IsContinuation(text_[known])) ++known;
  }
  if (!graphemes_->SetText(text_.substr(known, position - known + kWordLookAhead))) return true;
  return graphemes_->breaks->isBoundary(static_cast<int32_t>(position - known));
}

bool Boundaries::IsGrapheme(size_t known, size_t position) {
  const Verdict verdict = Neighbours(position);
  if (verdict != Verdict::kAskIcu) return verdict == Verdict::kYes;
  return position <= known || AskIcu(known, position);
}

size_t Boundaries::GraphemeFloor(size_t known, size_t position) {
  position = std::min(position, text_.size());
  while (position > known && !IsGrapheme(known, position)) position = PreviousCodePoint(position);
  return position;
}

size_t Boundaries::GraphemeCeil(size_t known, size_t position) {
  while (position < text_.size() && !IsGrapheme(known, position)) {
    ++position;
    while (position < text_.size() && IsContinuation(text_[position])) ++position;
  }
  return std::min(position, text_.size());
}

size_t Boundaries::SkipSpace(size_t begin, size_t end) {
  size_t position = begin;
  while (position < end) {
    if (IsAsciiSpace(text_[position])) {
      ++position;
    } else if (IsAscii(text_[position]) ||
               !u_isUWhiteSpace(static_cast<UChar32>(CodePointAt(position)))) {
      break;
    } else {
      ++position;
      while (position < end && IsContinuation(text_[position])) ++position;
    }
  }
  return position == begin || position == end ? position : GraphemeFloor(begin, position);
}

Span Boundaries::Trim(Span span) {
  span.begin = SkipSpace(span.begin, span.end);
  size_t end = span.end;
  while (end > span.begin) {
    const size_t previous = IsAscii(text_[end - 1]) ? end - 1 : PreviousCodePoint(end);
    const bool space = IsAscii(text_[previous])
                           ? IsAsciiSpace(text_[previous])
                           : u_isUWhiteSpace(static_cast<UChar32>(CodePointAt(previous)));
    if (!space) break;
    end = previous;
  }
  if (end < span.end) span.end = std::min(span.end, GraphemeCeil(span.begin, end));
  return span;
}

bool Boundaries::FollowsSpace(size_t position) const {
  if (position == 0 || IsAsciiSpace(text_[position - 1])) return true;
  return !IsAscii(text_[position - 1]) &&
         u_isUWhiteSpace(static_cast<UChar32>(CodePointAt(PreviousCodePoint(position))));
}

bool Boundaries::IsSeparated(size_t begin, size_t end) const {
  const auto separates = [](char c) { return c == ' ' || c == '\t' || c == '\n'; };
  return (begin == 0 || separates(text_[begin - 1])) &&
         (end >= text_.size() || separates(text_[end]));
}

size_t Boundaries::WordFloor(size_t lowest, size_t position) {
  size_t begin = std::max(lowest, position - std::min(position, kWordLookBehind));
  while (begin < position && IsContinuation(text_[begin])) ++begin;
  const size_t length = std::min(kWordLookAhead, text_.size() - position);
  if (begin >= position || length == 0) return position;
  const std::string_view window = text_.substr(begin, position - begin + length);
  if (std::all_of(window.begin(), window.end(), IsAscii)) {
    for (size_t i = position; i > begin; --i) {
      if (!IsAsciiWord(text_[i - 1]) || !IsAsciiWord(text_[i])) return i;
    }
    return position;
  }
  if (words_ == nullptr) {
    words_ = std::make_unique<Iterator>();
    UErrorCode error = U_ZERO_ERROR;
    words_->breaks.reset(icu::BreakIterator::createWordInstance(icu::Locale::getRoot(), error));
    if (U_FAILURE(error)) words_->breaks.reset();
  }
  if (!words_->SetText(window)) return position;
  const auto wanted = static_cast<int32_t>(position - begin);
  const int32_t found =
      words_->breaks->isBoundary(wanted) ? wanted : words_->breaks->preceding(wanted);
  return found > 0 ? begin + static_cast<size_t>(found) : position;
}

}  // namespace cairn::chunking
