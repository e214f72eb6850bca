// Run under ThreadSanitizer as well.
#include "engine/generation/shared_generator.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "tests/support/byte_tokenizer.h"
#include "tests/support/fake_language_model.h"

namespace cairn::engine {
namespace {

using cairn::testing::ByteTokenizer;
using cairn::testing::FakeLanguageModel;
using Tokens = FakeLanguageModel::Tokens;

class SharedGeneratorTest : public ::testing::Test {
 protected:
  void Start(TextGeneratorOptions options = {}) {
    auto model = std::make_unique<FakeLanguageModel>(258, 1024);
    model_ = model.get();
    auto made = SharedGenerator::Create(std::move(model), std::make_unique<ByteTokenizer>(),
                                        std::nullopt, options);
    ASSERT_TRUE(made.ok()) << made.status();
    generator_ = *std::move(made);
  }

  static GenerateOptions Tokens100() {
    GenerateOptions options;
    options.max_tokens = 100;
    options.ignore_eos = true;
    return options;
  }

  FakeLanguageModel* model_ = nullptr;
  std::unique_ptr<SharedGenerator> generator_;
};

TEST_F(SharedGeneratorTest, ThreadsGetTheirOwnTextsOnTheirOwnThreads) {
  Start();
  const FakeLanguageModel reference(258);
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const std::thread::id self = std::this_thread::get_id();
      for (uint32_t i = 0; i < 5; ++i) {
        const Tokens prompt(20 + i, 'a' + t);
        std::string text;
        TextGenerator::Watch watch;
        watch.on_text = [&](std::string_view piece) {
          EXPECT_EQ(std::this_thread::get_id(), self);
          text += piece;
        };
        const absl::StatusOr<GenerationOutput> output =
            generator_->Generate(prompt, true, Tokens100(), watch);
        ASSERT_TRUE(output.ok()) << output.status();
        EXPECT_EQ(output->ids, reference.Continue(prompt, 100));
        EXPECT_EQ(output->text, text);
        EXPECT_EQ(output->finish, FinishReason::kLength);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(SharedGeneratorTest, CancellingOneTextLeavesTheOthers) {
  Start();
  // So that it cannot be over before it is cancelled.
  model_->before_pass = [] {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return absl::OkStatus();
  };
  absl::StatusOr<GenerationOutput> other = absl::UnknownError("not run");
  std::thread thread([&] { other = generator_->Generate({1, 2, 3}, true, Tokens100()); });
  GenerateOptions options = Tokens100();
  options.max_tokens = 1000;
  size_t asked = 0;
  TextGenerator::Watch watch;
  watch.is_cancelled = [&] { return ++asked > 3; };
  const absl::StatusOr<GenerationOutput> output =
      generator_->Generate({4, 5, 6}, true, options, watch);
  thread.join();
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_EQ(output->finish, FinishReason::kCancelled);
  EXPECT_LT(output->ids.size(), 1000u);
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_EQ(other->ids.size(), 100u);
}

TEST_F(SharedGeneratorTest, ACancelledTextDoesNotWaitForThePassUnderWay) {
  Start();
  absl::Mutex mutex;
  bool released = false;
  model_->before_pass = [&] {
    absl::MutexLock lock(&mutex);
    mutex.Await(absl::Condition(&released));
    return absl::OkStatus();
  };
  TextGenerator::Watch watch;
  watch.is_cancelled = [] { return true; };
  const absl::StatusOr<GenerationOutput> output =
      generator_->Generate({4, 5, 6}, true, Tokens100(), watch);
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_EQ(output->finish, FinishReason::kCancelled);
  EXPECT_EQ(output->prompt_tokens, 3u);
  EXPECT_TRUE(output->ids.empty());
  {
    absl::MutexLock lock(&mutex);
    released = true;
  }
  // The generator goes on working.
  const absl::StatusOr<GenerationOutput> next = generator_->Generate({4, 5}, true, Tokens100());
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_EQ(next->ids.size(), 100u);
}

TEST_F(SharedGeneratorTest, ScopesShareNoCachedPrefixes) {
  Start();
  const Tokens prompt(200, 'a');
  GenerateOptions options = Tokens100();
  options.cache_scope = "one";
  const auto cached = [&] { return generator_->Generate(prompt, true, options)->cached_tokens; };
  EXPECT_EQ(cached(), 0u);
  EXPECT_EQ(cached(), 192u);
  options.cache_scope = "two";
  EXPECT_EQ(cached(), 0u);
  options.cache_scope = "";
  EXPECT_EQ(cached(), 0u);
  options.cache_scope = "one";
  EXPECT_EQ(cached(), 192u);
}

TEST_F(SharedGeneratorTest, FaultsAreTheCallers) {
  Start();
  EXPECT_TRUE(absl::IsInvalidArgument(generator_->Generate({}, true, {}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(generator_->Generate({999}, true, {}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(generator_->Generate(Tokens(1024, 1), true, {}).status()));
  EXPECT_TRUE(model_->passes.empty());
  TextGeneratorOptions options;
  options.end_tokens = {300};
  EXPECT_TRUE(absl::IsInvalidArgument(
      SharedGenerator::Create(std::make_unique<FakeLanguageModel>(258),
                              std::make_unique<ByteTokenizer>(), std::nullopt, options)
          .status()));
  EXPECT_TRUE(absl::IsNotFound(SharedGenerator::Open("/nonexistent/model.gguf", {}).status()));
}

TEST_F(SharedGeneratorTest, EndTokensEndTexts) {
  TextGeneratorOptions options;
  options.end_tokens = {7};
  Start(options);
  model_->adjust = [](absl::Span<const uint32_t> history, absl::Span<float> logits) {
    logits[history.size() < 10 ? 'x' : 7] = 50;
  };
  const absl::StatusOr<GenerationOutput> output = generator_->Generate({1, 2, 3}, true, {});
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_EQ(output->text, "xxxxxxx");
  EXPECT_EQ(output->finish, FinishReason::kEndOfText);
}

}  // namespace
}  // namespace cairn::engine
