#include "engine/generation/text_generator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/support/byte_tokenizer.h"
#include "tests/support/fake_language_model.h"

namespace cairn::engine {
namespace {

using cairn::testing::ByteTokenizer;
using cairn::testing::FakeLanguageModel;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class TextGeneratorTest : public ::testing::Test {
 protected:
  void Start(TextGeneratorOptions options = {}, bool with_template = true) {
    auto tokenizer = std::make_unique<ByteTokenizer>(
        std::vector<std::string>{"<s>", "</s>", "<|im_start|>", "<|im_end|>"});
    tokenizer->special().end_of_generation = {257, 259};
    auto model = std::make_unique<FakeLanguageModel>(260, 512);
    model_ = model.get();
    std::optional<ChatTemplate> chat;
    if (with_template) chat = *ChatTemplate::Detect("", *tokenizer);
    auto generator =
        TextGenerator::Create(std::move(model), std::move(tokenizer), std::move(chat), options);
    ASSERT_TRUE(generator.ok()) << generator.status();
    generator_ = *std::move(generator);
  }

  // The model answers `prompt` with `text` and ends.
  void Answer(const std::vector<uint32_t>& prompt, const std::string& text) {
    model_->adjust = [=](absl::Span<const uint32_t> history, absl::Span<float> logits) {
      if (history.size() < prompt.size() || history.first(prompt.size()) != prompt) return;
      const size_t i = history.size() - prompt.size();
      logits[i < text.size() ? static_cast<uint8_t>(text[i]) : 259] = 50;
    };
  }

  FakeLanguageModel* model_ = nullptr;
  std::unique_ptr<TextGenerator> generator_;
};

std::vector<uint32_t> Bytes(std::string_view text) {
  std::vector<uint32_t> ids;
  for (const char c : text) ids.push_back(static_cast<uint8_t>(c));
  return ids;
}

TEST_F(TextGeneratorTest, GoesOnFromAPrompt) {
  Start();
  Answer(Bytes("Once upon"), " a time");
  std::vector<std::string> texts;
  TextGenerator::Watch watch;
  watch.on_text = [&](std::string_view text) { texts.emplace_back(text); };
  const auto output = generator_->Generate("Once upon", {}, watch);
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_EQ(output->text, " a time");
  EXPECT_THAT(texts, ElementsAre(" ", "a", " ", "t", "i", "m", "e"));
  EXPECT_EQ(output->finish, FinishReason::kEndOfText);
  EXPECT_EQ(output->prompt_tokens, 9u);
  EXPECT_EQ(output->ids.size(), 8u);
  EXPECT_GT(output->prefill_seconds, 0);
  EXPECT_GT(output->decode_seconds, 0);
}

TEST_F(TextGeneratorTest, AnswersAMessage) {
  Start();
  std::vector<uint32_t> prompt = {258};
  for (const uint32_t id : Bytes("user\nHi")) prompt.push_back(id);
  prompt.push_back(259);
  prompt.push_back('\n');
  prompt.push_back(258);
  for (const uint32_t id : Bytes("assistant\n")) prompt.push_back(id);
  Answer(prompt, "Hello!");
  const auto output = generator_->Chat({{ChatRole::kUser, "Hi"}}, {});
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_EQ(output->text, "Hello!");
}

TEST_F(TextGeneratorTest, TheModelsOwnEndTokensEndTextsAndChoices) {
  TextGeneratorOptions options;
  options.end_tokens = {'.', 259};
  Start(options);
  Answer(Bytes("Once upon"), " a time. And");
  const auto output = generator_->Generate("Once upon", {});
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_EQ(output->text, " a time");
  EXPECT_EQ(output->finish, FinishReason::kEndOfText);
  Answer(Bytes("2+2="), "4.");
  const auto ranked = generator_->Choose("2+2=", std::vector<std::string>{"4"}, true, false);
  ASSERT_TRUE(ranked.ok()) << ranked.status();
  EXPECT_NEAR(ranked->front().logprob, 0, 1e-3);  // The end is as good as certain, and not twice.
  options.end_tokens = {260};
  EXPECT_TRUE(absl::IsInvalidArgument(
      TextGenerator::Create(std::make_unique<FakeLanguageModel>(260),
                            std::make_unique<ByteTokenizer>(), std::nullopt, options)
          .status()));
}

TEST_F(TextGeneratorTest, AnEmptyPromptBeginsAText) {
  Start();
  Answer({256}, "Anything");
  EXPECT_EQ(generator_->Generate("", {})->text, "Anything");
}

TEST_F(TextGeneratorTest, ChatNeedsATemplate) {
  Start({}, false);
  EXPECT_TRUE(absl::IsFailedPrecondition(generator_->Chat({{ChatRole::kUser, "Hi"}}, {}).status()));
  EXPECT_TRUE(generator_->Generate("Hi", {}).ok());
}

TEST_F(TextGeneratorTest, TextsThatBeginAlikeAreNotComputedAgain) {
  Start();
  const std::string shared(200, 'x');
  GenerateOptions options;
  options.max_tokens = 2;
  EXPECT_EQ(generator_->Generate(shared + "a", options)->cached_tokens, 0u);
  EXPECT_EQ(generator_->Generate(shared + "b", options)->cached_tokens, 192u);
  EXPECT_EQ(generator_->cache_statistics().hit_tokens, 192u);
}

TEST_F(TextGeneratorTest, CancellingKeepsWhatCame) {
  TextGeneratorOptions few;
  few.token_budget = 16;
  Start(few);
  int passes = 0;
  TextGenerator::Watch watch;
  watch.is_cancelled = [&] { return ++passes > 10; };
  GenerateOptions options;
  options.ignore_eos = true;
  const auto output = generator_->Generate(std::string(64, 'x'), options, watch);
  ASSERT_TRUE(output.ok());
  EXPECT_EQ(output->finish, FinishReason::kCancelled);
  EXPECT_EQ(output->ids.size(), 7u);  // Four passes for the prompt, six further tokens.
  passes = 8;
  const auto early = generator_->Generate(std::string(100, 'y'), options, watch);
  EXPECT_TRUE(early->ids.empty());
}

TEST_F(TextGeneratorTest, TheModelsFaultsAreErrorsAndTheNextTextGoesWell) {
  Start();
  model_->before_pass = [] { return absl::DataLossError("torn"); };
  EXPECT_TRUE(absl::IsDataLoss(generator_->Generate("a", {}).status()));
  model_->before_pass = nullptr;
  EXPECT_TRUE(generator_->Generate("a", {}).ok());
}

TEST_F(TextGeneratorTest, RefusesWhatDoesNotFit) {
  Start();
  EXPECT_TRUE(absl::IsInvalidArgument(generator_->Generate(std::string(512, 'x'), {}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(generator_->Chat({}, {}).status()));
  TextGeneratorOptions small;
  small.kv_bytes = 1;
  EXPECT_TRUE(absl::IsInvalidArgument(
      TextGenerator::Create(std::make_unique<FakeLanguageModel>(260),
                            std::make_unique<ByteTokenizer>(), std::nullopt, small)
          .status()));
}

TEST_F(TextGeneratorTest, ChoosesTheLikeliestCandidate) {
  Start();
  Answer(Bytes("2+2="), "4");
  const std::vector<std::string> candidates = {"3", "4", "44"};
  auto ranked = generator_->Choose("2+2=", candidates, false, false);
  ASSERT_TRUE(ranked.ok()) << ranked.status();
  EXPECT_EQ(ranked->front().index, 1u);
  ranked = generator_->Choose("2+2=", candidates, true, true);
  EXPECT_EQ(ranked->front().index, 1u);
  EXPECT_EQ(ranked->front().tokens, 2u);
  EXPECT_EQ(generator_->ChooseAnswer({{ChatRole::kUser, "2+2?"}}, candidates, false, false)->size(),
            3u);
  EXPECT_TRUE(absl::IsInvalidArgument(generator_->Choose("2+2=", {}, false, false).status()));
}

TEST_F(TextGeneratorTest, ChoosingTakesRoomFromWhatIsKept) {
  TextGeneratorOptions options;
  options.kv_bytes = 6 * FakeLanguageModel(1).kv_layout().page_bytes();
  Start(options);
  GenerateOptions one;
  one.max_tokens = 1;
  ASSERT_TRUE(generator_->Generate(std::string(300, 'x'), one).ok());
  EXPECT_EQ(generator_->cache_statistics().pages, 4u);
  const auto ranked =
      generator_->Choose(std::string(300, 'y'), std::vector<std::string>{"ab", "cd"}, false, false);
  ASSERT_TRUE(ranked.ok()) << ranked.status();
  EXPECT_EQ(ranked->size(), 2u);
}

}  // namespace
}  // namespace cairn::engine
