#include "index/filter.h"

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace cairn::index {
namespace {

using chunking::Metadata;
using chunking::MetadataValue;
using Strings = std::vector<std::string>;

Filter MustParse(const std::string& text) {
  absl::StatusOr<Filter> filter = Filter::Parse(text);
  if (!filter.ok()) {
    ADD_FAILURE() << filter.status().message();
    return *Filter::Parse("EXISTS failed");
  }
  return *std::move(filter);
}

bool Matches(const std::string& text, const Metadata& metadata) {
  return MustParse(text).Matches(metadata);
}

std::string ParseError(const std::string& text) {
  const absl::StatusOr<Filter> filter = Filter::Parse(text);
  if (filter.ok()) return "parsed as " + filter->ToString();
  EXPECT_EQ(filter.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(filter.status().message());
}

const Metadata& Sample() {
  static const Metadata& sample = *new Metadata{
      {"year", int64_t{1999}},
      {"score", 2.5},
      {"lang", std::string("en")},
      {"draft", false},
      {"tags", Strings{"red", "blue"}},
      {"none", Strings{}},
      {"a b", int64_t{1}},
      {"in", int64_t{2}},
  };
  return sample;
}

TEST(Filter, ComparesNumbersWithEveryOperator) {
  for (const std::string field :
       {"year = 1999", "year != 2000", "year < 2000", "year <= 1999", "year > 1998", "year >= 1999",
        "score = 2.5", "score < 3", "score > -1e3", "year = 1999.0", "year<1999.5", "year>+1998"}) {
    EXPECT_TRUE(Matches(field, Sample())) << field;
    EXPECT_FALSE(Matches("NOT " + field, Sample())) << field;
  }
  for (const std::string field : {"year = 1998", "year != 1999", "year < 1999", "year <= 1998",
                                  "year > 1999", "year >= 2000", "score = 2", "score != 2.5"}) {
    EXPECT_FALSE(Matches(field, Sample())) << field;
  }
}

TEST(Filter, ComparesIntegersAndDoublesWithoutRounding) {
  const Metadata odd = {{"n", int64_t{9007199254740993}}};  // 2^53 + 1 is no double.
  EXPECT_FALSE(Matches("n = 9007199254740992.0", odd));
  EXPECT_TRUE(Matches("n > 9007199254740992.0", odd));
  EXPECT_TRUE(Matches("n != 9007199254740992.0", odd));
  EXPECT_TRUE(Matches("n < 9007199254740994.0", odd));
  EXPECT_TRUE(Matches("n = 9007199254740993", odd));
  EXPECT_FALSE(Matches("n IN (9007199254740992.0, 9007199254740994.0)", odd));

  const Metadata even = {{"n", 9007199254740992.0}};
  EXPECT_TRUE(Matches("n < 9007199254740993", even));
  EXPECT_FALSE(Matches("n = 9007199254740993", even));
  EXPECT_TRUE(Matches("n IN (9007199254740991, 9007199254740992, 9007199254740993)", even));

  const Metadata largest = {{"n", std::numeric_limits<int64_t>::max()}};
  EXPECT_TRUE(Matches("n < 9223372036854775808.0", largest));
  EXPECT_FALSE(Matches("n = 9223372036854775808.0", largest));
  EXPECT_TRUE(Matches("n = 9223372036854775807", largest));
  const Metadata least = {{"n", std::numeric_limits<int64_t>::min()}};
  EXPECT_TRUE(Matches("n = -9223372036854775808.0", least));
  EXPECT_TRUE(Matches("n = -9223372036854775808", least));
  EXPECT_TRUE(Matches("n > -1e300", least));
  EXPECT_TRUE(Matches("n < -0.5", Metadata{{"n", int64_t{-1}}}));
  EXPECT_TRUE(Matches("n > -0.5", Metadata{{"n", int64_t{0}}}));
  EXPECT_TRUE(Matches("n = 0", Metadata{{"n", -0.0}}));
}

TEST(Filter, NotANumberMatchesNoComparison) {
  const Metadata nan = {{"n", std::numeric_limits<double>::quiet_NaN()}};
  for (const char* text : {"n = 1", "n != 1", "n < 1.5", "n >= 1.5", "n IN (1)", "n NOT IN (1)"}) {
    EXPECT_FALSE(Matches(text, nan)) << text;
  }
  EXPECT_TRUE(Matches("n > 1", Metadata{{"n", std::numeric_limits<double>::infinity()}}));
}

TEST(Filter, ComparesTextBytewise) {
  EXPECT_TRUE(Matches("lang = \"en\"", Sample()));
  EXPECT_TRUE(Matches("lang = 'en'", Sample()));
  EXPECT_FALSE(Matches("lang = 'EN'", Sample()));
  EXPECT_TRUE(Matches("lang > 'de' AND lang < 'fr'", Sample()));
  EXPECT_TRUE(Matches("lang < 'ena'", Sample()));
  EXPECT_TRUE(Matches("w > 'z'", Metadata{{"w", std::string("\xc3\xa9t\xc3\xa9")}}));
}

TEST(Filter, ComparesBooleansForEqualityOnly) {
  EXPECT_TRUE(Matches("draft = false", Sample()));
  EXPECT_TRUE(Matches("draft != TRUE", Sample()));
  EXPECT_FALSE(Matches("draft = True", Sample()));
  EXPECT_TRUE(Matches("draft IN (true, false)", Sample()));
  EXPECT_THAT(ParseError("draft < true"),
              testing::HasSubstr("true and false compare with = and != only at column 7\n"));
}

TEST(Filter, OtherTypesAndAbsentFieldsSatisfyNoPredicate) {
  for (const std::string text : {"year = '1999'", "year != '1999'",    "lang = 1",
                                 "lang != 1",     "lang < 1",          "draft = 0",
                                 "draft != 0",    "year = true",       "year != true",
                                 "absent = 1",    "absent != 1",       "absent > 'a'",
                                 "absent IN (1)", "absent NOT IN (1)", "EXISTS absent",
                                 "absent EXISTS", "lang IN (1, true)", "lang NOT IN (1, true)",
                                 "tags = 1",      "tags NOT IN (1)",   "none = 'x'",
                                 "none != 'x'",   "none NOT IN ('x')"}) {
    EXPECT_FALSE(Matches(text, Sample())) << text;
    EXPECT_TRUE(Matches("NOT (" + text + ")", Sample())) << text;
  }
}

TEST(Filter, InFindsValuesOfAnyTypeInLongLists) {
  EXPECT_TRUE(Matches("year IN (1, 'x', 1999)", Sample()));
  EXPECT_TRUE(Matches("year in (1999.0)", Sample()));
  EXPECT_TRUE(Matches("lang NOT IN ('de', 1)", Sample()));
  EXPECT_FALSE(Matches("lang not in ('de', 'en')", Sample()));
  std::string list = "0";
  for (int i = 1; i < 500; ++i) list += ", " + std::to_string(i * 7919 % 503 * 2);
  for (int64_t n = 0; n < 1006; ++n) {
    const bool even = n % 2 == 0;
    bool listed = n == 0;
    for (int i = 1; even && i < 500; ++i) listed |= i * 7919 % 503 * 2 == n;
    ASSERT_EQ(Matches("n IN (" + list + ")", Metadata{{"n", n}}), listed) << n;
  }
}

TEST(Filter, ListsMatchWhenAnyElementDoes) {
  EXPECT_TRUE(Matches("tags = 'blue'", Sample()));
  EXPECT_TRUE(Matches("tags != 'blue'", Sample()));  // Since one of them is red.
  EXPECT_FALSE(Matches("tags = 'green'", Sample()));
  EXPECT_TRUE(Matches("tags IN ('green', 'red')", Sample()));
  EXPECT_TRUE(Matches("tags NOT IN ('red')", Sample()));
  EXPECT_FALSE(Matches("tags NOT IN ('red', 'blue')", Sample()));
  EXPECT_TRUE(Matches("EXISTS none", Sample()));
}

TEST(Filter, AndBindsTighterThanOrAndNotTighterThanAnd) {
  const Metadata m = {{"t", true}, {"f", false}};
  EXPECT_TRUE(Matches("t = true OR t = true AND f = true", m));
  EXPECT_FALSE(Matches("(t = true OR t = true) AND f = true", m));
  EXPECT_TRUE(Matches("NOT f = true AND t = true", m));
  EXPECT_FALSE(Matches("NOT (f = true OR t = true)", m));
  EXPECT_TRUE(Matches("not not t = true", m));
  EXPECT_TRUE(Matches("f=true oR(t=true aNd not f=true)", m));
}

TEST(Filter, BackQuotesNameAnyField) {
  EXPECT_TRUE(Matches("`a b` = 1", Sample()));
  EXPECT_TRUE(Matches("`in` = 2", Sample()));
  EXPECT_TRUE(Matches("`year` = 1999 AND EXISTS `in`", Sample()));
  EXPECT_TRUE(Matches("`a\\`b\\\\` = 1", Metadata{{"a`b\\", int64_t{1}}}));
  EXPECT_TRUE(Matches("a.b-c_d = 1", Metadata{{"a.b-c_d", int64_t{1}}}));
  EXPECT_TRUE(Matches("order = 1 AND android = 2",
                      Metadata{{"order", int64_t{1}}, {"android", int64_t{2}}}));
}

TEST(Filter, EscapesStandForTheirCharacters) {
  EXPECT_TRUE(
      Matches(R"(s = "a\"b\\c\n\r\t\'\`")", Metadata{{"s", std::string("a\"b\\c\n\r\t'`")}}));
  EXPECT_TRUE(Matches(R"(s = 'it\'s')", Metadata{{"s", std::string("it's")}}));
  const std::string raw("a\0b\xff\n", 5);
  EXPECT_TRUE(Matches("s = '" + raw + "'", Metadata{{"s", raw}}));
}

