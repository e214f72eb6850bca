#include "engine/generation/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "tests/support/byte_tokenizer.h"
#include "tests/support/fake_language_model.h"

namespace cairn::engine {
namespace {

using cairn::testing::ByteTokenizer;
using cairn::testing::FakeLanguageModel;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Le;
using Tokens = FakeLanguageModel::Tokens;

// A prompt of its own for each seed.
Tokens RandomPrompt(size_t length, uint32_t seed) {
  std::mt19937 rng(seed);
  Tokens tokens(length);
  for (uint32_t& t : tokens) t = static_cast<uint32_t>(rng() % 256);
  return tokens;
}

class SchedulerTest : public ::testing::Test {
 protected:
  static constexpr size_t kVocabulary = 258;

  void Start(const SchedulerOptions& options, size_t pages, size_t cache_pages) {
    pool_ = *KvPool::Create(model_.kv_layout(), pages * model_.kv_layout().page_bytes());
    if (cache_pages > 0) cache_ = std::make_unique<PrefixCache>(cache_pages);
    auto scheduler = Scheduler::Create(&model_, &tokenizer_, pool_.get(), cache_.get(), options);
    ASSERT_TRUE(scheduler.ok()) << scheduler.status();
    scheduler_ = *std::move(scheduler);
  }

  GenerationRequest Request(Tokens prompt, size_t max_tokens) {
    GenerationRequest request;
    request.prompt = std::move(prompt);
    request.options.max_tokens = max_tokens;
    request.options.ignore_eos = true;
    request.on_event = [this](const GenerationEvent& event) {
      EXPECT_EQ(outputs_.count(event.request), 0u) << "an event after the end";
      if (event.token != nullptr) ++tokens_[event.request];
    };
    request.on_finish = [this](GenerationOutput output) {
      EXPECT_TRUE(outputs_.emplace(output.request, std::move(output)).second) << "ended twice";
    };
    return request;
  }

  RequestId Submit(GenerationRequest request) {
    const absl::StatusOr<RequestId> id = scheduler_->Submit(std::move(request));
    EXPECT_TRUE(id.ok()) << id.status();
    return id.value_or(0);
  }

  void RunAll() {
    for (int steps = 0; scheduler_->HasWork(); ++steps) {
      ASSERT_LT(steps, 100000) << "no progress";
      scheduler_->Step();
    }
  }

