// Tokens of the filter language; private to the filter's parser.
#ifndef CAIRN_INDEX_FILTER_LEXER_H_
#define CAIRN_INDEX_FILTER_LEXER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "absl/status/status.h"

namespace cairn::index {

// A literal. Doubles are finite.
using FilterValue = std::variant<bool, int64_t, double, std::string>;

struct FilterToken {
  enum class Kind : uint8_t {
    kEnd,
    kInvalid,
    kAnd,
    kOr,
    kNot,
    kIn,
    kExists,
    kField,
    kValue,
    kOperator,
    kOpen,
    kClose,
    kComma,
  };
  Kind kind = Kind::kEnd;
  size_t offset = 0;        // Of the first byte in the expression.
  std::string_view source;  // As written. A view of the expression.
  // kValue: the literal; kField: its name; kInvalid: what is wrong, as text.
  FilterValue value;
};

// Splits an expression, which must outlive the lexer and its tokens. Nothing sensible
// follows kInvalid.
class FilterLexer {
 public:
  explicit FilterLexer(std::string_view text) : text_(text) {}

  FilterToken Next();

 private:
  FilterToken Make(FilterToken::Kind kind, size_t begin, FilterValue value = {});
  static FilterToken Invalid(size_t offset, std::string message);
  FilterToken Quoted(char quote);
  FilterToken Number();
  FilterToken Word();
  FilterToken Operator();

  std::string_view text_;
  size_t position_ = 0;
};

// True for text that is a field name without back quotes: an identifier, and no keyword.
bool IsBareFilterField(std::string_view name);

// A part of an expression as an error may quote it: printable, and cut where it is long.
std::string FilterExcerpt(std::string_view source);

// InvalidArgument "filter: <message> at column N", then a line of the expression around the byte
// `offset`, and a caret below it. Columns count code points from 1. The lines are valid
// UTF-8 without control characters, whatever the expression holds.
absl::Status FilterSyntaxError(std::string_view text, size_t offset, std::string_view message);

}  // namespace cairn::index

#endif  // CAIRN_INDEX_FILTER_LEXER_H_
