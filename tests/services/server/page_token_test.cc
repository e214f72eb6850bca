#include "services/server/page_token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "absl/strings/escaping.h"

namespace cairn::services {
namespace {

using ::testing::HasSubstr;

const std::string kKey(32, 'k');

TEST(PageTokens, AreReadAsTheyWereMade) {
  const PageTokens tokens(kKey);
  for (const std::string& after :
       {std::string(), std::string("doc 7"), std::string("\0\xFF\n", 3), std::string(4096, 'x')}) {
    const std::string token = tokens.Make("list a", after);
    EXPECT_EQ(token.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                      "0123456789-_"),
              std::string::npos);
    const auto read = PageTokens(kKey).Read("list a", token);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(*read, after);
  }
}

TEST(PageTokens, AreNoGoodForAnotherRequest) {
  const PageTokens tokens(kKey);
  const auto read = tokens.Read("list b", tokens.Make("list a", "7"));
  EXPECT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(read.status().message()), HasSubstr("another request"));
}

TEST(PageTokens, AreNoGoodForAnotherServer) {
  const auto read = PageTokens(std::string(32, 'o')).Read("r", PageTokens(kKey).Make("r", "7"));
  EXPECT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(read.status().message()), HasSubstr("none of this server's"));
}

TEST(PageTokens, EveryChangedBitIsSeen) {
  const PageTokens tokens(kKey);
  std::string bytes;
  ASSERT_TRUE(absl::WebSafeBase64Unescape(tokens.Make("r", "key"), &bytes));
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string changed = bytes;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_EQ(tokens.Read("r", absl::WebSafeBase64Escape(changed)).status().code(),
              absl::StatusCode::kInvalidArgument)
        << bit;
  }
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(tokens.Read("r", absl::WebSafeBase64Escape(bytes.substr(0, size))).ok()) << size;
  }
  EXPECT_FALSE(tokens.Read("r", absl::WebSafeBase64Escape(bytes + "x")).ok());
}

TEST(PageTokens, AnythingElseIsNoToken) {
  const PageTokens tokens(kKey);
  std::mt19937 random(7);
  for (int i = 0; i < 2000; ++i) {
    std::string text(random() % 100, '\0');
    for (char& c : text) c = static_cast<char>(random());
    EXPECT_FALSE(tokens.Read("r", text).ok());
    EXPECT_FALSE(tokens.Read("r", absl::WebSafeBase64Escape(text)).ok());
  }
  EXPECT_FALSE(tokens.Read("r", "").ok());
  EXPECT_FALSE(tokens.Read("r", std::string(10 << 20, 'A')).ok());
}

TEST(PageTokens, TheKeyCannotMoveBetweenRequestAndPosition) {
  const PageTokens tokens(kKey);
  EXPECT_NE(tokens.Make("ab", "c"), tokens.Make("a", "bc"));
  EXPECT_FALSE(tokens.Read("a", tokens.Make("ab", "c")).ok());
}

}  // namespace
}  // namespace cairn::services