  FakeLanguageModel model_{kVocabulary};
  ByteTokenizer tokenizer_;
  std::map<RequestId, GenerationOutput> outputs_;
  std::map<RequestId, size_t> tokens_;
  std::unique_ptr<KvPool> pool_;
  std::unique_ptr<PrefixCache> cache_;
  std::unique_ptr<Scheduler> scheduler_;  // The last: it calls back as it goes.
};

TEST_F(SchedulerTest, ContinuesAPromptAsTheModelDoesAlone) {
  Start({}, 32, 0);
  const RequestId id = Submit(Request(RandomPrompt(100, 1), 40));
  RunAll();
  const GenerationOutput& output = outputs_.at(id);
  EXPECT_EQ(output.ids, model_.Continue(RandomPrompt(100, 1), 40));
  EXPECT_EQ(output.finish, FinishReason::kLength);
  EXPECT_EQ(output.prompt_tokens, 100u);
  EXPECT_EQ(output.text, tokenizer_.Decode(output.ids));
  EXPECT_EQ(model_.computed_tokens(), 100u + 39);  // The last token needs no pass.
  EXPECT_EQ(pool_->pages_in_use(), 0u);
}

TEST_F(SchedulerTest, ManyAtOnceGetWhatEachWouldGetAlone) {
  SchedulerOptions options;
  options.token_budget = 48;
  options.max_sequences = 7;
  Start(options, 64, 64);
  std::mt19937 rng(3);
  std::map<RequestId, std::pair<Tokens, size_t>> asked;
  for (uint32_t i = 0; i < 40; ++i) {
    Tokens prompt = RandomPrompt(1 + rng() % 200, 100 + i);
    if (i % 3 == 0) {  // Some begin alike.
      Tokens shared = RandomPrompt(130, 5);
      shared.insert(shared.end(), prompt.begin(), prompt.end());
      prompt = shared;
    }
    const size_t count = 1 + rng() % 90;
    asked[Submit(Request(prompt, count))] = {prompt, count};
    for (size_t steps = rng() % 6; steps > 0; --steps) scheduler_->Step();
  }
  RunAll();
  ASSERT_EQ(outputs_.size(), asked.size());
  for (const auto& [id, request] : asked) {
    EXPECT_EQ(outputs_.at(id).ids, model_.Continue(request.first, request.second)) << id;
  }
  EXPECT_GT(cache_->statistics().hit_tokens, 0u);
}

// The promise of chunked prefill: eight answers under way, a prompt of 2,000 tokens arrives.
TEST_F(SchedulerTest, ALongPromptNeverHoldsAnswersUpForMoreThanTheBudget) {
  SchedulerOptions options;
  options.token_budget = 128;
  Start(options, 256, 0);
  std::vector<RequestId> answers;
  for (uint32_t i = 0; i < 8; ++i) answers.push_back(Submit(Request(RandomPrompt(10, i), 200)));
  while (tokens_.size() < 8) scheduler_->Step();
  const size_t passes_before = model_.passes.size();
  const RequestId late = Submit(Request(RandomPrompt(2000, 99), 5));
  size_t steps = 0;
  while (tokens_.count(late) == 0) {
    const std::map<RequestId, size_t> before = tokens_;
    const StepStatistics step = scheduler_->Step();
    ++steps;
    EXPECT_EQ(step.decode_sequences, 8u);
    EXPECT_LE(step.tokens(), options.token_budget);
    for (const RequestId id : answers) EXPECT_EQ(tokens_[id], before.at(id) + 1);
  }
  EXPECT_EQ(steps, (2000 + 119) / 120);  // Nothing of the budget is left unused either.
  for (size_t i = passes_before; i < model_.passes.size(); ++i) {
    EXPECT_LE(model_.passes[i].tokens(), options.token_budget);
  }
  RunAll();
  EXPECT_EQ(outputs_.at(late).ids, model_.Continue(RandomPrompt(2000, 99), 5));
}

TEST_F(SchedulerTest, PromptsAreReadInTheOrderOfArrival) {
  SchedulerOptions options;
  options.token_budget = 100;
  Start(options, 64, 0);
  const RequestId a = Submit(Request(RandomPrompt(150, 1), 1));
  const RequestId b = Submit(Request(RandomPrompt(100, 2), 1));
  scheduler_->Step();
  scheduler_->Step();
  EXPECT_EQ(outputs_.count(a), 1u);
  EXPECT_EQ(outputs_.count(b), 0u);
  EXPECT_THAT(model_.passes[1].inputs, ElementsAre(50, 50));
  scheduler_->Step();
  EXPECT_EQ(outputs_.count(b), 1u);
}

TEST_F(SchedulerTest, NoMoreAnswersAreUnderWayThanTheBudgetHasTokens) {
  SchedulerOptions options;
  options.token_budget = 4;
  Start(options, 64, 0);
  for (uint32_t i = 0; i < 6; ++i) Submit(Request({i}, 50));
  size_t most = 0;
  while (scheduler_->HasWork()) most = std::max(most, scheduler_->Step().decode_sequences);
  EXPECT_EQ(most, 4u);
  for (uint32_t i = 0; i < 6; ++i) EXPECT_EQ(outputs_.at(i + 1).ids, model_.Continue({i}, 50));
}

TEST_F(SchedulerTest, WhenPagesRunOutTheYoungestWaitsAndNothingIsLost) {
  for (const size_t cache_pages : {0, 100}) {
    outputs_.clear();
    SchedulerOptions options;
    options.token_budget = 64;
    scheduler_.reset();
    cache_.reset();
    Start(options, 10, cache_pages);
    // Each grows from one page to four; together that would be 24.
    for (uint32_t i = 0; i < 6; ++i) {
      GenerationRequest request = Request(RandomPrompt(30, i), 210);
      request.options.sampling.temperature = 1;
      request.options.sampling.seed = i;
      Submit(std::move(request));
    }
    size_t preempted = 0;
    RequestId first_done = 0;
    while (scheduler_->HasWork()) {
      preempted += scheduler_->Step().preempted;
      ASSERT_LE(pool_->pages_in_use(), 10u);
      if (first_done == 0 && !outputs_.empty()) first_done = outputs_.begin()->first;
    }
    EXPECT_GT(preempted, 0u);
    EXPECT_EQ(first_done, 1u);
    ASSERT_EQ(outputs_.size(), 6u);
    std::map<RequestId, GenerationOutput> crowded;
    crowded.swap(outputs_);
    EXPECT_EQ(crowded.at(1).preemptions, 0u);
    // Alone, each gives the same, draws included.
    for (uint32_t i = 0; i < 6; ++i) {
      GenerationRequest request = Request(RandomPrompt(30, i), 210);
      request.options.sampling.temperature = 1;
      request.options.sampling.seed = i;
      const RequestId id = Submit(std::move(request));
      RunAll();
      EXPECT_EQ(outputs_.at(id).ids, crowded.at(i + 1).ids) << i;
    }
  }
}

TEST_F(SchedulerTest, CachedPagesMakeRoom) {
  Start({}, 8, 8);
  Submit(Request(RandomPrompt(400, 1), 1));
  RunAll();
  EXPECT_EQ(pool_->pages_in_use(), 6u);  // Kept for others.
  const RequestId id = Submit(Request(RandomPrompt(450, 2), 1));
  RunAll();
  EXPECT_EQ(outputs_.at(id).ids, model_.Continue(RandomPrompt(450, 2), 1));
  EXPECT_LE(pool_->pages_in_use(), 8u);
  EXPECT_GT(cache_->statistics().evicted_pages, 0u);
}

TEST_F(SchedulerTest, WhatIsKnownOfAPromptIsNotComputedAgain) {
  Start({}, 64, 64);
  Submit(Request(RandomPrompt(200, 1), 10));
  RunAll();
  const size_t before = model_.computed_tokens();
  const RequestId id = Submit(Request(RandomPrompt(200, 1), 10));
  RunAll();
  EXPECT_EQ(outputs_.at(id).ids, model_.Continue(RandomPrompt(200, 1), 10));
  EXPECT_EQ(outputs_.at(id).cached_tokens, 192u);
  EXPECT_EQ(model_.computed_tokens() - before, 8u + 9);
}

TEST_F(SchedulerTest, AnotherScopesPromptsAreNeitherKnownNorWaitedFor) {
  Start({}, 64, 64);
  Submit(Request(RandomPrompt(200, 1), 10));
  RunAll();
  GenerationRequest other = Request(RandomPrompt(200, 1), 10);
  other.options.cache_scope = "other";
  const RequestId id = Submit(other);
  RunAll();
  EXPECT_EQ(outputs_.at(id).ids, model_.Continue(RandomPrompt(200, 1), 10));
  EXPECT_EQ(outputs_.at(id).cached_tokens, 0u);
  const RequestId again = Submit(other);
  RunAll();
  EXPECT_EQ(outputs_.at(again).cached_tokens, 192u);

  // At once: both are computed in one pass.
  GenerationRequest first = Request(RandomPrompt(200, 2), 1);
  first.options.cache_scope = "first";
  GenerationRequest second = first;
  second.options.cache_scope = "second";
  Submit(first);
  Submit(second);
  EXPECT_EQ(scheduler_->Step().prefill_sequences, 2u);
}

TEST_F(SchedulerTest, TheLastTokenOfAKnownPromptIsComputedAllTheSame) {
  Start({}, 64, 64);
  Submit(Request(RandomPrompt(128, 1), 1));
  RunAll();
  const RequestId id = Submit(Request(RandomPrompt(128, 1), 3));
  RunAll();
  EXPECT_EQ(outputs_.at(id).cached_tokens, 64u);
  EXPECT_EQ(outputs_.at(id).ids, model_.Continue(RandomPrompt(128, 1), 3));
}

TEST_F(SchedulerTest, AConversationGoesOnFromTheAnswersPages) {
  Start({}, 64, 64);
  const RequestId first = Submit(Request(RandomPrompt(60, 1), 70));
  RunAll();
  Tokens next = RandomPrompt(60, 1);
  next.insert(next.end(), outputs_.at(first).ids.begin(), outputs_.at(first).ids.end());
  next.push_back(7);
  const RequestId second = Submit(Request(next, 5));
  RunAll();
  EXPECT_EQ(outputs_.at(second).cached_tokens, 128u);
  EXPECT_EQ(outputs_.at(second).ids, model_.Continue(next, 5));
}

TEST_F(SchedulerTest, PromptsThatBeginAlikeAreComputedOnceThoughTheyComeTogether) {
  SchedulerOptions options;
  options.token_budget = 100;
  Start(options, 64, 64);
  const Tokens shared = RandomPrompt(640, 1);
  std::vector<Tokens> prompts;
  for (uint32_t i = 0; i < 4; ++i) {
    prompts.push_back(shared);
    prompts.back().push_back(i);
    Submit(Request(prompts.back(), 3));
  }
  RunAll();
  for (uint32_t i = 0; i < 4; ++i) {
    EXPECT_EQ(outputs_.at(i + 1).ids, model_.Continue(prompts[i], 3));
    EXPECT_EQ(outputs_.at(i + 1).cached_tokens, i == 0 ? 0u : 640u);
  }
  EXPECT_EQ(model_.computed_tokens(), 641u + 3 * 1 + 4 * 2);
}

TEST_F(SchedulerTest, WhoWaitsForAPrefixGoesOnWhenItsComputationIsCancelled) {
  SchedulerOptions options;
  options.token_budget = 100;
  Start(options, 64, 64);
  const RequestId first = Submit(Request(RandomPrompt(640, 1), 3));
  const RequestId second = Submit(Request(RandomPrompt(640, 1), 3));
  scheduler_->Step();
  scheduler_->Step();
  scheduler_->Cancel(first);
  RunAll();
  EXPECT_EQ(outputs_.at(first).finish, FinishReason::kCancelled);
  EXPECT_EQ(outputs_.at(second).cached_tokens, 192u);  // What was whole by then.
  EXPECT_EQ(outputs_.at(second).ids, model_.Continue(RandomPrompt(640, 1), 3));
}

TEST_F(SchedulerTest, RefusesWhatCanNeverFit) {
  Start({}, 4, 0);
  const auto code = [&](Tokens prompt, size_t max_tokens) {
    return scheduler_->Submit(Request(std::move(prompt), max_tokens)).status();
  };
  EXPECT_TRUE(absl::IsInvalidArgument(code({}, 5)));
  EXPECT_THAT(std::string(code({1, 999}, 5).message()), HasSubstr("token 999"));
  EXPECT_TRUE(absl::IsInvalidArgument(code({1}, 0)));
  EXPECT_TRUE(absl::IsInvalidArgument(code(RandomPrompt(4096, 1), 5)));
  const absl::Status big = code(RandomPrompt(250, 1), 8);
  EXPECT_TRUE(absl::IsResourceExhausted(big));
  EXPECT_THAT(std::string(big.message()),
              HasSubstr("need 5 pages of keys and values; there are 4"));
  GenerationRequest request = Request({1}, 5);
  request.options.sampling.top_p = 0;
  EXPECT_TRUE(absl::IsInvalidArgument(scheduler_->Submit(request).status()));
  request = Request({1}, 5);
  request.options.stop = {""};
  EXPECT_TRUE(absl::IsInvalidArgument(scheduler_->Submit(request).status()));
  request = Request({1}, 5);
  request.options.logprobs = 1001;
  EXPECT_TRUE(absl::IsInvalidArgument(scheduler_->Submit(request).status()));
  EXPECT_FALSE(scheduler_->HasWork());
  EXPECT_THAT(outputs_, IsEmpty());
  // What just fits is served.
  const RequestId id = Submit(Request(RandomPrompt(250, 1), 7));
  RunAll();
  EXPECT_EQ(outputs_.at(id).ids, model_.Continue(RandomPrompt(250, 1), 7));
}

TEST_F(SchedulerTest, RefusesOptionsOfZero) {
  pool_ = *KvPool::Create(model_.kv_layout(), 1 << 20);
  for (size_t SchedulerOptions::*field :
       {&SchedulerOptions::token_budget, &SchedulerOptions::max_sequences,
        &SchedulerOptions::max_waiting}) {
    SchedulerOptions options;
    options.*field = 0;
    EXPECT_TRUE(absl::IsInvalidArgument(
        Scheduler::Create(&model_, &tokenizer_, pool_.get(), nullptr, options).status()));
  }
}

TEST_F(SchedulerTest, RefusesMoreThanMayWait) {
  SchedulerOptions options;
  options.max_waiting = 3;
  options.max_sequences = 1;
  Start(options, 64, 0);
  for (uint32_t i = 0; i < 3; ++i) Submit(Request({i}, 100));
  EXPECT_TRUE(absl::IsResourceExhausted(scheduler_->Submit(Request({9}, 1)).status()));
  scheduler_->Step();  // One is under way now.
  Submit(Request({9}, 1));
  EXPECT_TRUE(absl::IsResourceExhausted(scheduler_->Submit(Request({9}, 1)).status()));
}

TEST_F(SchedulerTest, AnswersEndWithTheContext) {
  FakeLanguageModel small(kVocabulary, 20);
  Start({}, 64, 0);
  auto scheduler = *Scheduler::Create(&small, &tokenizer_, pool_.get(), nullptr, {});
  ASSERT_TRUE(scheduler->Submit(Request(RandomPrompt(15, 1), 100)).ok());
  while (scheduler->HasWork()) scheduler->Step();
  EXPECT_EQ(outputs_.at(1).ids, small.Continue(RandomPrompt(15, 1), 5));
  EXPECT_EQ(outputs_.at(1).finish, FinishReason::kLength);
}

TEST_F(SchedulerTest, EndTokensEndTheTextAndAreNotPartOfIt) {
  model_.adjust = [](absl::Span<const uint32_t> history, absl::Span<float> logits) {
    const uint32_t next = history.size() == 3   ? 'h'
                          : history.size() == 4 ? 'i'
                          : history.size() == 5 ? ByteTokenizer::kEos
                                                : '!';
    logits[next] = 100;
  };
  Start({}, 8, 0);
  GenerationRequest request = Request({1, 2, 3}, 10);
  request.options.ignore_eos = false;
  const RequestId ends = Submit(request);
  request.options.end_tokens = {'i'};
  const RequestId ends_early = Submit(request);
  request.options.ignore_eos = true;
  request.options.max_tokens = 4;
  const RequestId goes_on = Submit(request);
  RunAll();
  EXPECT_EQ(outputs_.at(ends).text, "hi");
  EXPECT_EQ(outputs_.at(ends).finish, FinishReason::kEndOfText);
  EXPECT_THAT(outputs_.at(ends).ids, ElementsAre('h', 'i', ByteTokenizer::kEos));
  EXPECT_EQ(outputs_.at(ends_early).text, "h");
  EXPECT_EQ(outputs_.at(ends_early).finish, FinishReason::kEndOfText);
  EXPECT_EQ(outputs_.at(goes_on).text, "hi!");
  EXPECT_EQ(outputs_.at(goes_on).finish, FinishReason::kLength);
}

// Makes the model say `text` after a prompt of `prompt` tokens.
void Say(FakeLanguageModel* model, std::string text, size_t prompt) {
  model->adjust = [=](absl::Span<const uint32_t> history, absl::Span<float> logits) {
    const size_t i = history.size() - prompt;
    logits[i < text.size() ? static_cast<uint8_t>(text[i]) : '.'] = 100;
  };
}

TEST_F(SchedulerTest, StopStringsEndTheTextBeforeThem) {
  Say(&model_, "one STOP two", 1);
  Start({}, 8, 0);
  GenerationRequest request = Request({1}, 50);
  request.options.stop = {"STOP"};
  std::string streamed;
  std::vector<FinishReason> reasons;
  request.on_event = [&](const GenerationEvent& event) {
    streamed += event.text;
    EXPECT_EQ(streamed.find('S'), std::string::npos);
    reasons.push_back(event.finish);
  };
  const RequestId id = Submit(std::move(request));
  RunAll();
  EXPECT_EQ(outputs_.at(id).text, "one ");
  EXPECT_EQ(streamed, "one ");
  EXPECT_EQ(outputs_.at(id).finish, FinishReason::kStopString);
  EXPECT_EQ(outputs_.at(id).stop_string, "STOP");
  EXPECT_EQ(reasons.size(), 8u);
  EXPECT_EQ(reasons.back(), FinishReason::kStopString);
}

TEST_F(SchedulerTest, TextIsHandedOutInWholeCharactersAndNothingIsHeldBackAtTheEnd) {
  Say(&model_, "a\xC3\xA9\xE2\x82\xACST", 1);
  Start({}, 8, 0);
  GenerationRequest request = Request({1}, 8);
  request.options.stop = {"STOP"};
  std::vector<std::string> texts;
  request.on_event = [&](const GenerationEvent& event) { texts.emplace_back(event.text); };
  Submit(std::move(request));
  RunAll();
  EXPECT_THAT(texts, ElementsAre("a", "", "\xC3\xA9", "", "", "\xE2\x82\xAC", "", "ST"));
}

TEST_F(SchedulerTest, LogprobsComeWithTheTokens) {
  Start({}, 8, 0);
  GenerationRequest request = Request({1, 2}, 3);
  request.options.logprobs = 2;
  const RequestId id = Submit(std::move(request));
  RunAll();
  const GenerationOutput& output = outputs_.at(id);
  ASSERT_EQ(output.logprobs.size(), 3u);
  Tokens history = {1, 2};
  for (const SampledToken& token : output.logprobs) {
    std::vector<float> logits(kVocabulary);
    model_.Fill(history, absl::MakeSpan(logits));
    double sum = 0;
    for (const float l : logits) sum += std::exp(static_cast<double>(l));
    EXPECT_NEAR(*token.logprob, logits[token.id] - std::log(sum), 1e-5);
    ASSERT_EQ(token.top.size(), 2u);
    EXPECT_EQ(token.top[0].id, token.id);
    EXPECT_GE(token.top[0].logprob, token.top[1].logprob);
    history.push_back(token.id);
  }
}

TEST_F(SchedulerTest, CancelsWhatWaitsReadsOrAnswers) {
  SchedulerOptions options;
  options.token_budget = 32;
  options.max_sequences = 2;
  Start(options, 64, 0);
  const RequestId answering = Submit(Request({1}, 1000));
  const RequestId reading = Submit(Request(RandomPrompt(500, 2), 10));
  const RequestId waiting = Submit(Request({3}, 10));
  const RequestId unborn = Submit(Request({4}, 10));
  scheduler_->Cancel(unborn);
  for (int i = 0; i < 3; ++i) scheduler_->Step();
  EXPECT_EQ(outputs_.at(unborn).finish, FinishReason::kCancelled);
  const size_t said = tokens_[answering];
  EXPECT_EQ(said, 3u);
  for (const RequestId id : {answering, reading, waiting, RequestId{12345}}) scheduler_->Cancel(id);
  EXPECT_EQ(scheduler_->Step().tokens(), 0u);
  EXPECT_FALSE(scheduler_->HasWork());
  for (const RequestId id : {answering, reading, waiting}) {
    EXPECT_EQ(outputs_.at(id).finish, FinishReason::kCancelled) << id;
  }
  EXPECT_EQ(outputs_.at(answering).ids, model_.Continue({1}, said));
  EXPECT_EQ(pool_->pages_in_use(), 0u);
  scheduler_->Cancel(answering);  // It has ended: nothing happens.
  EXPECT_FALSE(scheduler_->HasWork());
}

TEST_F(SchedulerTest, CallbacksMayCancelThemselvesAndOthersAndSubmit) {
  Start({}, 64, 0);
  RequestId first = 0, second = 0, third = 0;
  GenerationRequest request = Request({1}, 100);
  request.on_event = [&](const GenerationEvent& event) {
    if (event.finish != FinishReason::kNone) return;
    if (++tokens_[event.request] == 2) {
      scheduler_->Cancel(first);
      scheduler_->Cancel(second);
      third = Submit(Request({3}, 4));
    }
  };
  first = Submit(std::move(request));
  second = Submit(Request({2}, 100));
  RunAll();
  EXPECT_EQ(outputs_.at(first).ids.size(), 2u);
  // Came later in the same pass, and was cancelled by then.
  EXPECT_EQ(outputs_.at(second).ids.size(), 1u);
  EXPECT_EQ(outputs_.at(third).ids, model_.Continue({3}, 4));
}

TEST_F(SchedulerTest, DeadlinesEndRequestsWithWhatTheyHave) {
  Start({}, 64, 0);
  GenerationRequest late = Request({1}, 100);
  late.options.deadline = GenerationClock::now();
  const RequestId id = Submit(std::move(late));
  GenerationRequest soon = Request({2}, 4000);
  soon.options.deadline = GenerationClock::now() + std::chrono::milliseconds(20);
  const RequestId answered = Submit(std::move(soon));
  RunAll();
  EXPECT_EQ(outputs_.at(id).finish, FinishReason::kDeadline);
  EXPECT_THAT(outputs_.at(id).ids, IsEmpty());
  EXPECT_EQ(outputs_.at(answered).finish, FinishReason::kDeadline);
  EXPECT_GT(outputs_.at(answered).ids.size(), 0u);
}

TEST_F(SchedulerTest, AFailedPassEndsThoseInItAndNoOthers) {
  SchedulerOptions options;
  options.max_sequences = 2;
  Start(options, 64, 64);
  Submit(Request({1}, 10));
  Submit(Request(RandomPrompt(100, 2), 10));
  Submit(Request({3}, 10));
  bool failed = false;
  model_.before_pass = [&] {
    return std::exchange(failed, true) ? absl::OkStatus() : absl::DataLossError("torn weights");
  };
  RunAll();
  for (const RequestId id : {1, 2}) {
    EXPECT_EQ(outputs_.at(id).finish, FinishReason::kError);
    EXPECT_EQ(outputs_.at(id).status, absl::DataLossError("torn weights"));
  }
  EXPECT_EQ(outputs_.at(3).ids, model_.Continue({3}, 10));
  EXPECT_EQ(cache_->statistics().pages, 0u);  // Nobody builds on what failed.
}

TEST_F(SchedulerTest, LogitsThatAreNoNumbersEndOneRequestAlone) {
  model_.adjust = [](absl::Span<const uint32_t> history, absl::Span<float> logits) {
    if (history[0] == 2) logits[5] = std::numeric_limits<float>::quiet_NaN();
  };
  Start({}, 64, 0);
  Submit(Request({1}, 10));
  Submit(Request({2}, 10));
  RunAll();
  EXPECT_EQ(outputs_.at(1).finish, FinishReason::kLength);
  EXPECT_EQ(outputs_.at(2).finish, FinishReason::kError);
  EXPECT_TRUE(absl::IsInternal(outputs_.at(2).status));
}

TEST_F(SchedulerTest, PagesHeldByOthersEndARequestWithAnErrorRatherThanForever) {
  Start({}, 4, 4);
  std::vector<KvPageRef> taken;
  for (int i = 0; i < 3; ++i) taken.push_back(*pool_->Allocate());
  const RequestId id = Submit(Request(RandomPrompt(100, 1), 5));
  RunAll();
  EXPECT_EQ(outputs_.at(id).finish, FinishReason::kError);
  EXPECT_TRUE(absl::IsResourceExhausted(outputs_.at(id).status));
  const RequestId growing = Submit(Request(RandomPrompt(60, 1), 20));
  RunAll();
  EXPECT_EQ(outputs_.at(growing).finish, FinishReason::kError);
  taken.clear();
  const RequestId later = Submit(Request(RandomPrompt(100, 1), 5));
  RunAll();
  EXPECT_EQ(outputs_.at(later).ids, model_.Continue(RandomPrompt(100, 1), 5));
}

TEST_F(SchedulerTest, ClosingEndsEverything) {
  SchedulerOptions options;
  options.max_sequences = 1;
  Start(options, 64, 0);
  Submit(Request({1}, 10));
  Submit(Request({2}, 10));
  scheduler_->Step();
  Submit(Request({3}, 10));
  scheduler_->Close();
  for (const RequestId id : {1, 2, 3}) {
    EXPECT_EQ(outputs_.at(id).finish, FinishReason::kCancelled);
  }
  EXPECT_FALSE(scheduler_->HasWork());
  EXPECT_TRUE(absl::IsUnavailable(scheduler_->Submit(Request({4}, 10)).status()));
}

// Everything at once, at random, with little room: all answers are right, and all come.
TEST_F(SchedulerTest, RandomLoadsGiveEveryoneTheirAnswer) {
  for (uint32_t seed = 0; seed < 12; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 rng(seed);
    scheduler_.reset();
    cache_.reset();
    outputs_.clear();
    SchedulerOptions options;
    options.token_budget = 1 + rng() % 150;
    options.max_sequences = 1 + rng() % 12;
    Start(options, 8 + rng() % 10, seed % 3 == 0 ? 0 : 1 + rng() % 20);
    std::map<RequestId, Tokens> asked;
    std::vector<RequestId> cancelled;
    for (int i = 0; i < 30; ++i) {
      Tokens prompt = RandomPrompt(64 * (rng() % 4), rng() % 2);
      const Tokens rest = RandomPrompt(1 + rng() % 80, rng());
      prompt.insert(prompt.end(), rest.begin(), rest.end());
      const RequestId id = Submit(Request(prompt, 1 + rng() % 150));
      asked[id] = prompt;
      for (size_t steps = rng() % 30; steps > 0; --steps) {
        const StepStatistics step = scheduler_->Step();
        ASSERT_LE(step.tokens(), options.token_budget);
      }
      if (rng() % 8 == 0) scheduler_->Cancel(1 + rng() % id);
    }
    RunAll();
    ASSERT_EQ(outputs_.size(), asked.size());
    for (const auto& [id, prompt] : asked) {
      const GenerationOutput& output = outputs_.at(id);
      EXPECT_TRUE(output.finish == FinishReason::kLength ||
                  output.finish == FinishReason::kCancelled);
      EXPECT_EQ(output.ids, model_.Continue(prompt, output.ids.size())) << id;
    }
    if (cache_ == nullptr) {
      EXPECT_EQ(pool_->pages_in_use(), 0u);
    }
  }
}

}  // namespace
}  // namespace cairn::engine
