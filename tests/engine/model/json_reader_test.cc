#include "engine/model/json_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace cairn::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Every value as "path=kind:content".
std::vector<std::string> Values(std::string_view json, absl::Status* status) {
  std::vector<std::string> values;
  auto visit = [&values](JsonPath path, const JsonValue& value) {
    std::string line;
    for (const std::string& step : path) line.append("/").append(step);
    line.append("=").append(std::to_string(static_cast<int>(value.kind))).append(":");
    line.append(value.text);
    if (value.kind == JsonValue::Kind::kUnsigned) line += std::to_string(value.number);
    values.push_back(line);
    return absl::OkStatus();
  };
  *status = ReadJson(json, 4, visit);
  return values;
}

std::string JsonError(std::string_view json) {
  absl::Status status;
  Values(json, &status);
  return std::string(status.message());
}

TEST(JsonReader, ReportsEveryValueWithItsPath) {
  absl::Status status;
  EXPECT_THAT(Values(R"({"a":[1,{"b":"x"}],"c":null,"d":-1,"e":0.5,"f":true,"g":{}} )", &status),
              ElementsAre("=6:", "/a=7:", "/a/[]=2:1", "/a/[]=6:", "/a/[]/b=5:x",
                          "/c=0:", "/d=3:", "/e=4:", "/f=1:", "/g=6:"));
  EXPECT_TRUE(status.ok()) << status;
}

TEST(JsonReader, RefusesWhatIsNotOneJsonValue) {
  for (std::string_view json :
       {"", " ", "{", "{}{}", "{} x", "[1,]", "{\"a\"}", "{a:1}", "'a'", "nul", "01", "1e999",
        "\"\\ud800\"", "\"\xff\"", "\"\xc0\x80\"", "// c\n{}", "{\"a\":NaN}", "[\"\n\"]"}) {
    EXPECT_NE(JsonError(json), "") << json;
  }
}

TEST(JsonReader, RefusesNulAndByteOrderMark) {
  using namespace std::string_view_literals;
  EXPECT_EQ(JsonError("{}\0{"sv), "NUL at byte 2");
  EXPECT_EQ(JsonError("\xef\xbb\xbf{}"), "begins with a byte order mark");
}

TEST(JsonReader, RefusesDuplicateKeysOfOneObjectOnly) {
  EXPECT_EQ(JsonError(R"({"a":{"b":1,"c":2},"b":1})"), "");
  EXPECT_EQ(JsonError(R"({"x":{"b":1,"\u0062":2}})"), "duplicate key \"b\"");
}

TEST(JsonReader, LimitsDepth) {
  EXPECT_EQ(JsonError("[[[[1]]]]"), "");
  EXPECT_EQ(JsonError("[[[[[]]]]]"), "nested deeper than 4");
  EXPECT_EQ(JsonError(std::string(10'000'000, '[')), "nested deeper than 4");
}

TEST(JsonReader, StopsAtTheVisitorsError) {
  int calls = 0;
  auto visit = [&calls](JsonPath, const JsonValue&) {
    return ++calls == 2 ? absl::NotFoundError("enough") : absl::OkStatus();
  };
  EXPECT_EQ(ReadJson("[1,2,3]", 1, visit), absl::NotFoundError("enough"));
  EXPECT_EQ(calls, 2);
}

TEST(JsonReader, PrintableTextIsEscapedAndCutBetweenCharacters) {
  EXPECT_EQ(Printable("a\n\x01\u00e9\""), "a\\n\\x01\u00e9\\\"");
  std::string many;
  for (int i = 0; i < 40; ++i) many += "\u20ac";  // Three bytes each: 80 is inside one.
  EXPECT_EQ(Printable(many), many.substr(0, 78) + "...");
}

}  // namespace
}  // namespace cairn::engine
