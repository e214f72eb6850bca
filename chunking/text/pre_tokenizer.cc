#include "chunking/text/pre_tokenizer.h"

#include <unicode/uchar.h>

#include <algorithm>

namespace cairn::chunking {
namespace {

bool IsAsciiDigit(char c) { return c >= '0' && c <= '9'; }

// Bytes that stand for themselves in GPT-2's alphabet and are numbers in Latin-1.
bool IsByteNumber(char c) {
  switch (static_cast<uint8_t>(c)) {
    case 0xB2:
    case 0xB3:
    case 0xB9:
    case 0xBC:
    case 0xBD:
    case 0xBE:
      return true;
    default:
      return IsAsciiDigit(c);
  }
}

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

// Length of the 's, 't, 're, 've, 'm, 'll, 'd at text[at], an apostrophe; 0 where there is none.
size_t Contraction(std::string_view text, size_t at, bool any_case) {
  const auto letter = [&](size_t offset) {
    if (at + offset >= text.size()) return '\0';
    return any_case ? Lower(text[at + offset]) : text[at + offset];
  };
  switch (letter(1)) {
    case 's':
    case 't':
    case 'm':
    case 'd':
      return 2;
    case 'r':
    case 'v':
      return letter(2) == 'e' ? 3 : 0;
    case 'l':
      return letter(2) == 'l' ? 3 : 0;
    default:
      // The long s is an s when case does not count.
      return any_case && text.substr(at + 1, 2) == "\u017F" ? 3 : 0;
  }
}

// Where the next three digits begin or, at `at` itself, end.
size_t ThreeDigitsEnd(std::string_view text, size_t at) {
  const auto three = [&](size_t i) {
    return i + 3 <= text.size() && IsAsciiDigit(text[i]) && IsAsciiDigit(text[i + 1]) &&
           IsAsciiDigit(text[i + 2]);
  };
  if (three(at)) return at + 3;
  while (at < text.size() && !three(at)) ++at;
  return at;
}

}  // namespace

uint8_t PreTokenizer::Compute::operator()(char32_t code_point) const {
  const UChar32 c = static_cast<UChar32>(code_point);
  if (c == '\r' || c == '\n') return kLineEnd;
  if (u_isUWhiteSpace(c)) return kSpace;
  const uint32_t mask = U_GET_GC_MASK(c);
  if ((mask & U_GC_L_MASK) != 0) return kLetter;
  if ((mask & U_GC_N_MASK) != 0) return kNumber;
  const bool ascii_symbol = c > 0x20 && c < 0x7F;  // Neither letter nor digit.
  return ascii_symbol || (mask & U_GC_P_MASK) != 0 ? kPunctuationMark : kOther;
}

// The end of the white space at `at` as \s+(?!\S)|\s+ has it, after \s*[\r\n]+ if `line_ends`.
size_t PreTokenizer::SpaceRunEnd(std::string_view text, size_t at, bool line_ends) const {
  size_t end = at, last = at, after_line = at;
  while (end < text.size()) {
    const Character c = At(text, end);
    if (c.kind != kSpace && c.kind != kLineEnd) break;
    last = end;
    end += c.size;
    if (c.kind == kLineEnd) after_line = end;
  }
  if (line_ends && after_line > at) return after_line;
  return end < text.size() && last > at ? last : end;
}

size_t PreTokenizer::Gpt2WordEnd(std::string_view text, size_t at) const {
  if (text[at] == '\'') {
    const size_t size = Contraction(text, at, /*any_case=*/false);
    if (size != 0) return at + size;
  }
  size_t start = at;
  Character c = At(text, start);
  if (text[start] == ' ' && start + 1 < text.size()) {
    const Character next = At(text, start + 1);
    if (next.kind != kSpace && next.kind != kLineEnd) {
      ++start;
      c = next;
    }
  }
  switch (c.kind) {
    case kLetter:
    case kNumber:
      return SkipAll(text, start + c.size, c.kind);
    case kSpace:
    case kLineEnd:
      return SpaceRunEnd(text, at, /*line_ends=*/false);
    default:
      return SkipSymbols(text, start + c.size);
  }
}

size_t PreTokenizer::Llama3WordEnd(std::string_view text, size_t at, int most_digits) const {
  if (text[at] == '\'') {
    const size_t size = Contraction(text, at, /*any_case=*/true);
    if (size != 0) return at + size;
  }
  const Character c = At(text, at);
  size_t next = at + c.size;
  switch (c.kind) {
    case kLetter:
      return SkipAll(text, next, kLetter);
    case kNumber:
      for (int digits = 1; digits < most_digits && next < text.size(); ++digits) {
        const Character digit = At(text, next);
        if (digit.kind != kNumber) break;
        next += digit.size;
      }
      return next;
    case kLineEnd:
      return SpaceRunEnd(text, at, /*line_ends=*/true);
    default:
      break;
  }
  Character follower{kSpace, 0};
  if (next < text.size()) follower = At(text, next);
  if (follower.kind == kLetter) return SkipAll(text, next + follower.size, kLetter);
  if (c.kind == kSpace) {
    const bool symbol = follower.kind == kOther || follower.kind == kPunctuationMark;
    if (text[at] != ' ' || !symbol) return SpaceRunEnd(text, at, /*line_ends=*/true);
  }
  return SkipAll(text, SkipSymbols(text, next), kLineEnd);
}

// The end of the run of characters that match, or do not, as the first one.
template <typename Matches>
size_t PreTokenizer::RunEnd(std::string_view text, size_t at, Matches matches) const {
  const auto matches_at = [&](const Character& c, size_t i) { return matches(c, text[i]); };
  Character c = At(text, at);
  const bool inside = matches_at(c, at);
  for (at += c.size; at < text.size(); at += c.size) {
    c = At(text, at);
    if (matches_at(c, at) != inside) break;
  }
  return at;
}

size_t PreTokenizer::WordEnd(SplitStep step, std::string_view text, size_t at) const {
  switch (step) {
    case SplitStep::kGpt2:
      return Gpt2WordEnd(text, at);
    case SplitStep::kLlama3:
      return Llama3WordEnd(text, at, 3);
    case SplitStep::kQwen2:
      return Llama3WordEnd(text, at, 1);
    case SplitStep::kPunctuation:
      return RunEnd(text, at, [](const Character& c, char) { return c.kind == kPunctuationMark; });
    case SplitStep::kPunctuationButBacktick:
      return RunEnd(text, at, [](const Character& c, char byte) {
        return c.kind == kPunctuationMark && byte != '`';
      });
    case SplitStep::kNumbers:
      return RunEnd(text, at, [](const Character& c, char) { return c.kind == kNumber; });
    case SplitStep::kEachNumber:
      if (const Character c = At(text, at); c.kind == kNumber) return at + c.size;
      return RunEnd(text, at, [](const Character& c, char) { return c.kind == kNumber; });
    case SplitStep::kThreeDigits:
      return ThreeDigitsEnd(text, at);
    case SplitStep::kByteNumbers: {
      const bool inside = IsByteNumber(text[at]);
      while (at < text.size() && IsByteNumber(text[at]) == inside) ++at;
      return at;
    }
  }
  return text.size();
}

}  // namespace cairn::chunking