TEST(Filter, NormalFormIsMinimalAndCanonical) {
  const std::pair<const char*, const char*> forms[] = {
      {"((a=1))", "a = 1"},
      {"a=1 and(b=2 and c=3)", "a = 1 AND b = 2 AND c = 3"},
      {"(a=1 and b=2)or c=3", "a = 1 AND b = 2 OR c = 3"},
      {"a=1 and(b=2 or c=3)", "a = 1 AND (b = 2 OR c = 3)"},
      {"not(a=1 and b=2)", "NOT (a = 1 AND b = 2)"},
      {"not(not(a=1))", "NOT NOT a = 1"},
      {"a exists", "EXISTS a"},
      {"exists `or`", "EXISTS `or`"},
      {"`plain`='x'", "plain = \"x\""},
      {"a='say \"hi\"\\n'", "a = \"say \\\"hi\\\"\\n\""},
      {"a in('b',3,2.5,true,3.0,'a','b',2)", "a IN (true, 2, 2.5, 3, \"a\", \"b\")"},
      {"a not in(FALSE)", "a NOT IN (false)"},
      {"a=+5", "a = 5"},
      {"a=5.0", "a = 5.0"},
      {"a=1e2", "a = 100.0"},
      {"a=1E+300", "a = 1e+300"},
      {"a=-0.0", "a = -0.0"},
      {"a=0.1", "a = 0.1"},
  };
  for (const auto& [text, normal] : forms) {
    EXPECT_EQ(MustParse(text).ToString(), normal) << text;
    EXPECT_EQ(MustParse(normal).ToString(), normal) << text;
  }
}

