#include "engine/kv/blended_prompt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "engine/generation/prefix_cache.h"
#include "engine/generation/scheduler.h"
#include "tests/engine/kv/kv_subject.h"
#include "tests/support/byte_tokenizer.h"

namespace cairn::engine {
namespace {

using cairn::testing::SmallConfig;
using testing::KvSubject;
using testing::SomeTokens;
using testing::Tokens;

// A chunk whose second layer went bad.
class UnreadableKv final : public ChunkKv {
 public:
  explicit UnreadableKv(std::shared_ptr<const ChunkKv> good) : good_(std::move(good)) {}
  const KvShape& shape() const override { return good_->shape(); }
  size_t tokens() const override { return good_->tokens(); }
  const ChunkAttention* attention() const override { return nullptr; }
  uint32_t first_position() const override { return 0; }
  uint64_t bytes() const override { return good_->bytes(); }
  absl::Status Read(size_t layer, size_t first, size_t count, float* keys,
                    float* values) const override {
    if (layer == 1) return absl::DataLossError("bad layer");
    return good_->Read(layer, first, count, keys, values);
  }

 private:
  const std::shared_ptr<const ChunkKv> good_;
};

class BlendedPromptTest : public ::testing::Test {
 protected:
  BlendedPromptTest() : subject_(SmallConfig(Architecture::kLlama), 64), cache_(64) {
    scheduler_ = std::move(Scheduler::Create(subject_.decoder.get(), &tokenizer_,
                                             subject_.pool.get(), &cache_, {}))
                     .value();
    DocumentReaderOptions options;
    options.encoding = KvEncoding::kF32;
    parts_ = {{preface_, nullptr}};
    for (BlendPart& part : subject_.Parts(chunks_, preface_, options)) {
      parts_.push_back(std::move(part));
    }
    parts_.push_back({SomeTokens(9, 77), nullptr});
  }

  GenerationOutput Generate(std::shared_ptr<BlendedPrompt> prompt, size_t tokens = 5) {
    GenerationRequest request;
    request.prompt = prompt->tokens();
    request.options.max_tokens = tokens;
    request.options.ignore_eos = true;
    request.reader = prompt;
    return Run(std::move(request));
  }
  GenerationOutput Plain(size_t tokens = 5) {
    GenerationRequest request;
    request.prompt = Make(parts_)->tokens();
    request.options.max_tokens = tokens;
    request.options.ignore_eos = true;
    return Run(std::move(request));
  }
  GenerationOutput Run(GenerationRequest request) {
    GenerationOutput output;
    request.on_finish = [&](GenerationOutput o) { output = std::move(o); };
    const auto id = scheduler_->Submit(std::move(request));
    EXPECT_TRUE(id.ok()) << id.status();
    while (scheduler_->HasWork()) scheduler_->Step();
    EXPECT_TRUE(output.status.ok()) << output.status;
    return output;
  }

  std::shared_ptr<BlendedPrompt> Make(std::vector<BlendPart> parts,
                                      ReuseQuality quality = ReuseQuality::kFast) {
    BlendedPromptOptions options;
    options.quality = quality;
    options.on_bad_chunk = [this](const absl::Status&) { ++bad_; };
    return std::make_shared<BlendedPrompt>(subject_.decoder.get(), &controller_, std::move(parts),
                                           options);
  }

