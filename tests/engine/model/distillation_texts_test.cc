#include "engine/model/distillation_texts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace cairn::engine {
namespace {

using cairn::testing::TempDir;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

TEST(DistillationTexts, AreTheLinesThatAreNotBlank) {
  const TempDir dir;
  std::vector<std::string> texts = {"before"};
  const std::string path = dir.Write("t", "one text\r\n\n \t \nthe last: naïve");
  ASSERT_TRUE(AppendLines(path, &texts).ok());
  EXPECT_THAT(texts, ElementsAre("before", "one text", "the last: naïve"));
}

TEST(DistillationTexts, BadFilesAreNamed) {
  const TempDir dir;
  std::vector<std::string> texts;
  absl::Status status = AppendLines(dir.file("none"), &texts);
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("none"));
  status = AppendLines(dir.path(), &texts);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  status = AppendLines(dir.Write("bad", "fine\nnot \xff so\n"), &texts);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("bad: line 2: not valid UTF-8"));
}

constexpr char kNoun[] =
    "  1 This software and database is being provided to you | as it is\n"
    "00001740 03 n 02 entity 0 physical_thing 1 003 ~ 00001930 n 0000 | that which is; \"it \" "
    "is\"  "
    "\n";

class Wordnet : public ::testing::Test {
 protected:
  Wordnet() {
    dir_.Write("data.noun", kNoun);
    dir_.Write("data.verb", "00001740 29 v 01 breathe 0 000 01 + 02 00 | draw air | and let go\n");
    dir_.Write("data.adj", "00001740 00 a 02 afloat(p) 0 a(1) 0 000 | on water\n");
    dir_.Write("data.adv", "");
  }
  std::string ErrorOf(const std::string& line) {
    dir_.Write("data.adv", "\n" + line + "\n");
    std::vector<std::string> texts;
    const absl::Status status = AppendWordnet(dir_.path(), &texts);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << line;
    return std::string(status.message());
  }
  const TempDir dir_;
};

TEST_F(Wordnet, SynsetsBecomeWordsAndGloss) {
  std::vector<std::string> texts;
  const absl::Status status = AppendWordnet(dir_.path(), &texts);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(texts, ElementsAre("entity, physical thing: that which is; \"it \" is\"",
                                 "breathe: draw air | and let go", "afloat, a(1): on water"));
}

TEST_F(Wordnet, CountsAreHexadecimal) {
  std::string line = "00001740 00 r 0b";
  for (int i = 0; i < 11; ++i) line += " w" + std::to_string(i) + " 0";
  dir_.Write("data.adv", line + " 000 | gloss\n");
  std::vector<std::string> texts;
  ASSERT_TRUE(AppendWordnet(dir_.path(), &texts).ok());
  EXPECT_THAT(texts.back(), HasSubstr("w9, w10: gloss"));
}

TEST_F(Wordnet, WhatIsNotInTheFormatIsNamedByItsLine) {
  for (const char* line :
       {"00001740 00 r 01 word 0 000", "00001740 00 r | gloss", "1 2 r 00 word 0 | gloss",
        "1 2 r 02 word 0 other | gloss", "1 2 r xx word 0 | gloss", "1 2 r ffffffff word 0 | g",
        "1 2 r fffffffff word 0 | g"}) {
    EXPECT_THAT(ErrorOf(line), HasSubstr("data.adv: line 2: ")) << line;
  }
}

TEST_F(Wordnet, AllFourFilesMustBeThere) {
  ASSERT_EQ(std::remove(dir_.file("data.verb").c_str()), 0);
  std::vector<std::string> texts;
  EXPECT_EQ(AppendWordnet(dir_.path(), &texts).code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace cairn::engine