TEST(Filter, ErrorShowsTheExpressionAndACaret) {
  EXPECT_EQ(ParseError("year = = 3"),
            "filter: expected a value after \"=\" at column 8\n"
            "  year = = 3\n"
            "         ^");
}

TEST(Filter, ErrorsSayWhatIsWrongWhere) {
  const std::pair<const char*, const char*> errors[] = {
      {"", "expected a field, EXISTS, NOT or \"(\" at column 1\n"},
      {"  ", "expected a field, EXISTS, NOT or \"(\" at column 3\n"},
      {"year", "expected an operator, IN, NOT IN or EXISTS after \"year\" at column 5\n"},
      {"year 3", "expected an operator, IN, NOT IN or EXISTS after \"year\" at column 6\n"},
      {"year =", "expected a value after \"=\" at column 7\n"},
      {"lang = en", "expected a value (text needs quotes) after \"=\" at column 8\n"},
      {"lang = 'en", "unclosed text at column 8\n"},
      {"lang = \"en\\", "unclosed text at column 8\n"},
      {"lang = 'a\\x'", "unknown escape (known: \\\\ \\\" \\' \\` \\n \\r \\t) at column 10\n"},
      {"`lang = 1", "unclosed field name at column 1\n"},
      {"'lang' = 1", "expected a field (in back quotes, unless it is an identifier) at column 1\n"},
      {"= 1", "expected a field, EXISTS, NOT or \"(\" at column 1\n"},
      {"a == 1", "unknown operator \"==\" (known: = != < <= > >=) at column 3\n"},
      {"a <> 1", "unknown operator \"<>\""},
      {"a = 1 && b = 2", "unknown operator \"&&\" (known: = != < <= > >=) at column 7\n"},
      {"a ; 1", "unexpected \";\" at column 3\n"},
      {"a = 1 b", "expected AND, OR or the end at column 7\n"},
      {"a = 1)", "expected AND, OR or the end at column 6\n"},
      {"a = 1 AND", "expected a field, EXISTS, NOT or \"(\" at column 10\n"},
      {"a = 1 OR OR b = 1", "at column 10\n"},
      {"(a = 1", "unclosed \"(\" at column 1\n"},
      {"(a = 1 b", "expected AND, OR or \")\" at column 8\n"},
      {"()", "expected a field, EXISTS, NOT or \"(\" at column 2\n"},
      {"a NOT b", "expected IN after \"NOT\" at column 7\n"},
      {"a IN 1", "expected \"(\" after \"IN\" at column 6\n"},
      {"a IN ()", "expected a value after \"(\" at column 7\n"},
      {"a IN (1,)", "expected a value after \",\" at column 9\n"},
      {"a IN ('x' 2)", "expected \",\" or \")\" after \"'x'\" at column 11\n"},
      {"a IN (\"x\" 2)", "expected \",\" or \")\" after \"x\" at column 11\n"},
      {"a IN (1", "unclosed \"(\" at column 6\n"},
      {"EXISTS", "expected a field after \"EXISTS\" at column 7\n"},
      {"in = 1", "expected a field, EXISTS, NOT or \"(\" at column 1\n"},
      {"a = 12x", "malformed number at column 5\n"},
      {"a = 1.", "malformed number at column 5\n"},
      {"a = 1e", "malformed number at column 5\n"},
      {"a = 1.2.3", "malformed number at column 5\n"},
      {"a = .5", "unexpected \".\" at column 5\n"},
      {"a = nan", "text needs quotes"},
      {"a = 9223372036854775808", "integer beyond 64 bits at column 5\n"},
      {"a = -1e999", "number beyond the range of a double at column 5\n"},
  };
  for (const auto& [text, message] : errors) {
    EXPECT_THAT(ParseError(text), testing::HasSubstr(message)) << text;
  }
}

