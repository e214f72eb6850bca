#include "engine/kv/blender.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <vector>

#include "tests/engine/kv/kv_subject.h"

namespace cairn::engine {
namespace {

using cairn::testing::SmallConfig;
using testing::Exact;
using testing::KvSubject;
using testing::LargestDifference;
using testing::SomeTokens;
using testing::Tokens;

constexpr double kSame = 1e-3;

// Chunks with uneven lengths between a preface and a question.
class BlenderTest : public ::testing::TestWithParam<Architecture> {
 protected:
  BlenderTest() : subject_(SmallConfig(GetParam()), 256, /*max_rows=*/48) {}

  std::vector<BlendPart> Prompt(KvSource source) {
    std::vector<BlendPart> parts = {{preface_, nullptr}};
    for (BlendPart& part : subject_.Parts(chunks_, preface_, Exact(source))) {
      parts.push_back(std::move(part));
    }
    parts.push_back({SomeTokens(9, 77), nullptr});
    return parts;
  }

  KvSubject subject_;
  const Tokens preface_ = SomeTokens(6, 50);
  const std::vector<Tokens> chunks_ = {SomeTokens(70, 1), SomeTokens(33, 2), SomeTokens(51, 3)};
};
INSTANTIATE_TEST_SUITE_P(Blender, BlenderTest,
                         ::testing::Values(Architecture::kLlama, Architecture::kQwen2,
                                           Architecture::kQwen3));

TEST_P(BlenderTest, AllRecomputedIsTheWholePrompt) {
  const std::vector<BlendPart> parts = Prompt(KvSource::kIsolated);
  const std::vector<float> full = subject_.Full(parts);
  ReuseUsage usage;
  EXPECT_LT(LargestDifference(subject_.Blend(parts, {.method = ReuseMethod::kFull}, &usage), full),
            kSame);
  EXPECT_EQ(usage.recomputed_tokens, 154u);
  EXPECT_EQ(usage.loaded_bytes, 0u) << "nothing cached is looked at";
  EXPECT_EQ(usage.fresh_tokens, 15u);
  EXPECT_EQ(usage.reused_tokens, 0u);
  EXPECT_DOUBLE_EQ(usage.charged, 1);
  for (const ReuseOptions& all :
       std::vector<ReuseOptions>{{.share = 1},
                                 {.share = 1, .check_layer = 2},
                                 {.share = 1, .gradual_layers = 2},
                                 {.method = ReuseMethod::kRandom, .share = 1},
                                 {.method = ReuseMethod::kQuestionAttention, .share = 1},
                                 {.share = 1, .offset = true},
                                 {.method = ReuseMethod::kFirstTokens, .first_tokens = 1000}}) {
    EXPECT_LT(LargestDifference(subject_.Blend(parts, all), full), kSame)
        << ReuseMethodName(all.method);
  }
}

TEST_P(BlenderTest, ChunksInTheirOldPlaceAreTheWholePrompt) {
  const std::vector<BlendPart> parts = Prompt(KvSource::kDocument);
  const std::vector<float> full = subject_.Full(parts);
  ReuseUsage usage;
  EXPECT_LT(
      LargestDifference(subject_.Blend(parts, {.method = ReuseMethod::kReposition}, &usage), full),
      kSame);
  EXPECT_EQ(usage.reused_tokens, 154u);
  EXPECT_EQ(usage.recomputed_tokens, 0u);
  EXPECT_NEAR(usage.charged, 15.0 / 169, 1e-9);
  uint64_t bytes = 0;
  for (const BlendPart& part : parts) bytes += part.kv == nullptr ? 0 : part.kv->bytes();
  EXPECT_NEAR(static_cast<double>(usage.loaded_bytes), static_cast<double>(bytes), 2);
  // Whatever is recomputed then changes nothing.
  for (const ReuseOptions& some :
       std::vector<ReuseOptions>{{.share = 0.2},
                                 {.share = 0.2, .offset = true},
                                 {.share = 0.1, .gradual_layers = 1},
                                 {.method = ReuseMethod::kRandom, .share = 0.3},
                                 {.method = ReuseMethod::kQuestionAttention, .share = 0.3},
                                 {.method = ReuseMethod::kFirstTokens, .first_tokens = 5}}) {
    EXPECT_LT(LargestDifference(subject_.Blend(parts, some), full), kSame)
        << ReuseMethodName(some.method);
  }
}

TEST_P(BlenderTest, TheFirstChunkBehindThePrefaceIsExact) {
  std::vector<BlendPart> parts = Prompt(KvSource::kPreface);
  parts.erase(parts.begin() + 2, parts.begin() + 4);
  EXPECT_LT(LargestDifference(subject_.Blend(parts, {.method = ReuseMethod::kReposition}),
                              subject_.Full(parts)),
            kSame);
}

TEST_P(BlenderTest, MovedChunksAreNearerTurnedThanNot) {
  std::vector<BlendPart> parts = Prompt(KvSource::kPreface);
  std::swap(parts[1], parts[3]);
  const std::vector<float> full = subject_.Full(parts);
  const ReuseOptions reposition = {.method = ReuseMethod::kReposition};
  const double turned = LargestDifference(subject_.Blend(parts, reposition), full);
  const double still = LargestDifference(
      subject_.Blend(parts, reposition, nullptr, {.reposition = false, .is_cancelled = nullptr}),
      full);
  EXPECT_GT(turned, kSame);  // They do not know each other.
  EXPECT_NE(turned, still);
}

TEST_P(BlenderTest, RecomputingMoreComesNearer) {
  const std::vector<BlendPart> parts = Prompt(KvSource::kIsolated);
  const std::vector<float> full = subject_.Full(parts);
  const auto distance = [&](double share) {
    const std::vector<float> logits = subject_.Blend(parts, {.share = share});
    double sum = 0;
    for (size_t i = 0; i < full.size(); ++i) sum += (logits[i] - full[i]) * (logits[i] - full[i]);
    return sum;
  };
  EXPECT_LT(distance(0.7), distance(0.05));
}

TEST_P(BlenderTest, WhatIsThereAlreadyIsExactAndWhatFollowsGoesOn) {
  const std::vector<BlendPart> parts = Prompt(KvSource::kDocument);
  const std::vector<float> full = subject_.Full(parts);
  KvSequence sequence(subject_.pool.get());
  const SequenceInput input = {&sequence, preface_, 0};
  ASSERT_TRUE(subject_.decoder->Forward({&input, 1}, {}).ok());
  auto policy = MakeReusePolicy({.share = 0.2});
  std::vector<float> logits(97);
  const auto usage =
      Blender(subject_.decoder.get())
          .Run(absl::MakeConstSpan(parts).subspan(1), policy->get(), &sequence, logits.data());
  ASSERT_TRUE(usage.ok()) << usage.status();
  EXPECT_EQ(usage->exact_tokens, 6u);
  EXPECT_EQ(usage->fresh_tokens, 9u);
  EXPECT_EQ(
      usage->exact_tokens + usage->reused_tokens + usage->recomputed_tokens + usage->fresh_tokens,
      sequence.length());
  EXPECT_LT(LargestDifference(logits, full), kSame);

  // The next token sees the chunks in every layer, the last too.
  const uint32_t next = 42;
  std::vector<float> after(97);
  const SequenceInput one = {&sequence, {&next, 1}, 1};
  ASSERT_TRUE(subject_.decoder->Forward({&one, 1}, absl::MakeSpan(after)).ok());
  std::vector<BlendPart> longer = parts;
  longer.back().tokens.push_back(next);
  EXPECT_LT(LargestDifference(after, subject_.Full(longer)), kSame);
}

TEST_P(BlenderTest, TextBetweenChunksIsComputed) {
  std::vector<BlendPart> parts = Prompt(KvSource::kIsolated);
  parts.insert(parts.begin() + 2, {SomeTokens(4, 90), nullptr});
  ReuseUsage usage;
  EXPECT_LT(LargestDifference(subject_.Blend(parts, {.share = 1}, &usage), subject_.Full(parts)),
            kSame);
  EXPECT_EQ(usage.fresh_tokens, 19u);
}

// Passages that are computed and kept are what the pass over a document keeps of its chunks.
TEST_P(BlenderTest, WhatIsKeptOfAPromptIsWhatWasComputed) {
  DocumentReaderOptions exact = Exact(KvSource::kDocument);
  const std::vector<BlendPart> cached = subject_.Parts(chunks_, preface_, exact);
  std::vector<BlendPart> parts = {{preface_, nullptr}};
  for (const Tokens& chunk : chunks_) {
    parts.push_back({.tokens = chunk, .kv = nullptr, .passage = true, .keep = true});
  }
  parts[2].keep = false;
  parts.push_back({SomeTokens(9, 77), nullptr});
  std::map<size_t, std::shared_ptr<const ChunkKvBuffer>> kept;
  BlendOptions options;
  options.kept_encoding = KvEncoding::kF32;
  options.kept_attention_layers = 2;
  options.on_kept = [&](size_t part, std::shared_ptr<const ChunkKvBuffer> kv) {
    kept[part] = std::move(kv);
  };
  const std::vector<float> full = subject_.Full(parts);
  EXPECT_LT(
      LargestDifference(
          subject_.Blend(parts, {.method = ReuseMethod::kReposition}, nullptr, options), full),
      kSame);
  ASSERT_THAT(kept, ::testing::SizeIs(2));
  for (const auto& [part, kv] : kept) {
    const ChunkKv& known = *cached[part - 1].kv;
    ASSERT_EQ(kv->tokens(), known.tokens());
    EXPECT_EQ(kv->first_position(), known.first_position());
    const size_t floats = known.tokens() * known.shape().width();
    for (size_t layer = 0; layer < known.shape().layers; ++layer) {
      std::vector<float> keys(floats), values(floats), known_keys(floats), known_values(floats);
      ASSERT_TRUE(kv->Read(layer, 0, kv->tokens(), keys.data(), values.data()).ok());
      ASSERT_TRUE(known.Read(layer, 0, kv->tokens(), known_keys.data(), known_values.data()).ok());
      EXPECT_LT(LargestDifference(keys, known_keys), kSame);
      EXPECT_LT(LargestDifference(values, known_values), kSame);
    }
    ASSERT_NE(kv->attention(), nullptr);
    ASSERT_EQ(kv->attention()->before.size(), part - 1);
    for (size_t b = 0; b < part - 1; ++b) {
      EXPECT_EQ(kv->attention()->before[b].hash, HashTokens(chunks_[b]));
      EXPECT_GT(kv->attention()->before[b].inter, 0);
    }
    EXPECT_GT(kv->attention()->intra, 0);
    EXPECT_EQ(kv->attention()->token_inter.size(), kv->tokens());
  }
  // Behind the same passages, some of them cached and some not, nothing need be computed again.
  parts[1].kv = kept[1];
  parts[3].kv = kept[3];
  ReuseUsage usage;
  const std::vector<float> again =
      subject_.Blend(parts, {.method = ReuseMethod::kCacheCraft, .share = 1}, &usage);
  EXPECT_LT(LargestDifference(again, full), kSame);
  EXPECT_EQ(usage.recomputed_tokens, 0u);
  // Without the one in between, something must.
  parts.erase(parts.begin() + 2);
  subject_.Blend(parts, {.method = ReuseMethod::kCacheCraft, .share = 1}, &usage);
  EXPECT_GT(usage.recomputed_tokens, 0u);
}

TEST_P(BlenderTest, APromptWithoutChunksIsComputed) {
  const std::vector<BlendPart> parts = {{SomeTokens(100, 5), nullptr}};
  ReuseUsage usage;
  EXPECT_LT(LargestDifference(subject_.Blend(parts, {}, &usage), subject_.Full(parts)), kSame);
  EXPECT_DOUBLE_EQ(usage.charged, 1);
}

TEST_P(BlenderTest, ChargesWhatItComputes) {
  const std::vector<BlendPart> parts = Prompt(KvSource::kIsolated);
  ReuseUsage usage;
  subject_.Blend(parts, {.share = 0.25}, &usage);
  EXPECT_EQ(usage.recomputed_tokens, 39u);
  // Layer 0 whole, layer 1 whole to be compared and again for those chosen, layer 2 for those.
  EXPECT_NEAR(usage.charged, (169.0 + 169 + 54 + 54) / (3 * 169), 1e-9);
}

// A chunk whose layers go bad.
class BadKv final : public ChunkKv {
 public:
  BadKv(std::shared_ptr<const ChunkKv> good, size_t layer)
      : good_(std::move(good)), layer_(layer) {}
  const KvShape& shape() const override { return good_->shape(); }
  size_t tokens() const override { return good_->tokens(); }
  const ChunkAttention* attention() const override { return nullptr; }
  uint32_t first_position() const override { return 0; }
  uint64_t bytes() const override { return good_->bytes(); }
  absl::Status Read(size_t layer, size_t first, size_t count, float* keys,
                    float* values) const override {
    if (layer == layer_) return absl::DataLossError("bad layer");
    return good_->Read(layer, first, count, keys, values);
  }

