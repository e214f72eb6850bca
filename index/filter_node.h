// The syntax tree of a filter; private to the filter's files.
#ifndef CAIRN_INDEX_FILTER_NODE_H_
#define CAIRN_INDEX_FILTER_NODE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "index/filter.h"
#include "index/filter_lexer.h"

namespace cairn::index {

enum class FilterOp : uint8_t { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual };

// Indexed by FilterOp.
inline constexpr std::string_view kFilterOpNames[] = {"=", "!=", "<", "<=", ">", ">="};

// Where two values stand: of different types (or a NaN among them), or in order.
enum class FilterOrder : uint8_t { kIncomparable, kLess, kEqual, kGreater };

FilterOrder CompareFilterValues(const FilterValue& a, const FilterValue& b);

struct Filter::Node {
  enum class Kind : uint8_t { kAnd, kOr, kNot, kCompare, kIn, kNotIn, kExists };
  Kind kind = Kind::kExists;
  FilterOp op = FilterOp::kEqual;  // kCompare.
  std::string field;               // Predicates.
  // kCompare: one. kIn, kNotIn: distinct, sorted by type (booleans, numbers, texts), then by value.
  std::vector<FilterValue> values;
  // kAnd, kOr: at least two, none of the same kind as this node. kNot: one.
  std::vector<Node> children;
};

// The tree of an expression: Filter::Parse but for the limits on its size.
absl::StatusOr<Filter::Node> ParseFilter(std::string_view text);

}  // namespace cairn::index

#endif  // CAIRN_INDEX_FILTER_NODE_H_