TEST(Filter, ColumnsCountCodePoints) {
  EXPECT_EQ(ParseError("`\xc3\xa9t\xc3\xa9` = '\xe6\x97\xa5\xf0\x9f\x98\x80' x"),
            "filter: expected AND, OR or the end at column 14\n"
            "  `\xc3\xa9t\xc3\xa9` = '\xe6\x97\xa5\xf0\x9f\x98\x80' x\n"
            "               ^");
  EXPECT_THAT(ParseError("a = \xe2\x80\x9cx\xe2\x80\x9d"),
              testing::HasSubstr("unexpected \"\xe2\x80\x9c\" at column 5\n"));
}

TEST(Filter, ErrorsArePrintableWhateverTheExpressionHolds) {
  const std::string replacement = "\xef\xbf\xbd";
  EXPECT_EQ(ParseError(std::string("a\n= '\0\xff\xc3' \x7f\xe2\x80", 13)),
            "filter: unexpected \" \" at column 11\n"
            "  a = ' " +
                replacement + replacement + "'  " + replacement + replacement +
                "\n"
                "            ^");
  EXPECT_THAT(ParseError("`\x1b[31m` 1"), testing::Not(testing::HasSubstr("\x1b")));
}

TEST(Filter, ErrorsInLongExpressionsShowAWindow) {
  std::string text;
  while (text.size() < 5000) text += "a = 1 AND ";
  text += "a = 1 # ";
  while (text.size() < 10000) text += "AND a = 1 ";
  const std::string message = ParseError(text);
  EXPECT_LT(message.size(), 300u);
  const size_t first = message.find('\n');
  const size_t second = message.find('\n', first + 1);
  const std::string line = message.substr(first + 1, second - first - 1);
  EXPECT_EQ(line[message.size() - second - 2], '#') << message;
  EXPECT_LT(ParseError("a = '" + std::string(60000, 'x') + "' b").size(), 300u);
  EXPECT_LT(ParseError("a " + std::string(60000, '=') + " b").size(), 300u);
}

TEST(Filter, RefusesDeepNesting) {
  const auto nested = [](const std::string& open, const std::string& close, int depth) {
    std::string text = "a = 1";
    for (int i = 0; i < depth; ++i) text = open + text + close;
    return text;
  };
  EXPECT_EQ(MustParse(nested("(", ")", 100)).ToString(), "a = 1");
  EXPECT_THAT(ParseError(nested("(", ")", 101)),
              testing::HasSubstr("nested deeper than 100 at column 101\n"));
  MustParse(nested("NOT ", "", 100));
  EXPECT_THAT(ParseError(nested("NOT ", "", 101)), testing::HasSubstr("nested deeper than 100"));
  EXPECT_THAT(ParseError(nested("(NOT ", ")", 51)), testing::HasSubstr("nested deeper than 100"));
  EXPECT_THAT(ParseError(std::string(60000, '(')), testing::HasSubstr("nested deeper than 100"));
}

