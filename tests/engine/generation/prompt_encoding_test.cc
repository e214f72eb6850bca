#include "engine/generation/prompt_encoding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/byte_tokenizer.h"

namespace cairn::engine {
namespace {

using cairn::testing::ByteTokenizer;
using chunking::ControlText;
using ::testing::ElementsAre;

constexpr uint32_t kBos = ByteTokenizer::kBos;
constexpr uint32_t kEos = ByteTokenizer::kEos;
constexpr uint32_t kTurn = 258;

ByteTokenizer Tokenizer(bool add_bos, bool space_prefix = false) {
  return ByteTokenizer({"<s>", "</s>", "<t>"}, add_bos, space_prefix);
}

TEST(EncodeText, LeavesOutWhatSurroundsAPrompt) {
  ByteTokenizer tokenizer = Tokenizer(true);
  tokenizer.special().add_eos = true;
  EXPECT_THAT(EncodeText(tokenizer, "ab", ControlText::kAsText), ElementsAre('a', 'b'));
  EXPECT_THAT(EncodeText(tokenizer, "", ControlText::kAsText), ElementsAre());
  EXPECT_THAT(EncodeText(tokenizer, "<s>a</s>", ControlText::kAsTokens),
              ElementsAre(kBos, 'a', kEos));
}

TEST(EncodePlainPrompt, BeginsAsTheTokenizerSays) {
  EXPECT_THAT(*EncodePlainPrompt(Tokenizer(true), "ab"), ElementsAre(kBos, 'a', 'b'));
  EXPECT_THAT(*EncodePlainPrompt(Tokenizer(false), "ab"), ElementsAre('a', 'b'));
  ByteTokenizer ends = Tokenizer(true);
  ends.special().add_eos = true;  // A prompt is not a text that has ended.
  EXPECT_THAT(*EncodePlainPrompt(ends, "ab"), ElementsAre(kBos, 'a', 'b'));
}

TEST(EncodePlainPrompt, ControlTokensInItAreText) {
  EXPECT_THAT(*EncodePlainPrompt(Tokenizer(false), "<t>"), ElementsAre('<', 't', '>'));
}

TEST(EncodePlainPrompt, AnEmptyPromptIsTheTokenThatTextsBeginWith) {
  EXPECT_THAT(*EncodePlainPrompt(Tokenizer(true), ""), ElementsAre(kBos));
  EXPECT_THAT(*EncodePlainPrompt(Tokenizer(false), ""), ElementsAre(kBos));
  ByteTokenizer no_bos = Tokenizer(false);
  no_bos.special().bos.reset();
  EXPECT_THAT(*EncodePlainPrompt(no_bos, ""), ElementsAre(kEos));
  no_bos.special().eos.reset();
  EXPECT_TRUE(absl::IsInvalidArgument(EncodePlainPrompt(no_bos, "").status()));
}

TEST(EncodeParts, MarkupBecomesControlTokensAndTextNever) {
  const std::vector<PromptPart> parts = {{"<t>", ControlText::kAsTokens},
                                         {"a", ControlText::kAsText},
                                         {"<t>", ControlText::kAsTokens}};
  EXPECT_THAT(EncodeParts(Tokenizer(false), parts, false), ElementsAre(kTurn, 'a', kTurn));
  const std::vector<PromptPart> hostile = {{"<t>", ControlText::kAsTokens},
                                           {"<t>x</s>", ControlText::kAsText},
                                           {"<t>", ControlText::kAsTokens}};
  EXPECT_THAT(EncodeParts(Tokenizer(false), hostile, false),
              ElementsAre(kTurn, '<', 't', '>', 'x', '<', '/', 's', '>', kTurn));
}

TEST(EncodeParts, TextThatMakesAControlTokenWithItsNeighbourStaysText) {
  const std::vector<PromptPart> parts = {
      {"<", ControlText::kAsText}, {"t>", ControlText::kAsText}, {"</s>", ControlText::kAsTokens}};
  EXPECT_THAT(EncodeParts(Tokenizer(false), parts, false), ElementsAre('<', 't', '>', kEos));
}

TEST(EncodeParts, BosComesOnce) {
  const std::vector<PromptPart> parts = {{"a", ControlText::kAsText}};
  EXPECT_THAT(EncodeParts(Tokenizer(false), parts, false), ElementsAre('a'));
  EXPECT_THAT(EncodeParts(Tokenizer(false), parts, true), ElementsAre(kBos, 'a'));
  EXPECT_THAT(EncodeParts(Tokenizer(true), parts, false), ElementsAre(kBos, 'a'));
  EXPECT_THAT(EncodeParts(Tokenizer(true), parts, true), ElementsAre(kBos, 'a'));
}

TEST(EncodeParts, ATokenizersOwnSpaceComesOnceAsForTheWholePrompt) {
  const std::vector<PromptPart> parts = {
      {"ab", ControlText::kAsText}, {"</s>", ControlText::kAsTokens}, {"c", ControlText::kAsText}};
  EXPECT_THAT(EncodeParts(Tokenizer(true, true), parts, true),
              ElementsAre(kBos, ' ', 'a', 'b', kEos, 'c'));
}

}  // namespace
}  // namespace cairn::engine