  // Reuse pays whatever the clock says.
  ReuseController controller_{{.worth = 1e9}};
  KvSubject subject_;
  cairn::testing::ByteTokenizer tokenizer_;
  PrefixCache cache_;
  std::unique_ptr<Scheduler> scheduler_;
  const Tokens preface_ = SomeTokens(70, 50);
  const std::vector<Tokens> chunks_ = {SomeTokens(90, 1), SomeTokens(33, 2), SomeTokens(51, 3)};
  std::vector<BlendPart> parts_;
  int bad_ = 0;
};

TEST_F(BlendedPromptTest, ChunksInTheirOldPlaceGiveTheSameText) {
  const GenerationOutput plain = Plain();
  cache_.Evict(64);
  const auto prompt = Make(parts_);
  const GenerationOutput blended = Generate(prompt);
  EXPECT_EQ(blended.ids, plain.ids);
  const ReuseReport report = prompt->report();
  EXPECT_EQ(report.method, "reposition");
  EXPECT_EQ(report.reused_tokens, 174u);
  EXPECT_EQ(report.fresh_tokens, 79u);
  EXPECT_EQ(report.exact_tokens, 0u);
  EXPECT_GT(report.load, 0);
}

TEST_F(BlendedPromptTest, OnlyWhatIsExactServesAsAPrefix) {
  Generate(Make(parts_));
  EXPECT_EQ(cache_.statistics().pages, 1u);  // Of the preface's 70 tokens.
  const auto again = Make(parts_);
  const GenerationOutput output = Generate(again);
  EXPECT_EQ(output.cached_tokens, 64u);
  EXPECT_EQ(again->report().exact_tokens, 64u);
  EXPECT_EQ(again->report().fresh_tokens, 15u);
}

TEST_F(BlendedPromptTest, WhatIsKeptBehindAnExactPrefixKnowsThePassagesInIt) {
  Plain();  // Leaves its pages to the cache: 64 tokens of preface, passages behind it.
  std::vector<BlendPart> parts = parts_;
  for (size_t p = 1; p <= 3; ++p) {
    parts[p].kv = nullptr;
    parts[p].passage = true;
  }
  parts[3].keep = true;
  BlendedPromptOptions options;
  options.kept_encoding = KvEncoding::kF32;
  std::shared_ptr<const ChunkKvBuffer> kept;
  options.on_kept = [&](size_t part, std::shared_ptr<const ChunkKvBuffer> kv, double seconds) {
    EXPECT_EQ(part, 3u);
    EXPECT_GT(seconds, 0);
    kept = std::move(kv);
  };
  for (const size_t asked : {size_t{192}, size_t{128}}) {  // A passage and a half; a half.
    kept = nullptr;
    cache_.Evict(64);
    std::vector<BlendPart> beginning = {{Make(parts_)->tokens(), nullptr}};
    beginning[0].tokens.resize(asked + 1);
    Generate(Make(beginning), 1);
    const auto prompt =
        std::make_shared<BlendedPrompt>(subject_.decoder.get(), &controller_, parts, options);
    Generate(prompt, 1);
    EXPECT_EQ(prompt->report().exact_tokens, asked);
    ASSERT_NE(kept, nullptr);
    ASSERT_NE(kept->attention(), nullptr);
    ASSERT_EQ(kept->attention()->before.size(), 2u);
    for (size_t b = 0; b < 2; ++b) {
      EXPECT_EQ(kept->attention()->before[b].hash, HashTokens(chunks_[b]));
      EXPECT_EQ(kept->attention()->before[b].tokens, chunks_[b].size());
      EXPECT_GT(kept->attention()->before[b].inter, 0);
    }
  }
}

TEST_F(BlendedPromptTest, NothingIsKeptBehindWhatIsReusedUnmended) {
  std::vector<BlendPart> parts = parts_;
  parts[3].kv = nullptr;
  parts[3].passage = parts[3].keep = true;
  BlendedPromptOptions options;
  int kept = 0;
  options.on_kept = [&](size_t, const std::shared_ptr<const ChunkKvBuffer>&, double) { ++kept; };
  options.quality = ReuseQuality::kFast;
  Generate(std::make_shared<BlendedPrompt>(subject_.decoder.get(), &controller_, parts, options),
           1);
  EXPECT_EQ(kept, 0);
  options.quality = ReuseQuality::kBalanced;
  options.source = KvSource::kPrompt;
  Generate(std::make_shared<BlendedPrompt>(subject_.decoder.get(), &controller_, parts, options),
           1);
  EXPECT_EQ(kept, 1);
}

TEST_F(BlendedPromptTest, AnExactPrefixWinsOverChunks) {
  const GenerationOutput plain = Plain();  // Leaves all its pages to the cache.
  const auto prompt = Make(parts_);
  const GenerationOutput output = Generate(prompt);
  EXPECT_EQ(output.ids, plain.ids);
  const ReuseReport report = prompt->report();
  EXPECT_EQ(report.exact_tokens, 192u);  // Whole pages; the rest is blended.
  EXPECT_EQ(report.exact_tokens + report.reused_tokens + report.fresh_tokens, 253u);
  EXPECT_GT(report.reused_tokens, 0u);
}

TEST_F(BlendedPromptTest, WhatWasComputedWholeServesAsAPrefixWhole) {
  const auto prompt = Make(parts_, ReuseQuality::kExact);
  const GenerationOutput output = Generate(prompt);
  EXPECT_EQ(prompt->report().method, "full");
  EXPECT_EQ(prompt->report().fresh_tokens, 253u);
  EXPECT_GE(cache_.statistics().pages, 3u);
  EXPECT_EQ(output.ids, Plain().ids);
}

TEST_F(BlendedPromptTest, ABadChunkIsComputedAndReported) {
  const GenerationOutput plain = Plain();
  cache_.Evict(64);
  std::vector<BlendPart> parts = parts_;
  parts[2].kv = std::make_shared<UnreadableKv>(parts[2].kv);
  const auto prompt = Make(parts);
  EXPECT_EQ(Generate(prompt).ids, plain.ids);
  EXPECT_EQ(bad_, 1);
  EXPECT_EQ(prompt->report().reused_tokens, 174u - 33);
  EXPECT_EQ(prompt->report().fresh_tokens, 79u + 33);
}

TEST_F(BlendedPromptTest, ModelsWhoseGatesDoNotHoldComputeEverything) {
  BlendedPromptOptions options;
  options.gates = "moved keys differs by 1";
  const auto prompt =
      std::make_shared<BlendedPrompt>(subject_.decoder.get(), &controller_, parts_, options);
  EXPECT_EQ(Generate(prompt).ids, Plain().ids);
  EXPECT_EQ(prompt->report().method, "full");
  EXPECT_EQ(prompt->report().reused_tokens, 0u);
}

TEST_F(BlendedPromptTest, OthersGoOnBesideIt) {
  GenerationRequest other;
  other.prompt = SomeTokens(20, 9);
  other.options.max_tokens = 30;
  other.options.ignore_eos = true;
  size_t tokens_of_other = 0;
  std::vector<uint32_t> ids;
  other.on_event = [&](const GenerationEvent& event) { tokens_of_other += event.token != nullptr; };
  other.on_finish = [&](GenerationOutput o) { ids = o.ids; };
  ASSERT_TRUE(scheduler_->Submit(std::move(other)).ok());
  for (int i = 0; i < 3; ++i) scheduler_->Step();
  EXPECT_EQ(tokens_of_other, 3u);
  const GenerationOutput blended = Generate(Make(parts_));
  EXPECT_EQ(blended.ids.size(), 5u);
  EXPECT_EQ(ids.size(), 30u);
}

TEST_F(BlendedPromptTest, ACancelledPromptEndsThere) {
  GenerationRequest request;
  const auto prompt = Make(parts_);
  request.prompt = prompt->tokens();
  request.reader = prompt;
  FinishReason finish = FinishReason::kNone;
  request.on_finish = [&](GenerationOutput o) { finish = o.finish; };
  request.options.deadline = GenerationClock::now() + std::chrono::milliseconds(1);
  ASSERT_TRUE(scheduler_->Submit(std::move(request)).ok());
  while (scheduler_->HasWork()) scheduler_->Step();
  EXPECT_EQ(finish, FinishReason::kDeadline);
  EXPECT_EQ(subject_.pool->pages_in_use(), 0u);
}

TEST_F(BlendedPromptTest, ReadsAgainWhereItHadToGiveItsPagesUp) {
  const GenerationOutput plain = Plain(40);
  // Two long answers in a pool that holds one and a half.
  KvSubject poor(SmallConfig(Architecture::kLlama), /*pages=*/8);
  auto scheduler =
      std::move(Scheduler::Create(poor.decoder.get(), &tokenizer_, poor.pool.get(), nullptr, {}))
          .value();
  std::vector<GenerationOutput> outputs(2);
  for (GenerationOutput& output : outputs) {
    GenerationRequest request;
    const auto prompt =
        std::make_shared<BlendedPrompt>(poor.decoder.get(), &controller_, parts_,
                                        BlendedPromptOptions{.quality = ReuseQuality::kFast});
    request.prompt = prompt->tokens();
    request.reader = prompt;
    request.options.max_tokens = 40;
    request.options.ignore_eos = true;
    request.on_finish = [&output](GenerationOutput o) { output = std::move(o); };
    ASSERT_TRUE(scheduler->Submit(std::move(request)).ok());
  }
  while (scheduler->HasWork()) scheduler->Step();
  for (const GenerationOutput& output : outputs) {
    EXPECT_TRUE(output.status.ok()) << output.status;
    EXPECT_EQ(output.ids, plain.ids);
  }
  EXPECT_GT(outputs[0].preemptions + outputs[1].preemptions, 0u);
}

}  // namespace
}  // namespace cairn::engine