TEST(Filter, RefusesLongExpressionsAndNormalForms) {
  const auto text_of = [](size_t size) { return "a = '" + std::string(size - 6, 'x') + "'"; };
  MustParse(text_of(65536));
  EXPECT_THAT(ParseError(text_of(65537)), testing::HasSubstr("65537 bytes"));
  std::string compact = "a in(1";
  while (compact.size() < 60000) compact.append(1, ',').append(std::to_string(compact.size()));
  EXPECT_THAT(ParseError(compact + ")"), testing::HasSubstr("in normal form"));
}

// Random expressions with, beside the text, a reference that decides them by other means.
struct Generated {
  std::string text;
  std::function<bool(const Metadata&)> matches;
};

class Generator {
 public:
  explicit Generator(uint32_t seed) : rng_(seed) {}

  int Pick(int n) { return static_cast<int>(rng_() % static_cast<uint32_t>(n)); }

  MetadataValue Scalar() {
    switch (Pick(4)) {
      case 0:
        return Pick(2) == 0;
      case 1:
        return static_cast<int64_t>(Pick(5)) - 2 + (Pick(8) == 0 ? int64_t{1} << 53 : 0);
      case 2:
        return (Pick(9) - 4) * 0.5 + (Pick(8) == 0 ? 0x1p53 : 0.0);
      default:
        return kTexts[Pick(kTextCount)];
    }
  }

  Metadata RandomMetadata() {
    Metadata metadata;
    for (const std::string& field : kFields) {
      if (Pick(4) == 0) continue;
      if (Pick(4) > 0) {
        metadata[field] = Scalar();
        continue;
      }
      Strings list;
      for (int i = Pick(4); i > 0; --i) list.push_back(kTexts[Pick(kTextCount)]);
      metadata[field] = list;
    }
    return metadata;
  }

  Generated Expression(int depth) {
    if (depth == 0 || Pick(4) == 0) return Predicate();
    if (Pick(3) == 0) {
      const Generated operand = Expression(depth - 1);
      return {Spell("NOT") + " (" + operand.text + ")",
              [m = operand.matches](const Metadata& d) { return !m(d); }};
    }
    const bool is_and = Pick(2) == 0;
    Generated result = Expression(depth - 1);
    result.text = "(" + result.text + ")";
    for (int i = 1 + Pick(2); i > 0; --i) {
      const Generated next = Expression(depth - 1);
      result.text += (is_and ? Spell(" AND") : Spell(" OR")) + "(" + next.text + ")";
      result.matches = [is_and, a = result.matches, b = next.matches](const Metadata& d) {
        return is_and ? a(d) && b(d) : a(d) || b(d);
      };
    }
    return result;
  }

 private:
  static constexpr int kTextCount = 6;
  inline static const std::string kTexts[kTextCount] = {"",    "a",         "b\"\\",
                                                        "c'`", "\n\xff\t ", "\xc3\xa9"};
  inline static const std::string kFields[] = {"x", "y.z", "not", "two words", "q`\\"};

  // A keyword in random case.
  std::string Spell(std::string word) {
    for (char& c : word) {
      if (Pick(2) == 0 && c >= 'A') c = static_cast<char>(c - 'A' + 'a');
    }
    return word;
  }

  static std::string Quote(const std::string& text, char quote) {
    std::string result(1, quote);
    for (char c : text) {
      if (c == quote || c == '\\') result += '\\';
      result += c;
    }
    return result + quote;
  }

  static std::string Literal(const MetadataValue& value, char quote) {
    if (const bool* b = std::get_if<bool>(&value)) return *b ? "true" : "false";
    if (const int64_t* i = std::get_if<int64_t>(&value)) return std::to_string(*i);
    if (const double* d = std::get_if<double>(&value)) return std::to_string(*d);
    return Quote(std::get<std::string>(value), quote);
  }

