// Run under ThreadSanitizer as well.
#include "engine/generation/generation_service.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "tests/support/byte_tokenizer.h"
#include "tests/support/fake_language_model.h"

namespace cairn::engine {
namespace {

using cairn::testing::ByteTokenizer;
using cairn::testing::FakeLanguageModel;
using Tokens = FakeLanguageModel::Tokens;

class GenerationServiceTest : public ::testing::Test {
 protected:
  std::unique_ptr<GenerationService> Start(const SchedulerOptions& options, size_t pages) {
    pool_ = *KvPool::Create(model_.kv_layout(), pages * model_.kv_layout().page_bytes());
    cache_ = std::make_unique<PrefixCache>(pages);
    return std::make_unique<GenerationService>(
        *Scheduler::Create(&model_, &tokenizer_, pool_.get(), cache_.get(), options));
  }

  static GenerationRequest Request(Tokens prompt, size_t max_tokens) {
    GenerationRequest request;
    request.prompt = std::move(prompt);
    request.options.max_tokens = max_tokens;
    request.options.ignore_eos = true;
    return request;
  }

  FakeLanguageModel model_{258};
  ByteTokenizer tokenizer_;
  std::unique_ptr<KvPool> pool_;
  std::unique_ptr<PrefixCache> cache_;
};

TEST_F(GenerationServiceTest, ManyThreadsGetTheirAnswers) {
  SchedulerOptions options;
  options.token_budget = 64;
  const auto service = Start(options, 24);
  const FakeLanguageModel reference(258);
  std::atomic<size_t> cancelled{0};
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 rng(t);
      for (int i = 0; i < 12; ++i) {
        Tokens prompt(1 + rng() % 200, 1 + rng() % 3);
        prompt.push_back(t);
        const absl::StatusOr<RequestId> id = service->Submit(Request(prompt, 1 + rng() % 60));
        ASSERT_TRUE(id.ok()) << id.status();
        if (rng() % 3 == 0) service->Cancel(*id);
        const absl::StatusOr<GenerationOutput> output = service->Wait(*id);
        ASSERT_TRUE(output.ok()) << output.status();
        EXPECT_EQ(output->request, *id);
        EXPECT_EQ(output->ids, reference.Continue(prompt, output->ids.size()));
        cancelled += output->finish == FinishReason::kCancelled;
        EXPECT_TRUE(output->finish == FinishReason::kCancelled ||
                    output->finish == FinishReason::kLength);
        EXPECT_TRUE(absl::IsNotFound(service->Wait(*id).status()));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const GenerationService::Statistics statistics = service->statistics();
  EXPECT_GT(statistics.steps, 0u);
  EXPECT_GT(statistics.prefill_tokens, 0u);
  EXPECT_GE(statistics.seconds, statistics.longest_step_seconds);
}

TEST_F(GenerationServiceTest, SleepsAndWakes) {
  const auto service = Start({}, 16);
  for (uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(service->Wait(*service->Submit(Request({i}, 3)))->ids, model_.Continue({i}, 3));
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

TEST_F(GenerationServiceTest, CallbacksGetTheOutputInsteadOfWait) {
  const auto service = Start({}, 16);
  absl::Notification done;
  GenerationOutput output;
  GenerationRequest request = Request({1}, 5);
  std::string streamed;
  request.on_event = [&](const GenerationEvent& event) { streamed += event.text; };
  request.on_finish = [&](GenerationOutput finished) {
    output = std::move(finished);
    done.Notify();
  };
  const absl::StatusOr<RequestId> id = service->Submit(std::move(request));
  ASSERT_TRUE(id.ok());
  EXPECT_TRUE(absl::IsNotFound(service->Wait(*id).status()));
  done.WaitForNotification();
  EXPECT_EQ(output.ids, model_.Continue({1}, 5));
  EXPECT_EQ(output.text, streamed);
}

TEST_F(GenerationServiceTest, CallbacksMaySubmit) {
  const auto service = Start({}, 16);
  absl::Notification done;
  GenerationRequest first = Request({1}, 2);
  first.on_finish = [&](GenerationOutput) {
    GenerationRequest second = Request({2}, 2);
    second.on_finish = [&](GenerationOutput output) {
      EXPECT_EQ(output.ids, model_.Continue({2}, 2));
      done.Notify();
    };
    EXPECT_TRUE(service->Submit(std::move(second)).ok());
  };
  ASSERT_TRUE(service->Submit(std::move(first)).ok());
  done.WaitForNotification();
}

TEST_F(GenerationServiceTest, RefusalsLeaveNothingBehind) {
  const auto service = Start({}, 16);
  EXPECT_TRUE(absl::IsInvalidArgument(service->Submit(Request({}, 2)).status()));
  EXPECT_TRUE(absl::IsNotFound(service->Wait(1).status()));
}

TEST_F(GenerationServiceTest, ForgottenRequestsEndAndLeaveNothingBehind) {
  const auto service = Start({}, 16);
  const RequestId running = *service->Submit(Request({1}, 100));
  const RequestId ended = *service->Submit(Request({2}, 1));
  absl::Notification waiting;
  // Whether it has begun when the request is forgotten or not, a Wait comes back.
  std::thread waiter([&] {
    waiting.Notify();
    const auto output = service->Wait(running);
    EXPECT_TRUE(output.ok() || absl::IsNotFound(output.status())) << output.status();
  });
  waiting.WaitForNotification();
  service->Forget(running);
  service->Forget(ended);
  service->Forget(12345);
  waiter.join();
  EXPECT_TRUE(absl::IsNotFound(service->Wait(running).status()));
  EXPECT_TRUE(absl::IsNotFound(service->Wait(ended).status()));
  EXPECT_EQ(service->Wait(*service->Submit(Request({3}, 3)))->ids, model_.Continue({3}, 3));
}

TEST_F(GenerationServiceTest, ShuttingDownEndsEveryRequest) {
  SchedulerOptions options;
  options.max_sequences = 1;
  auto service = Start(options, 64);
  std::atomic<size_t> ended{0};
  absl::Notification started;
  for (uint32_t i = 0; i < 5; ++i) {
    GenerationRequest request = Request({i}, 4000);
    request.on_event = [&](const GenerationEvent&) {
      if (!started.HasBeenNotified()) started.Notify();
    };
    request.on_finish = [&](const GenerationOutput& output) {
      EXPECT_EQ(output.finish, FinishReason::kCancelled);
      ++ended;
    };
    ASSERT_TRUE(service->Submit(std::move(request)).ok());
  }
  ASSERT_TRUE(service->Submit(Request({9}, 4000)).ok());  // Never waited for.
  started.WaitForNotification();
  service.reset();
  EXPECT_EQ(ended, 5u);
}

// Eight answers under way, and a prompt of 2,000 tokens: no pass computes more than the budget.
TEST_F(GenerationServiceTest, ALongPromptIsReadBesideAnswers) {
  SchedulerOptions options;
  options.token_budget = 256;
  const auto service = Start(options, 256);
  std::vector<RequestId> answers;
  for (uint32_t i = 0; i < 8; ++i) answers.push_back(*service->Submit(Request({i}, 300)));
  Tokens prompt(2000);
  for (size_t i = 0; i < prompt.size(); ++i) prompt[i] = static_cast<uint32_t>(i * i % 251);
  const absl::StatusOr<GenerationOutput> late = service->Wait(*service->Submit(Request(prompt, 4)));
  ASSERT_TRUE(late.ok());
  EXPECT_EQ(late->ids, FakeLanguageModel(258).Continue(prompt, 4));
  for (size_t i = 0; i < answers.size(); ++i) {
    EXPECT_EQ(service->Wait(answers[i])->ids,
              FakeLanguageModel(258).Continue({static_cast<uint32_t>(i)}, 300));
  }
  // Idle by now: the model can be looked at.
  for (const FakeLanguageModel::Pass& pass : model_.passes) EXPECT_LE(pass.tokens(), 256u);
}

}  // namespace
}  // namespace cairn::engine
