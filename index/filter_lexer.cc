#include "index/filter_lexer.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace cairn::index {
namespace {

using Kind = FilterToken::Kind;

bool IsWordStart(char c) { return absl::ascii_isalpha(c) || c == '_'; }
bool IsWordPart(char c) { return IsWordStart(c) || absl::ascii_isdigit(c) || c == '.' || c == '-'; }
// Characters that people put into operators, so that "==" or "<>" is named whole in the error.
bool IsOperatorPart(char c) {
  return std::string_view("=!<>~&|^%*/:").find(c) != std::string_view::npos;
}

// The bytes of the code point at the start of `text`, which is not empty; 0 where it is no UTF-8.
size_t CodePointSize(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < size) return 0;
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  // Overlong forms, surrogates, and code points over U+10FFFF.
  if ((lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xed && byte(1) > 0x9f) ||
      (lead == 0xf0 && byte(1) < 0x90) || (lead == 0xf4 && byte(1) > 0x8f)) {
    return 0;
  }
  return size;
}

// The code points of `text` fit to print: each bad byte as U+FFFD, each control character as a
// space.
std::vector<std::string_view> PrintableCodePoints(std::string_view text) {
  std::vector<std::string_view> result;
  while (!text.empty()) {
    const size_t size = CodePointSize(text);
    const std::string_view point = text.substr(0, std::max<size_t>(size, 1));
    const bool control = absl::ascii_iscntrl(point[0]) ||
                         (size == 2 && point[0] == '\xc2' && static_cast<uint8_t>(point[1]) < 0xa0);
    result.push_back(size == 0 ? "\xef\xbf\xbd" : control ? " " : point);
    text.remove_prefix(point.size());
  }
  return result;
}

// digits ["." digits] [("e" | "E") ["+" | "-"] digits], after the sign; what kind of number it is.
enum class NumberForm { kMalformed, kInteger, kFloat };

NumberForm ClassifyNumber(std::string_view text) {
  const auto eat_digits = [&] {
    const size_t size =
        std::find_if_not(text.begin(), text.end(), absl::ascii_isdigit) - text.begin();
    text.remove_prefix(size);
    return size > 0;
  };
  if (!eat_digits()) return NumberForm::kMalformed;
  if (text.empty()) return NumberForm::kInteger;
  if (text[0] == '.') {
    text.remove_prefix(1);
    if (!eat_digits()) return NumberForm::kMalformed;
  }
  if (!text.empty() && (text[0] == 'e' || text[0] == 'E')) {
    text.remove_prefix(1);
    if (!text.empty() && (text[0] == '+' || text[0] == '-')) text.remove_prefix(1);
    if (!eat_digits()) return NumberForm::kMalformed;
  }
  return text.empty() ? NumberForm::kFloat : NumberForm::kMalformed;
}

// What a character after a backslash stands for; nothing where there is no such escape.
std::optional<char> Unescape(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case '\\':
    case '"':
    case '\'':
    case '`':
      return c;
    default:
      return std::nullopt;
  }
}

struct Keyword {
  std::string_view text;
  Kind kind;
};
constexpr Keyword kKeywords[] = {
    {"and", Kind::kAnd},       {"or", Kind::kOr},      {"not", Kind::kNot},     {"in", Kind::kIn},
    {"exists", Kind::kExists}, {"true", Kind::kValue}, {"false", Kind::kValue},
};

const Keyword* FindKeyword(std::string_view word) {
  for (const Keyword& keyword : kKeywords) {
    const auto same = [](char a, char b) { return absl::ascii_tolower(a) == b; };
    if (std::equal(word.begin(), word.end(), keyword.text.begin(), keyword.text.end(), same)) {
      return &keyword;
    }
  }
  return nullptr;
}

}  // namespace

FilterToken FilterLexer::Next() {
  while (position_ < text_.size() && absl::ascii_isspace(text_[position_])) ++position_;
  if (position_ == text_.size()) return Make(Kind::kEnd, position_);
  const size_t begin = position_;
  const char c = text_[begin];
  const char next = begin + 1 < text_.size() ? text_[begin + 1] : '\0';
  if (c == '"' || c == '\'' || c == '`') return Quoted(c);
  if (absl::ascii_isdigit(c) || ((c == '-' || c == '+') && absl::ascii_isdigit(next))) {
    return Number();
  }
  if (IsWordStart(c)) return Word();
  if (IsOperatorPart(c)) return Operator();
  for (const auto& [mark, kind] :
       {std::pair('(', Kind::kOpen), std::pair(')', Kind::kClose), std::pair(',', Kind::kComma)}) {
    if (c != mark) continue;
    ++position_;
    return Make(kind, begin);
  }
  const size_t size = std::max<size_t>(CodePointSize(text_.substr(begin)), 1);
  return Invalid(begin, "unexpected \"" + FilterExcerpt(text_.substr(begin, size)) + "\"");
}

FilterToken FilterLexer::Make(Kind kind, size_t begin, FilterValue value) {
  return {kind, begin, text_.substr(begin, position_ - begin), std::move(value)};
}

