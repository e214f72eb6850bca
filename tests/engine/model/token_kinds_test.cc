#include "engine/model/token_kinds.h"

#include <gtest/gtest.h>

#include "tests/engine/model/model_builder.h"

namespace cairn::engine {
namespace {

using testing::TokenizerJson;

TEST(TokenKinds, TellWordsFromPunctuationAndFromWhatTextNeverHas) {
  const std::vector<std::pair<std::string, TokenKind>> cases = {
      {"[UNK]", TokenKind::kNone},    {"[unused7]", TokenKind::kNone},
      {"[unused]", TokenKind::kNone}, {"[unusedx]", TokenKind::kWord},
      {"the", TokenKind::kWord},      {"##ing", TokenKind::kWord},
      {"a", TokenKind::kWord},        {"##a", TokenKind::kWord},
      {"京", TokenKind::kWord},       {"##é", TokenKind::kWord},
      {"7", TokenKind::kQuiet},       {"##1978", TokenKind::kQuiet},
      {"٣", TokenKind::kQuiet},       {"54th", TokenKind::kWord},
      {",", TokenKind::kQuiet},       {"##!", TokenKind::kQuiet},
      {"。", TokenKind::kQuiet},      {"...", TokenKind::kWord},
      {"##€", TokenKind::kQuiet},     {"™", TokenKind::kQuiet},
      {"あ", TokenKind::kWord},       {"ก", TokenKind::kWord},
      {"²", TokenKind::kQuiet}};
  std::vector<std::string> pieces;
  for (const auto& [piece, kind] : cases) pieces.push_back(piece);
  const auto tokenizer = chunking::LoadTokenizerJson(TokenizerJson(pieces));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const std::vector<TokenKind> kinds = KindsOfTokens(**tokenizer);
  ASSERT_EQ(kinds.size(), cases.size());
  for (size_t i = 0; i < cases.size(); ++i) EXPECT_EQ(kinds[i], cases[i].second) << pieces[i];
}

}  // namespace
}  // namespace cairn::engine
