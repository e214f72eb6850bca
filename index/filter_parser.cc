// Recursive descent over the grammar in filter.h.
#include <algorithm>
#include <cassert>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "index/filter_node.h"

namespace cairn::index {
namespace {

using Kind = FilterToken::Kind;
using Node = Filter::Node;

constexpr int kMaxDepth = 100;

// Booleans, numbers, texts: only values of the same rank compare.
int TypeRank(const FilterValue& value) {
  constexpr int kRanks[] = {0, 1, 1, 2};
  return kRanks[value.index()];
}

bool InListOrder(const FilterValue& a, const FilterValue& b) {
  if (TypeRank(a) != TypeRank(b)) return TypeRank(a) < TypeRank(b);
  return CompareFilterValues(a, b) == FilterOrder::kLess;
}

bool IsEqual(const FilterValue& a, const FilterValue& b) {
  return CompareFilterValues(a, b) == FilterOrder::kEqual;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text), lexer_(text), token_(lexer_.Next()) {}

  absl::StatusOr<Node> Parse() {
    absl::StatusOr<Node> node = ParseJunction(Node::Kind::kOr, 0);
    if (node.ok() && token_.kind != Kind::kEnd) return Error("expected AND, OR or the end");
    return node;
  }

 private:
  // Steps to the next token.
  void Advance() {
    previous_ = token_.source;
    token_ = lexer_.Next();
  }

  // What is wrong with the current token; a token that is no token has its own complaint.
  absl::Status Error(std::string_view message) const {
    if (token_.kind == Kind::kInvalid) message = std::get<std::string>(token_.value);
    return FilterSyntaxError(text_, token_.offset, message);
  }
  // "<message> after <the token before>".
  absl::Status ErrorAfter(std::string_view message) const {
    const std::string quote = !previous_.empty() && previous_[0] == '"' ? "" : "\"";
    return Error(std::string(message) + " after " + quote + FilterExcerpt(previous_) + quote);
  }

  // `kind` is kOr over kAnd, or kAnd over unary expressions. `depth` counts the open parentheses
  // and NOTs.
  absl::StatusOr<Node> ParseJunction(Node::Kind kind, int depth) {
    const bool is_or = kind == Node::Kind::kOr;
    std::vector<Node> operands;
    while (true) {
      absl::StatusOr<Node> operand =
          is_or ? ParseJunction(Node::Kind::kAnd, depth) : ParseUnary(depth);
      if (!operand.ok()) return operand;
      if (operand->kind == kind) {  // Parenthesised: a AND (b AND c).
        std::move(operand->children.begin(), operand->children.end(), std::back_inserter(operands));
      } else {
        operands.push_back(*std::move(operand));
      }
      if (token_.kind != (is_or ? Kind::kOr : Kind::kAnd)) break;
      Advance();
    }
    if (operands.size() == 1) return std::move(operands[0]);
    Node node;
    node.kind = kind;
    node.children = std::move(operands);
    return node;
  }

  absl::StatusOr<Node> ParseUnary(int depth) {
    if (token_.kind != Kind::kNot && token_.kind != Kind::kOpen) return ParsePredicate();
    if (depth == kMaxDepth) return Error(absl::StrCat("nested deeper than ", kMaxDepth));
    if (token_.kind == Kind::kOpen) return ParseParenthesis(depth);
    Advance();
    absl::StatusOr<Node> operand = ParseUnary(depth + 1);
    if (!operand.ok()) return operand;
    Node node;
    node.kind = Node::Kind::kNot;
    node.children.push_back(*std::move(operand));
    return node;
  }

  absl::StatusOr<Node> ParseParenthesis(int depth) {
    const size_t open = token_.offset;
    Advance();
    absl::StatusOr<Node> node = ParseJunction(Node::Kind::kOr, depth + 1);
    if (!node.ok()) return node;
    if (token_.kind == Kind::kEnd) return FilterSyntaxError(text_, open, "unclosed \"(\"");
    if (token_.kind != Kind::kClose) return Error("expected AND, OR or \")\"");
    Advance();
    return node;
  }

  absl::StatusOr<Node> ParsePredicate() {
    Node node;
    if (token_.kind == Kind::kExists) {
      Advance();
      if (token_.kind != Kind::kField) return ErrorAfter("expected a field");
      node.field = std::get<std::string>(std::move(token_.value));
      Advance();
      return node;
    }
    if (token_.kind == Kind::kValue) {
      return Error("expected a field (in back quotes, unless it is an identifier)");
    }
    if (token_.kind != Kind::kField) return Error("expected a field, EXISTS, NOT or \"(\"");
    node.field = std::get<std::string>(std::move(token_.value));
    Advance();
    switch (token_.kind) {
      case Kind::kExists:
        Advance();
        return node;
      case Kind::kOperator:
        return ParseComparison(std::move(node));
      case Kind::kNot:
        Advance();
        if (token_.kind != Kind::kIn) return ErrorAfter("expected IN");
        node.kind = Node::Kind::kNotIn;
        return ParseList(std::move(node));
      case Kind::kIn:
        node.kind = Node::Kind::kIn;
        return ParseList(std::move(node));
      default:
        return ErrorAfter("expected an operator, IN, NOT IN or EXISTS");
    }
  }

  // op value
  absl::StatusOr<Node> ParseComparison(Node node) {
    node.kind = Node::Kind::kCompare;
    const auto* name =
        std::find(std::begin(kFilterOpNames), std::end(kFilterOpNames), token_.source);
    assert(name != std::end(kFilterOpNames));
    node.op = static_cast<FilterOp>(name - std::begin(kFilterOpNames));
    const size_t op_offset = token_.offset;
    Advance();
    if (absl::Status status = ParseValue(&node); !status.ok()) return status;
    if (std::holds_alternative<bool>(node.values[0]) && node.op > FilterOp::kNotEqual) {
      return FilterSyntaxError(text_, op_offset, "true and false compare with = and != only");
    }
    return node;
  }

  // IN "(" value ("," value)* ")"
  absl::StatusOr<Node> ParseList(Node node) {
    Advance();
    if (token_.kind != Kind::kOpen) return ErrorAfter("expected \"(\"");
    const size_t open = token_.offset;
    do {
      Advance();
      if (absl::Status status = ParseValue(&node); !status.ok()) return status;
    } while (token_.kind == Kind::kComma);
    if (token_.kind == Kind::kEnd) return FilterSyntaxError(text_, open, "unclosed \"(\"");
    if (token_.kind != Kind::kClose) return ErrorAfter("expected \",\" or \")\"");
    Advance();
    std::stable_sort(node.values.begin(), node.values.end(), InListOrder);
    node.values.erase(std::unique(node.values.begin(), node.values.end(), IsEqual),
                      node.values.end());
    return node;
  }

  // Appends to node->values.
  absl::Status ParseValue(Node* node) {
    if (token_.kind == Kind::kField) {
      return ErrorAfter("expected a value (text needs quotes)");
    }
    if (token_.kind != Kind::kValue) return ErrorAfter("expected a value");
    node->values.push_back(std::move(token_.value));
    Advance();
    return absl::OkStatus();
  }

  std::string_view text_;
  FilterLexer lexer_;
  FilterToken token_;          // The current one, not consumed yet.
  std::string_view previous_;  // The source of the one before.
};

}  // namespace

absl::StatusOr<Filter::Node> ParseFilter(std::string_view text) { return Parser(text).Parse(); }

}  // namespace cairn::index