 private:
  const std::shared_ptr<const ChunkKv> good_;
  const size_t layer_;
};

TEST_P(BlenderTest, ABadChunkIsNamedAndLeavesTheSequenceAsItWas) {
  std::vector<BlendPart> parts = Prompt(KvSource::kDocument);
  parts[2].kv = std::make_shared<BadKv>(parts[2].kv, 2);
  KvSequence sequence(subject_.pool.get());
  auto policy = MakeReusePolicy({.share = 0.2});
  std::vector<float> logits(97);
  size_t bad = 99;
  const auto usage =
      Blender(subject_.decoder.get()).Run(parts, policy->get(), &sequence, logits.data(), {}, &bad);
  EXPECT_EQ(usage.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(bad, 2u);
  EXPECT_EQ(sequence.length(), 0u);
  EXPECT_EQ(sequence.pages().size(), 0u);
}

TEST_P(BlenderTest, RefusesWhatItCannotBlend) {
  const std::vector<BlendPart> good = Prompt(KvSource::kIsolated);
  const auto run = [&](const std::vector<BlendPart>& parts, KvSubject* subject) {
    KvSequence sequence(subject->pool.get());
    auto policy = MakeReusePolicy({});
    std::vector<float> logits(97);
    return Blender(subject->decoder.get())
        .Run(parts, policy->get(), &sequence, logits.data())
        .status()
        .code();
  };
  std::vector<BlendPart> parts = good;
  parts.pop_back();
  EXPECT_EQ(run(parts, &subject_), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(run({}, &subject_), absl::StatusCode::kInvalidArgument);
  parts = good;
  parts[1].tokens.pop_back();
  EXPECT_EQ(run(parts, &subject_), absl::StatusCode::kInvalidArgument);
  parts = good;
  parts.back().tokens[0] = 97;
  EXPECT_EQ(run(parts, &subject_), absl::StatusCode::kInvalidArgument);
  ModelConfig other = SmallConfig(GetParam());
  other.layers = 2;
  KvSubject smaller(other);
  EXPECT_EQ(run(good, &smaller), absl::StatusCode::kInvalidArgument);
  KvSubject poor(SmallConfig(GetParam()), /*pages=*/2);
  EXPECT_EQ(run(good, &poor), absl::StatusCode::kResourceExhausted);
  ModelConfig short_one = SmallConfig(GetParam());
  short_one.context_length = 100;
  KvSubject narrow(short_one);
  EXPECT_EQ(run(good, &narrow), absl::StatusCode::kInvalidArgument);
}

TEST_P(BlenderTest, IsGivenUpWhenAsked) {
  const std::vector<BlendPart> parts = Prompt(KvSource::kIsolated);
  KvSequence sequence(subject_.pool.get());
  auto policy = MakeReusePolicy({});
  std::vector<float> logits(97);
  int asked = 0;
  const auto usage = Blender(subject_.decoder.get())
                         .Run(parts, policy->get(), &sequence, logits.data(),
                              {.reposition = true, .is_cancelled = [&] { return ++asked == 2; }});
  EXPECT_EQ(usage.status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(sequence.length(), 0u);
}

}  // namespace
}  // namespace cairn::engine
