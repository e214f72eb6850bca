#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "chunking/chunkers/chunker.h"
#include "tests/support/fake_tokenizer.h"

namespace cairn::chunking {
namespace {

using ::testing::HasSubstr;
using Fake = cairn::testing::FakeTokenizer;

std::string ErrorOf(std::string_view name, const ChunkerOptions& options) {
  const Fake tokenizer = Fake::Words();
  const auto made = MakeChunker(name, options, &tokenizer);
  if (made.ok()) return "none";
  EXPECT_EQ(made.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(made.status().message());
}

TEST(MakeChunker, KnowsThreeNames) {
  for (const char* name : {"fixed", "sentence", "structure"}) EXPECT_EQ(ErrorOf(name, {}), "none");
}

TEST(MakeChunker, RefusesAnUnknownNameAndListsTheKnownOnes) {
  EXPECT_THAT(ErrorOf("fxied", {}), HasSubstr("fixed, sentence, structure"));
  EXPECT_THAT(ErrorOf("", {}), HasSubstr("unknown chunker"));
}

TEST(MakeChunker, RefusesLimitsOutOfRange) {
  EXPECT_THAT(ErrorOf("fixed", {7, 0}), HasSubstr("max_tokens is 7"));
  EXPECT_EQ(ErrorOf("fixed", {8, 0}), "none");
  EXPECT_EQ(ErrorOf("fixed", {65536, 0}), "none");
  EXPECT_THAT(ErrorOf("structure", {65537, 0}), HasSubstr("max_tokens is 65537"));
}

TEST(MakeChunker, RefusesOverlapThatLeavesNothingNew) {
  EXPECT_EQ(ErrorOf("fixed", {8, 7}), "none");
  EXPECT_THAT(ErrorOf("fixed", {8, 8}), HasSubstr("overlap_tokens is 8"));
}

TEST(MakeChunker, RefusesOverlapForChunkersThatHaveNone) {
  EXPECT_THAT(ErrorOf("sentence", {64, 8}), HasSubstr("overlap_tokens"));
  EXPECT_THAT(ErrorOf("structure", {64, 8}), HasSubstr("overlap_tokens"));
}

TEST(MakeChunker, RefusesNoTokenizer) { EXPECT_FALSE(MakeChunker("fixed", {}, nullptr).ok()); }

}  // namespace
}  // namespace cairn::chunking
