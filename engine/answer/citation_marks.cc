#include "engine/answer/citation_marks.h"

#include <algorithm>

#include "engine/answer/characters.h"

namespace cairn::engine {
namespace {

constexpr size_t kMaxMarkBytes = 64;  // A longer bracket is no mark.
constexpr size_t kMaxDigits = 3;
constexpr std::string_view kEnDash = "\xE2\x80\x93";

bool IsAlphanumeric(char c) {
  return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool MayBeInMark(char c) {
  return IsDigit(c) || std::string_view(",;- ").find(c) != std::string_view::npos ||
         kEnDash.find(c) != std::string_view::npos;
}

void SkipSpaces(std::string_view* text) {
  text->remove_prefix(std::min(text->find_first_not_of(' '), text->size()));
}

bool TakeNumber(std::string_view* text, uint32_t* number) {
  SkipSpaces(text);
  size_t digits = 0;
  *number = 0;
  while (digits < text->size() && IsDigit((*text)[digits])) {
    if (digits == kMaxDigits) return false;
    *number = *number * 10 + static_cast<uint32_t>((*text)[digits++] - '0');
  }
  text->remove_prefix(digits);
  SkipSpaces(text);
  return digits > 0;
}

bool TakeDash(std::string_view* text) {
  const size_t size = text->starts_with('-') ? 1 : text->starts_with(kEnDash) ? kEnDash.size() : 0;
  text->remove_prefix(size);
  return size > 0;
}

// The numbers of a mark from what is between its brackets; none where it is no mark.
std::vector<uint32_t> ParseNumbers(std::string_view inside) {
  std::vector<uint32_t> numbers;
  while (true) {
    uint32_t first = 0, last = 0;
    if (!TakeNumber(&inside, &first)) return {};
    last = first;
    if (TakeDash(&inside) && !TakeNumber(&inside, &last)) return {};
    for (uint32_t n = std::min(first, last); n <= std::max(first, last); ++n) numbers.push_back(n);
    if (inside.empty()) return numbers;
    if (inside.front() != ',' && inside.front() != ';') return {};
    inside.remove_prefix(1);
  }
}

}  // namespace

void CitationScanner::Append(std::string_view piece) {
  for (const char c : piece) Take(c);
}

void CitationScanner::Finish() {
  if (in_mark_) {
    Release('[');
  } else {
    held_.clear();
  }
}

void CitationScanner::Take(char c) {
  if (in_mark_) return TakeInMark(c);
  if (c == '[') {
    mark_begin_ = held_.size();
    in_mark_ = true;
    held_.push_back(c);
  } else if (c == ' ') {
    held_.push_back(c);
  } else {
    Release(c);
    Emit(c);
  }
}

void CitationScanner::TakeInMark(char c) {
  if (c == ']') {
    std::vector<uint32_t> numbers = ParseNumbers(std::string_view(held_).substr(mark_begin_ + 1));
    if (!numbers.empty()) {
      marks_.push_back({text_.size(), std::move(numbers)});
      held_.clear();
      in_mark_ = false;
      after_mark_ = true;
      return;
    }
  } else if (MayBeInMark(c) && held_.size() - mark_begin_ < kMaxMarkBytes) {
    held_.push_back(c);
    return;
  }
  // Text after all; `c` may begin a mark of its own.
  Release('[');
  Take(c);
}

void CitationScanner::Release(char c) {
  // "end.[1]Next": the mark was what kept both apart.
  const bool joined = after_mark_ && held_.empty() && IsAlphanumeric(c);
  if (joined && !text_.empty() && text_.back() != '\n') Emit(' ');
  for (const char held : held_) Emit(held);
  held_.clear();
  in_mark_ = false;
  after_mark_ = false;
}

void CitationScanner::Emit(char c) {
  if (c == '\0') return;
  const bool space = c == ' ' || c == '\n' || c == '\t' || c == '\r';
  if (!text_.empty() || !space) text_.push_back(c);
}

std::string DefuseMarks(std::string_view text) {
  std::string out(text);
  for (size_t open = out.find('['); open != std::string::npos; open = out.find('[', open + 1)) {
    const size_t close = out.find(']', open);
    if (close == std::string::npos) break;
    const std::string_view inside = std::string_view(out).substr(open + 1, close - open - 1);
    if (inside.size() >= kMaxMarkBytes || ParseNumbers(inside).empty()) continue;
    out[open] = '(';
    out[close] = ')';
  }
  return out;
}

}  // namespace cairn::engine