  // -1, 0 or 1; nothing for different types. long double holds every int64 and double here.
  static std::optional<int> Compare(const MetadataValue& a, const MetadataValue& b) {
    const auto number = [](const MetadataValue& v) -> std::optional<long double> {
      if (const int64_t* i = std::get_if<int64_t>(&v)) return *i;
      if (const double* d = std::get_if<double>(&v)) return *d;
      return std::nullopt;
    };
    const auto x = number(a), y = number(b);
    if (x && y) return *x < *y ? -1 : *x > *y ? 1 : 0;
    if (x || y || a.index() != b.index()) return std::nullopt;
    return a < b ? -1 : a == b ? 0 : 1;
  }

  static bool AnyElement(const Metadata& metadata, const std::string& field,
                         const std::function<bool(const MetadataValue&)>& predicate) {
    const auto it = metadata.find(field);
    if (it == metadata.end()) return false;
    const auto* list = std::get_if<Strings>(&it->second);
    if (list == nullptr) return predicate(it->second);
    for (const std::string& element : *list) {
      if (predicate(element)) return true;
    }
    return false;
  }

  Generated Predicate() {
    const std::string field = kFields[Pick(5)];
    const std::string name = field == "x" || field == "y.z" ? field : Quote(field, '`');
    const char quote = Pick(2) == 0 ? '"' : '\'';
    const int kind = Pick(5);
    if (kind == 0) {
      return {Pick(2) == 0 ? Spell("EXISTS") + " " + name : name + " " + Spell("EXISTS"),
              [field](const Metadata& d) { return d.count(field) > 0; }};
    }
    if (kind == 1) {
      const bool negated = Pick(2) == 0;
      std::vector<MetadataValue> values;
      std::string text = name + (negated ? Spell(" NOT IN(") : Spell(" IN("));
      for (int i = 0; i == 0 || Pick(3) > 0; ++i) {
        values.push_back(Scalar());
        text += (i > 0 ? ", " : "") + Literal(values.back(), quote);
      }
      return {text + ")", [field, values, negated](const Metadata& d) {
                return AnyElement(d, field, [&](const MetadataValue& v) {
                  bool comparable = false, equal = false;
                  for (const MetadataValue& value : values) {
                    comparable |= Compare(v, value).has_value();
                    equal |= Compare(v, value) == 0;
                  }
                  return negated ? comparable && !equal : equal;
                });
              }};
    }
    const MetadataValue value = Scalar();
    const int op = Pick(std::holds_alternative<bool>(value) ? 2 : 6);
    const char* ops[] = {"=", "!=", "<", "<=", ">", ">="};
    return {name + (Pick(2) == 0 ? " " : "") + ops[op] + " " + Literal(value, quote),
            [field, value, op](const Metadata& d) {
              return AnyElement(d, field, [&](const MetadataValue& v) {
                const std::optional<int> order = Compare(v, value);
                const bool holds[] = {order == 0, order != 0, order<0, order <= 0, order> 0,
                                      order >= 0};
                return order.has_value() && holds[op];
              });
            }};
  }

  std::mt19937 rng_;
};

TEST(Filter, RandomExpressionsAndTheirNormalFormsMatchTheReference) {
  static_assert(std::numeric_limits<long double>::digits >= 53);
  Generator generator(5);
  int matched = 0;
  for (int round = 0; round < 3000; ++round) {
    const Generated expression = generator.Expression(generator.Pick(5));
    const Filter filter = MustParse(expression.text);
    const std::string normal = filter.ToString();
    const Filter again = MustParse(normal);
    ASSERT_EQ(again.ToString(), normal) << expression.text;
    for (int i = 0; i < 20; ++i) {
      const Metadata metadata = generator.RandomMetadata();
      const bool expected = expression.matches(metadata);
      ASSERT_EQ(filter.Matches(metadata), expected) << expression.text;
      ASSERT_EQ(again.Matches(metadata), expected) << normal;
      matched += expected;
    }
  }
  EXPECT_GT(matched, 3000);  // Neither outcome is rare.
  EXPECT_LT(matched, 57000);
}

TEST(Filter, RandomBytesNeverCrash) {
  std::mt19937 rng(6);
  const char bytes[] = "()`'\"\\=!<>,.-+eE09aANDORNTXISin \n\0\xc3\xa9\xff";
  const std::string alphabet(bytes, sizeof(bytes) - 1);
  for (int round = 0; round < 50000; ++round) {
    std::string text;
    for (int i = static_cast<int>(rng() % 40); i > 0; --i)
      text += alphabet[rng() % alphabet.size()];
    const absl::StatusOr<Filter> filter = Filter::Parse(text);
    if (filter.ok()) {
      ASSERT_EQ(MustParse(filter->ToString()).ToString(), filter->ToString());
    }
  }
}

}  // namespace
}  // namespace cairn::index
