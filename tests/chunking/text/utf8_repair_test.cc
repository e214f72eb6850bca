#include "chunking/text/utf8_repair.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace cairn::chunking {
namespace {

std::string Repaired(std::string_view bytes) {
  std::string out;
  AppendRepairedUtf8(bytes, &out);
  return out;
}

TEST(AppendRepairedUtf8, ReplacesEachBrokenCharacterOnce) {
  EXPECT_EQ(Repaired(""), "");
  EXPECT_EQ(Repaired("a\u00E9\u4E2D\U0001F600"), "a\u00E9\u4E2D\U0001F600");
  // As Python's bytes.decode("utf-8", "replace").
  EXPECT_EQ(Repaired("\xE4\xB8"
                     "a"),
            "\uFFFD"
            "a");
  EXPECT_EQ(Repaired("\xF0\x9F\x98"), "\uFFFD");
  EXPECT_EQ(Repaired("\xF0\x9F\x98\xF0\x9F\x98\x80"), "\uFFFD\U0001F600");
  EXPECT_EQ(Repaired("\x80\x80"), "\uFFFD\uFFFD");
  EXPECT_EQ(Repaired("\xC0\x80"), "\uFFFD\uFFFD");
  EXPECT_EQ(Repaired("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(Repaired("\xF4\x90\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(Repaired("\xE0\x80\x80"), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(Repaired("\xF0\x80\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(Repaired("\xFF"
                     "b\xC3"),
            "\uFFFD"
            "b\uFFFD");
}

TEST(UnfinishedUtf8, CountsWhatFurtherBytesMayComplete) {
  EXPECT_EQ(UnfinishedUtf8(""), 0u);
  EXPECT_EQ(UnfinishedUtf8("a"), 0u);
  EXPECT_EQ(UnfinishedUtf8("a\xC3"), 1u);
  EXPECT_EQ(UnfinishedUtf8("\xE4\xB8"), 2u);
  EXPECT_EQ(UnfinishedUtf8("\xF0\x9F\x98"), 3u);
  EXPECT_EQ(UnfinishedUtf8("\U0001F600"), 0u);
  EXPECT_EQ(UnfinishedUtf8("\x80\x80\x80\x80"), 0u);
  EXPECT_EQ(UnfinishedUtf8("\xED\xA0"), 0u);  // A surrogate cannot be completed.
  EXPECT_EQ(UnfinishedUtf8("\xC0"), 0u);
  EXPECT_EQ(UnfinishedUtf8("\xF4\x90"), 0u);
}

// Cutting a stream anywhere, and holding back what is unfinished, changes nothing.
TEST(UnfinishedUtf8, LetsStreamsBeRepairedPieceByPiece) {
  std::mt19937 random(5);
  for (int i = 0; i < 20000; ++i) {
    std::string bytes, pending, streamed;
    for (unsigned k = random() % 12; k > 0; --k) {
      bytes += "a\x80\xBF\x90\xA0\xC3\xE0\xE4\xED\xF0\xF4\xFF\x9F"[random() % 13];
    }
    for (const char byte : bytes) {
      pending += byte;
      const size_t ready = pending.size() - UnfinishedUtf8(pending);
      AppendRepairedUtf8(std::string_view(pending).substr(0, ready), &streamed);
      pending.erase(0, ready);
      ASSERT_LE(pending.size(), 3u);
    }
    AppendRepairedUtf8(pending, &streamed);
    ASSERT_EQ(streamed, Repaired(bytes)) << ::testing::PrintToString(bytes);
  }
}

}  // namespace
}  // namespace cairn::chunking
