// Metadata filters: a small expression language.
#ifndef CAIRN_INDEX_FILTER_H_
#define CAIRN_INDEX_FILTER_H_

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "chunking/metadata.h"

namespace cairn::index {

// A parsed filter. Immutable and thread-safe. The grammar, keywords in any case:
//
//   expr       := and ("OR" and)*
//   and        := unary ("AND" unary)*
//   unary      := "NOT" unary | "(" expr ")" | predicate
//   predicate  := field op value
//               | field ["NOT"] "IN" "(" value ("," value)* ")"
//               | "EXISTS" field | field "EXISTS"
//   op         := "=" | "!=" | "<" | "<=" | ">" | ">="
//   field      := identifier ([A-Za-z_][A-Za-z0-9_.-]*) | `any text in back quotes`
//   value      := "text" | 'text' | integer | float | "true" | "false"
//
// In quotes of any kind a backslash escapes: \\ \" \' \` \n \r \t. A field named like a keyword
// needs back quotes.
//
// Types: numbers compare with numbers (int64 and double exactly, without rounding either), strings
// with strings (bytewise), booleans with booleans (= and != only). A predicate over an absent field
// or over a value of another type is false (so != is false too; NOT (f = x) is true). A list field
// satisfies a predicate when any element does. NOT IN is true of a value of a type that the list
// holds, and that equals none of its values. EXISTS asks for the key alone.
class Filter {
 public:
  // InvalidArgument with the position and a caret line under the place:
  //   filter: expected a value after "=" at column 8
  //     year = = 3
  //            ^
  // Expressions over 64 KiB, as written or in normal form, or nested deeper than 100 are refused.
  static absl::StatusOr<Filter> Parse(std::string_view text);

  bool Matches(const chunking::Metadata& metadata) const;

  // The expression in a normal form that parses to an equal filter, with the same normal form.
  std::string ToString() const;

  Filter(const Filter&) = default;
  Filter& operator=(const Filter&) = default;

  struct Node;  // Private to filter.cc.

 private:
  explicit Filter(std::shared_ptr<const Node> root) : root_(std::move(root)) {}
  std::shared_ptr<const Node> root_;
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_FILTER_H_
