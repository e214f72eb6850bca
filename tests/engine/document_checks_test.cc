#include "engine/document_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace cairn::engine {
namespace {

using ::testing::HasSubstr;

std::string FaultOf(const chunking::Document& d) {
  const absl::Status s = CheckDocument(d);
  EXPECT_TRUE(s.ok() || absl::IsInvalidArgument(s)) << s;
  return std::string(s.message());
}

chunking::Document Sound() {
  chunking::Document d;
  d.id = "id";
  d.title = "Title";
  d.text = "text";
  return d;
}

std::string FaultOfMetadata(std::string name, chunking::MetadataValue value) {
  chunking::Document d = Sound();
  d.metadata[std::move(name)] = std::move(value);
  return FaultOf(d);
}

TEST(CheckDocument, AcceptsEverythingWithinTheLimits) {
  chunking::Document d = Sound();
  d.id = std::string(1024, 'i');
  d.title = std::string(4096, 't');
  d.source_uri = std::string(8192, 's');
  d.metadata[std::string(1024, 'k')] = std::string("caf\xc3\xa9");
  d.metadata["list"] = std::vector<std::string>{"", "a\nb"};
  d.metadata["number"] = -std::numeric_limits<double>::max();
  d.metadata["big"] = std::string(60'000, 'x');
  EXPECT_EQ(FaultOf(d), "");
}

TEST(CheckDocument, IdsAreShortPrintableAndNotEmpty) {
  chunking::Document d = Sound();
  for (const std::string& id : {std::string(), std::string(1025, 'i'), std::string("a\nb"),
                                std::string("a\0b", 3), std::string("\xff")}) {
    d.id = id;
    EXPECT_THAT(FaultOf(d), HasSubstr("document id")) << id;
  }
}

TEST(CheckDocument, TitlesAreShortTextOnOneLine) {
  chunking::Document d = Sound();
  for (const std::string& title :
       {std::string(4097, 't'), std::string("a\nb"), std::string("a\0b", 3), std::string("\xc3")}) {
    d.title = title;
    EXPECT_THAT(FaultOf(d), HasSubstr("document id: the title")) << title;
  }
}

TEST(CheckDocument, SourcesAreShortText) {
  chunking::Document d = Sound();
  for (const std::string& source :
       {std::string(8193, 's'), std::string("a\0b", 3), std::string("\xed\xa0\x80")}) {
    d.source_uri = source;
    EXPECT_THAT(FaultOf(d), HasSubstr("the source URI")) << source;
  }
}

TEST(CheckDocument, MetadataNamesAreShortTextAndNotEmpty) {
  EXPECT_THAT(FaultOfMetadata("", true), HasSubstr("empty name"));
  EXPECT_THAT(FaultOfMetadata(std::string(1025, 'k'), true), HasSubstr("1025 bytes"));
  EXPECT_THAT(FaultOfMetadata("\xff", true), HasSubstr("not valid UTF-8"));
  EXPECT_THAT(FaultOfMetadata(std::string("a\0b", 3), true), HasSubstr("NUL"));
}

TEST(CheckDocument, MetadataValuesAreFiniteNumbersAndText) {
  for (double x : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    EXPECT_THAT(FaultOfMetadata("n", x), HasSubstr("\"n\" is not a finite number"));
  }
  for (const std::string& bad : {std::string("\xc0\x80"), std::string("a\0b", 3)}) {
    EXPECT_THAT(FaultOfMetadata("s", bad), HasSubstr("\"s\""));
    EXPECT_THAT(FaultOfMetadata("l", std::vector<std::string>{"fine", bad}), HasSubstr("\"l\""));
  }
}

TEST(CheckDocument, MetadataIsSmallHoweverItIsSplit) {
  EXPECT_THAT(FaultOfMetadata("s", std::string(65'536, 'x')), HasSubstr("the metadata has"));
  EXPECT_THAT(FaultOfMetadata("l", std::vector<std::string>(10'000)),
              HasSubstr("the metadata has"));
  chunking::Document d = Sound();
  for (int i = 0; i < 10'000; ++i) d.metadata[std::to_string(i)] = true;
  EXPECT_THAT(FaultOf(d), HasSubstr("the metadata has"));
}

}  // namespace
}  // namespace cairn::engine
