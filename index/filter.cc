#include "index/filter.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/filter_node.h"

namespace cairn::index {
namespace {

using chunking::MetadataValue;
using Node = Filter::Node;

constexpr size_t kMaxBytes = 64 * 1024;

template <typename T>
FilterOrder Order(const T& a, const T& b) {
  if (a < b) return FilterOrder::kLess;
  if (b < a) return FilterOrder::kGreater;
  return a == b ? FilterOrder::kEqual : FilterOrder::kIncomparable;  // NaN is neither.
}

FilterOrder Reverse(FilterOrder order) {
  if (order == FilterOrder::kLess) return FilterOrder::kGreater;
  if (order == FilterOrder::kGreater) return FilterOrder::kLess;
  return order;
}

// Without rounding: not every int64 is a double.
FilterOrder Order(int64_t a, double b) {
  if (std::isnan(b)) return FilterOrder::kIncomparable;
  if (b >= 0x1p63) return FilterOrder::kLess;
  if (b < -0x1p63) return FilterOrder::kGreater;
  const double whole = std::trunc(b);  // In the range of int64, and exactly representable there.
  const FilterOrder order = Order(a, static_cast<int64_t>(whole));
  return order != FilterOrder::kEqual ? order : Order(0.0, b - whole);
}

FilterOrder Order(double a, int64_t b) { return Reverse(Order(b, a)); }

// Where a scalar of the metadata stands to a literal.
template <typename T>
FilterOrder OrderToLiteral(const T& value, const FilterValue& literal) {
  return std::visit(
      [&](const auto& other) {
        using Other = std::decay_t<decltype(other)>;
        if constexpr (std::is_same_v<T, Other> ||
                      (std::is_arithmetic_v<T> && std::is_arithmetic_v<Other> &&
                       !std::is_same_v<T, bool> && !std::is_same_v<Other, bool>)) {
          return Order(value, other);
        } else {
          return FilterOrder::kIncomparable;
        }
      },
      literal);
}

bool Satisfies(FilterOrder order, FilterOp op) {
  switch (op) {
    case FilterOp::kEqual:
      return order == FilterOrder::kEqual;
    case FilterOp::kNotEqual:
      return order == FilterOrder::kLess || order == FilterOrder::kGreater;
    case FilterOp::kLess:
      return order == FilterOrder::kLess;
    case FilterOp::kLessEqual:
      return order == FilterOrder::kLess || order == FilterOrder::kEqual;
    case FilterOp::kGreater:
      return order == FilterOrder::kGreater;
    case FilterOp::kGreaterEqual:
      return order == FilterOrder::kGreater || order == FilterOrder::kEqual;
  }
  return false;
}

// The literals of the type of T within a list sorted by type.
template <typename T>
std::pair<const FilterValue*, const FilterValue*> SameType(const std::vector<FilterValue>& list) {
  const auto rank = [](const FilterValue& v) {
    return std::holds_alternative<bool>(v) ? 0 : std::holds_alternative<std::string>(v) ? 2 : 1;
  };
  const int wanted = std::is_same_v<T, bool> ? 0 : std::is_same_v<T, std::string> ? 2 : 1;
  const FilterValue* begin = list.data();
  const FilterValue* end = begin + list.size();
  const FilterValue* first =
      std::partition_point(begin, end, [&](const FilterValue& v) { return rank(v) < wanted; });
  return {first, std::partition_point(first, end,
                                      [&](const FilterValue& v) { return rank(v) == wanted; })};
}

// True if `value`, which is no list, satisfies the predicate of kind kCompare, kIn or kNotIn.
template <typename T>
bool ScalarMatches(const Node& node, const T& value) {
  if (node.kind == Node::Kind::kCompare) {
    return Satisfies(OrderToLiteral(value, node.values[0]), node.op);
  }
  const auto [first, last] = SameType<T>(node.values);
  if (first == last || OrderToLiteral(value, *first) == FilterOrder::kIncomparable) return false;
  const FilterValue* found = std::partition_point(first, last, [&](const FilterValue& literal) {
    return OrderToLiteral(value, literal) == FilterOrder::kGreater;
  });
  const bool in = found != last && OrderToLiteral(value, *found) == FilterOrder::kEqual;
  return in == (node.kind == Node::Kind::kIn);
}

bool ValueMatches(const Node& node, const MetadataValue& value) {
  return std::visit(
      [&](const auto& v) {
        if constexpr (std::is_same_v<std::decay_t<decltype(v)>, std::vector<std::string>>) {
          return std::any_of(v.begin(), v.end(),
                             [&](const std::string& e) { return ScalarMatches(node, e); });
        } else {
          return ScalarMatches(node, v);
        }
      },
      value);
}

bool NodeMatches(const Node& node, const chunking::Metadata& metadata) {
  const auto matches = [&](const Node& child) { return NodeMatches(child, metadata); };
  switch (node.kind) {
    case Node::Kind::kAnd:
      return std::all_of(node.children.begin(), node.children.end(), matches);
    case Node::Kind::kOr:
      return std::any_of(node.children.begin(), node.children.end(), matches);
    case Node::Kind::kNot:
      return !matches(node.children[0]);
    case Node::Kind::kExists:
      return metadata.find(node.field) != metadata.end();
    case Node::Kind::kCompare:
    case Node::Kind::kIn:
    case Node::Kind::kNotIn:
      break;
  }
  const auto it = metadata.find(node.field);
  return it != metadata.end() && ValueMatches(node, it->second);
}

void AppendQuoted(std::string_view text, char quote, std::string* out) {
  out->push_back(quote);
  for (char c : text) {
    const char* escape = c == '\n' ? "\\n" : c == '\r' ? "\\r" : c == '\t' ? "\\t" : nullptr;
    if (escape != nullptr) {
      out->append(escape);
      continue;
    }
    if (c == quote || c == '\\') out->push_back('\\');
    out->push_back(c);
  }
  out->push_back(quote);
}

void AppendValue(const FilterValue& value, std::string* out) {
  if (const bool* boolean = std::get_if<bool>(&value)) {
    out->append(*boolean ? "true" : "false");
  } else if (const int64_t* integer = std::get_if<int64_t>(&value)) {
    absl::StrAppend(out, *integer);
  } else if (const double* number = std::get_if<double>(&value)) {
    char buffer[32];  // The shortest text that reads back as the same double has at most 24.
    const char* end = std::to_chars(buffer, buffer + sizeof(buffer), *number).ptr;
    const std::string_view digits(buffer, end - buffer);
    // Stays a float when it is read again.
    out->append(digits).append(digits.find_first_of(".e") == digits.npos ? ".0" : "");
  } else {
    AppendQuoted(std::get<std::string>(value), '"', out);
  }
}

void AppendField(const std::string& field, std::string* out) {
  if (IsBareFilterField(field)) {
    out->append(field);
  } else {
    AppendQuoted(field, '`', out);
  }
}

void AppendNode(const Node& node, std::string* out);

// Parentheses go where the grammar needs them, and nowhere else.
void AppendOperand(const Node& node, Node::Kind parent, std::string* out) {
  const bool parentheses =
      node.kind == Node::Kind::kOr || (node.kind == Node::Kind::kAnd && parent == Node::Kind::kNot);
  if (parentheses) out->push_back('(');
  AppendNode(node, out);
  if (parentheses) out->push_back(')');
}

void AppendNode(const Node& node, std::string* out) {
  switch (node.kind) {
    case Node::Kind::kAnd:
    case Node::Kind::kOr:
      for (size_t i = 0; i < node.children.size(); ++i) {
        if (i > 0) out->append(node.kind == Node::Kind::kAnd ? " AND " : " OR ");
        AppendOperand(node.children[i], node.kind, out);
      }
      break;
    case Node::Kind::kNot:
      out->append("NOT ");
      AppendOperand(node.children[0], node.kind, out);
      break;
    case Node::Kind::kExists:
      out->append("EXISTS ");
      AppendField(node.field, out);
      break;
    case Node::Kind::kCompare:
      AppendField(node.field, out);
      out->append(1, ' ').append(kFilterOpNames[static_cast<size_t>(node.op)]).append(1, ' ');
      AppendValue(node.values[0], out);
      break;
    case Node::Kind::kIn:
    case Node::Kind::kNotIn:
      AppendField(node.field, out);
      out->append(node.kind == Node::Kind::kIn ? " IN (" : " NOT IN (");
      for (size_t i = 0; i < node.values.size(); ++i) {
        if (i > 0) out->append(", ");
        AppendValue(node.values[i], out);
      }
      out->push_back(')');
      break;
  }
}

}  // namespace

FilterOrder CompareFilterValues(const FilterValue& a, const FilterValue& b) {
  return std::visit([&](const auto& value) { return OrderToLiteral(value, b); }, a);
}

absl::StatusOr<Filter> Filter::Parse(std::string_view text) {
  if (text.size() > kMaxBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("filter: ", text.size(), " bytes, and at most ", kMaxBytes, " are allowed"));
  }
  absl::StatusOr<Node> node = ParseFilter(text);
  if (!node.ok()) return node.status();
  Filter filter(std::make_shared<const Node>(*std::move(node)));
  // The normal form's spaces may make it longer than the expression; it must stay parsable.
  if (const size_t size = filter.ToString().size(); size > kMaxBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "filter: ", size, " bytes in normal form, and at most ", kMaxBytes, " are allowed"));
  }
  return filter;
}

bool Filter::Matches(const chunking::Metadata& metadata) const {
  return NodeMatches(*root_, metadata);
}

std::string Filter::ToString() const {
  std::string result;
  AppendNode(*root_, &result);
  return result;
}

}  // namespace cairn::index