FilterToken FilterLexer::Invalid(size_t offset, std::string message) {
  return {Kind::kInvalid, offset, {}, std::move(message)};
}

FilterToken FilterLexer::Quoted(char quote) {
  const size_t begin = position_;
  std::string content;
  for (size_t i = begin + 1; i < text_.size(); ++i) {
    if (text_[i] == quote) {
      position_ = i + 1;
      return Make(quote == '`' ? Kind::kField : Kind::kValue, begin, std::move(content));
    }
    if (text_[i] != '\\') {
      content.push_back(text_[i]);
      continue;
    }
    if (i + 1 == text_.size()) break;
    const std::optional<char> escaped = Unescape(text_[i + 1]);
    if (!escaped) {
      return Invalid(i, "unknown escape (known: \\\\ \\\" \\' \\` \\n \\r \\t)");
    }
    content.push_back(*escaped);
    ++i;
  }
  return Invalid(begin, quote == '`' ? "unclosed field name" : "unclosed text");
}

FilterToken FilterLexer::Number() {
  const size_t begin = position_;
  const auto in_number = [&](size_t i) {
    const char c = text_[i];
    if (absl::ascii_isalnum(c) || c == '_' || c == '.') return true;
    return (c == '+' || c == '-') && (text_[i - 1] == 'e' || text_[i - 1] == 'E');
  };
  size_t end = begin + 1;
  while (end < text_.size() && in_number(end)) ++end;

  std::string_view digits = text_.substr(begin, end - begin);
  if (digits[0] == '+') digits.remove_prefix(1);  // from_chars knows no plus sign.
  const NumberForm form = ClassifyNumber(digits[0] == '-' ? digits.substr(1) : digits);
  if (form == NumberForm::kMalformed) return Invalid(begin, "malformed number");
  FilterValue value;
  std::errc error{};
  if (form == NumberForm::kInteger) {
    int64_t integer = 0;
    error = std::from_chars(digits.data(), digits.data() + digits.size(), integer).ec;
    value = integer;
  } else {
    double number = 0;
    error = std::from_chars(digits.data(), digits.data() + digits.size(), number).ec;
    value = number;
  }
  if (error != std::errc{}) {
    return Invalid(begin, form == NumberForm::kInteger ? "integer beyond 64 bits"
                                                       : "number beyond the range of a double");
  }
  position_ = end;
  return Make(Kind::kValue, begin, std::move(value));
}

FilterToken FilterLexer::Word() {
  const size_t begin = position_;
  while (position_ < text_.size() && IsWordPart(text_[position_])) ++position_;
  const std::string_view word = text_.substr(begin, position_ - begin);
  const Keyword* keyword = FindKeyword(word);
  if (keyword == nullptr) return Make(Kind::kField, begin, std::string(word));
  if (keyword->kind == Kind::kValue) return Make(Kind::kValue, begin, keyword->text == "true");
  return Make(keyword->kind, begin);
}

FilterToken FilterLexer::Operator() {
  const size_t begin = position_;
  while (position_ < text_.size() && IsOperatorPart(text_[position_])) ++position_;
  const std::string_view word = text_.substr(begin, position_ - begin);
  for (std::string_view known : {"=", "!=", "<", "<=", ">", ">="}) {
    if (word == known) return Make(Kind::kOperator, begin);
  }
  return Invalid(begin, "unknown operator \"" + FilterExcerpt(word) + "\" (known: = != < <= > >=)");
}

bool IsBareFilterField(std::string_view name) {
  return !name.empty() && IsWordStart(name[0]) &&
         std::all_of(name.begin(), name.end(), IsWordPart) && FindKeyword(name) == nullptr;
}

std::string FilterExcerpt(std::string_view source) {
  constexpr size_t kCodePoints = 40;
  const std::vector<std::string_view> points = PrintableCodePoints(source);
  std::string result;
  for (size_t i = 0; i < std::min(points.size(), kCodePoints); ++i) result.append(points[i]);
  if (points.size() > kCodePoints) result.append("...");
  return result;
}

absl::Status FilterSyntaxError(std::string_view text, size_t offset, std::string_view message) {
  // A window of the expression, for one line of a terminal.
  constexpr size_t kBefore = 50, kAfter = 40;
  const std::vector<std::string_view> points = PrintableCodePoints(text);
  const size_t column = PrintableCodePoints(text.substr(0, offset)).size();
  const size_t begin = column > kBefore ? column - kBefore : 0;
  const size_t end = std::min(points.size(), column + kAfter);
  std::string line = begin > 0 ? "..." : "";
  const size_t caret = line.size() + column - begin;
  for (size_t i = begin; i < end; ++i) line.append(points[i]);
  if (end < points.size()) line.append("...");
  return absl::InvalidArgumentError(absl::StrCat("filter: ", std::string(message), " at column ",
                                                 column + 1, "\n  ", line, "\n  ",
                                                 std::string(caret, ' '), "^"));
}

}  // namespace cairn::index
