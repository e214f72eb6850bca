// Generation with a decoder that computes: what the scheduler does with sequences and pages must
// not change what comes out.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "engine/generation/constrained_choice.h"
#include "engine/generation/scheduler.h"
#include "engine/model/decoder.h"
#include "tests/support/byte_tokenizer.h"
#include "tests/support/random_checkpoint.h"

namespace cairn::engine {
namespace {

using Tokens = std::vector<uint32_t>;

Tokens Prompt(size_t length, uint32_t salt) {
  Tokens tokens(length);
  for (size_t i = 0; i < length; ++i) {
    tokens[i] = static_cast<uint32_t>((i * 7919 + salt * 31 + i * i % 13) % 97);
  }
  return tokens;
}

class DecoderGeneration : public ::testing::Test {
 protected:
  static constexpr DecoderOptions kExact = {.threads = 2,
                                            .kv_type = kernels::KvType::kF32,
                                            .compute = kernels::ComputeType::kF32,
                                            .context_length = 0,
                                            .max_rows = 512};

  void Start(const SchedulerOptions& options, size_t pages) {
    scheduler_.reset();
    cache_.reset();
    outputs_.clear();
    pool_ = *KvPool::Create(decoder_->kv_layout(), pages * decoder_->kv_layout().page_bytes());
    cache_ = std::make_unique<PrefixCache>(pages);
    scheduler_ =
        *Scheduler::Create(decoder_.get(), &tokenizer_, pool_.get(), cache_.get(), options);
  }

  RequestId Submit(Tokens prompt, size_t max_tokens) {
    GenerationRequest request;
    request.prompt = std::move(prompt);
    request.options.max_tokens = max_tokens;
    request.options.ignore_eos = true;
    request.on_event = [this](const GenerationEvent& event) { ++tokens_[event.request]; };
    request.on_finish = [this](GenerationOutput output) {
      outputs_[output.request] = std::move(output);
    };
    return scheduler_->Submit(std::move(request)).value();
  }

  void RunAll() {
    while (scheduler_->HasWork()) scheduler_->Step();
  }

  // What the model answers with nothing else under way and nothing known.
  Tokens Alone(const Tokens& prompt, size_t max_tokens) {
    SchedulerOptions options;
    options.token_budget = 4096;
    Start(options, 80);
    const RequestId id = Submit(prompt, max_tokens);
    RunAll();
    return outputs_.at(id).ids;
  }

  const cairn::testing::RandomCheckpoint checkpoint_{
      cairn::testing::SmallConfig(Architecture::kLlama), kernels::BlockFormat::kF32};
  std::unique_ptr<Decoder> decoder_ = *Decoder::Create(checkpoint_, kExact);
  cairn::testing::ByteTokenizer tokenizer_;
  std::map<RequestId, GenerationOutput> outputs_;
  std::map<RequestId, size_t> tokens_;
  std::unique_ptr<KvPool> pool_;
  std::unique_ptr<PrefixCache> cache_;
  std::unique_ptr<Scheduler> scheduler_;
};

TEST_F(DecoderGeneration, EightAnswersAndALongPromptComeOutAsEachAlone) {
  std::vector<Tokens> prompts;
  for (uint32_t i = 0; i < 8; ++i) {
    prompts.push_back(Prompt(i % 2 == 0 ? 130 : 20, i % 2 == 0 ? 1 : i));  // Half begin alike.
    prompts.back().push_back(i);
  }
  const Tokens late = Prompt(2000, 77);
  std::vector<Tokens> expected;
  for (const Tokens& prompt : prompts) expected.push_back(Alone(prompt, 40));
  const Tokens expected_late = Alone(late, 5);

  SchedulerOptions options;
  options.token_budget = 100;
  Start(options, 80);
  tokens_.clear();
  std::vector<RequestId> ids;
  for (const Tokens& prompt : prompts) ids.push_back(Submit(prompt, 40));
  while (tokens_.size() < 8) scheduler_->Step();
  const RequestId late_id = Submit(late, 5);
  size_t most = 0;
  while (scheduler_->HasWork()) most = std::max(most, scheduler_->Step().tokens());
  EXPECT_LE(most, 100u);
  for (size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(outputs_.at(ids[i]).ids, expected[i]) << i;
  EXPECT_EQ(outputs_.at(late_id).ids, expected_late);
  EXPECT_EQ(outputs_.at(ids[2]).cached_tokens, 128u);
}

TEST_F(DecoderGeneration, PreemptedAnswersGoOnAsIfNothingHadHappened) {
  std::vector<Tokens> expected;
  for (uint32_t i = 0; i < 3; ++i) expected.push_back(Alone(Prompt(50, i), 100));
  Start({}, 6);
  std::vector<RequestId> ids;
  for (uint32_t i = 0; i < 3; ++i) ids.push_back(Submit(Prompt(50, i), 100));
  size_t preempted = 0;
  while (scheduler_->HasWork()) preempted += scheduler_->Step().preempted;
  EXPECT_GT(preempted, 0u);
  for (size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(outputs_.at(ids[i]).ids, expected[i]) << i;
}

TEST_F(DecoderGeneration, ChoicesThatShareAreWorthWhatEachIsAlone) {
  Start({}, 80);
  const Tokens prompt = Prompt(100, 3);
  const std::vector<Tokens> candidates = {{5, 6, 7}, {5, 6, 8, 9}, {5}, {40, 41}};
  const auto together =
      RankChoices(decoder_.get(), pool_.get(), cache_.get(), prompt, candidates, {});
  ASSERT_TRUE(together.ok()) << together.status();
  for (const RankedChoice& choice : *together) {
    const auto alone =
        RankChoices(decoder_.get(), pool_.get(), nullptr, prompt, {candidates[choice.index]}, {});
    ASSERT_TRUE(alone.ok()) << alone.status();
    EXPECT_NEAR(choice.logprob, alone->front().logprob, 1e-4);
  }
}

}  // namespace
}  // namespace cairn::engine
