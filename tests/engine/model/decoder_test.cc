#include "engine/model/decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/float64_decoder.h"
#include "tests/support/random_checkpoint.h"

namespace cairn::engine {
namespace {

using cairn::testing::Float64Decoder;
using cairn::testing::Float64Result;
using cairn::testing::RandomCheckpoint;
using cairn::testing::SmallConfig;
using kernels::BlockFormat;
using kernels::ComputeType;
using kernels::KvType;
using ::testing::HasSubstr;

constexpr DecoderOptions kExact = {
    .threads = 2, .kv_type = KvType::kF32, .compute = ComputeType::kF32};

std::vector<uint32_t> Tokens(size_t n, size_t vocabulary, size_t salt = 0) {
  std::vector<uint32_t> tokens(n);
  for (size_t i = 0; i < n; ++i) tokens[i] = ((i + salt) * 7919 + 13) % vocabulary;
  return tokens;
}

// A decoder with a pool of its own, and shorthands.
class Subject {
 public:
  Subject(const Checkpoint& checkpoint, const DecoderOptions& options, size_t pages = 256)
      : decoder(std::move(Decoder::Create(checkpoint, options)).value()),
        pool(std::move(
                 KvPool::Create(decoder->kv_layout(), pages * decoder->kv_layout().page_bytes()))
                 .value()) {}

  // Logits of the last `wanted` tokens.
  std::vector<float> Append(KvSequence* sequence, absl::Span<const uint32_t> tokens,
                            size_t wanted = 1) {
    std::vector<float> logits(wanted * decoder->vocabulary_size());
    const SequenceInput input = {sequence, tokens, wanted};
    const absl::Status status = decoder->Forward({&input, 1}, absl::MakeSpan(logits));
    EXPECT_TRUE(status.ok()) << status;
    return logits;
  }
  std::vector<float> Run(absl::Span<const uint32_t> tokens, size_t wanted = 1) {
    KvSequence sequence(pool.get());
    return Append(&sequence, tokens, wanted);
  }

  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<KvPool> pool;
};

// The largest difference, in units of the expected values' root mean square.
template <class Expected>
double Worst(const std::vector<float>& actual, const Expected& expected) {
  EXPECT_EQ(actual.size(), expected.size());
  double squares = 0, worst = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    squares += static_cast<double>(expected[i]) * expected[i];
    const double difference = std::fabs(static_cast<double>(expected[i]) - actual[i]);
    if (!(difference <= worst)) worst = difference;  // NaN is worse than anything.
  }
  return worst / std::sqrt(squares / static_cast<double>(actual.size()));
}

std::vector<double> LastRow(const Float64Result& result, size_t vocabulary) {
  return {result.logits.end() - static_cast<std::ptrdiff_t>(vocabulary), result.logits.end()};
}

class EachArchitecture : public ::testing::TestWithParam<Architecture> {};
INSTANTIATE_TEST_SUITE_P(Decoder, EachArchitecture,
                         ::testing::Values(Architecture::kLlama, Architecture::kQwen2,
                                           Architecture::kQwen3));

TEST_P(EachArchitecture, EveryLayerMatchesDoublePrecision) {
  const RandomCheckpoint checkpoint(SmallConfig(GetParam()), BlockFormat::kF32);
  Subject subject(checkpoint, kExact);
  const std::vector<uint32_t> tokens = Tokens(150, 97);
  const Float64Result expected = Float64Decoder::Load(checkpoint)->Forward(tokens);

  KvSequence sequence(subject.pool.get());
  ASSERT_TRUE(sequence.Reserve(tokens.size()).ok());
  std::vector<uint32_t> slots(tokens.size());
  for (uint32_t i = 0; i < slots.size(); ++i) slots[i] = i;
  const PassSequence pass = {&sequence, slots, {}};
  const PassPlan plan = subject.decoder->Plan({&pass, 1});
  std::vector<float> hidden(tokens.size() * 256);
  subject.decoder->Embed(tokens, hidden.data());
  for (size_t l = 0; l < 3; ++l) {
    subject.decoder->RunLayers(plan, l, l + 1, hidden.data());
    EXPECT_LT(Worst(hidden, expected.layers[l]), 1e-4) << "layer " << l;
  }
  std::vector<float> logits(tokens.size() * 97);
  subject.decoder->Logits(hidden.data(), tokens.size(), logits.data());
  EXPECT_LT(Worst(logits, expected.logits), 1e-4);
}

TEST_P(EachArchitecture, AllAtOnceInPiecesAndTokenByTokenAgree) {
  const RandomCheckpoint checkpoint(SmallConfig(GetParam()), BlockFormat::kF32);
  Subject whole(checkpoint, kExact);
  DecoderOptions in_pieces = kExact;
  in_pieces.max_rows = 7;
  Subject pieces(checkpoint, in_pieces);
  const std::vector<uint32_t> tokens = Tokens(140, 97);
  const std::vector<float> expected = whole.Run(tokens);
  EXPECT_LT(Worst(pieces.Run(tokens), expected), 1e-4);

  KvSequence sequence(whole.pool.get());
  whole.Append(&sequence, absl::MakeConstSpan(tokens).subspan(0, 100));
  std::vector<float> last;
  for (size_t i = 100; i < tokens.size(); ++i) {
    last = whole.Append(&sequence, absl::MakeConstSpan(tokens).subspan(i, 1));
  }
  EXPECT_LT(Worst(last, expected), 1e-4);
}

TEST(Decoder, LogitsOfAnyNumberOfLastTokensAreTheSame) {
  const RandomCheckpoint checkpoint(SmallConfig(Architecture::kLlama), BlockFormat::kF32);
  Subject subject(checkpoint, kExact);
  const std::vector<uint32_t> tokens = Tokens(70, 97);
  const std::vector<float> all = subject.Run(tokens, 70);
  for (size_t wanted : {1u, 2u, 34u, 36u, 69u}) {
    const std::vector<float> some = subject.Run(tokens, wanted);
    const std::vector<float> expected(all.end() - static_cast<std::ptrdiff_t>(some.size()),
                                      all.end());
    EXPECT_LT(Worst(some, expected), 1e-4) << wanted;
  }
  KvSequence sequence(subject.pool.get());
  EXPECT_TRUE(subject.Append(&sequence, tokens, 0).empty());
  EXPECT_EQ(sequence.length(), 70u);
}

TEST(Decoder, ABatchOfSequencesGivesWhatEachGivesAlone) {
  const RandomCheckpoint checkpoint(SmallConfig(Architecture::kQwen2), BlockFormat::kF32);
  Subject subject(checkpoint, kExact);
  std::vector<KvSequence> sequences;
  std::vector<std::vector<uint32_t>> tokens;
  for (size_t i = 0; i < 9; ++i) {
    sequences.emplace_back(subject.pool.get());
    // Some decode behind a beginning of their own, others are prefilled beside them.
    tokens.push_back(Tokens(1 + (i % 3) * 40, 97, i));
    if (i % 3 == 0) subject.Append(&sequences[i], Tokens(30 * i + 5, 97, 100 + i));
  }
  std::vector<SequenceInput> inputs;
  for (size_t i = 0; i < 9; ++i) inputs.push_back({&sequences[i], tokens[i], 1});
  std::vector<float> logits(9 * 97);
  ASSERT_TRUE(subject.decoder->Forward(inputs, absl::MakeSpan(logits)).ok());
  for (size_t i = 0; i < 9; ++i) {
    std::vector<uint32_t> all =
        i % 3 == 0 ? Tokens(30 * i + 5, 97, 100 + i) : std::vector<uint32_t>();
    all.insert(all.end(), tokens[i].begin(), tokens[i].end());
    const std::vector<float> mine(&logits[i * 97], &logits[i * 97] + 97);
    EXPECT_LT(Worst(mine, subject.Run(all)), 1e-4) << i;
  }
}

TEST(Decoder, SequencesThatShareABeginningGiveWhatTheyGiveAlone) {
  const RandomCheckpoint checkpoint(SmallConfig(Architecture::kLlama), BlockFormat::kF32);
  Subject subject(checkpoint, kExact);
  // A tree: all share 700 tokens, two thirds of them 100 more; then each its own.
  const std::vector<uint32_t> stem = Tokens(700, 97);
  const std::vector<uint32_t> branch = Tokens(100, 97, 5);
  KvSequence root(subject.pool.get());
  subject.Append(&root, stem);
  KvSequence longer = root.Fork(700);
  subject.Append(&longer, branch);
  std::vector<KvSequence> sequences;
  std::vector<std::vector<uint32_t>> all, next;
  for (size_t i = 0; i < 7; ++i) {
    const bool far = i % 3 != 0;
    sequences.push_back(far ? longer.Fork(800) : root.Fork(700));
    all.push_back(stem);
    if (far) all[i].insert(all[i].end(), branch.begin(), branch.end());
    const std::vector<uint32_t> own = Tokens(3 + 50 * i, 97, 50 + i);
    subject.Append(&sequences[i], own);
    all[i].insert(all[i].end(), own.begin(), own.end());
    next.push_back({static_cast<uint32_t>(i)});
    all[i].push_back(static_cast<uint32_t>(i));
  }
  std::vector<SequenceInput> inputs;
  for (size_t i = 0; i < 7; ++i) inputs.push_back({&sequences[i], next[i], 1});
  std::vector<float> logits(7 * 97);
  ASSERT_TRUE(subject.decoder->Forward(inputs, absl::MakeSpan(logits)).ok());
  for (size_t i = 0; i < 7; ++i) {
    const std::vector<float> mine(&logits[i * 97], &logits[i * 97] + 97);
    EXPECT_LT(Worst(mine, subject.Run(all[i])), 1e-4) << i;
  }
}

TEST(Decoder, TheNumberOfThreadsDoesNotChangeABit) {
  for (BlockFormat format : {BlockFormat::kF32, BlockFormat::kBF16, BlockFormat::kQ4_K}) {
    const RandomCheckpoint checkpoint(SmallConfig(Architecture::kQwen3), format);
    std::vector<float> expected;
    for (size_t threads : {1u, 2u, 3u, 5u}) {
      DecoderOptions options;
      options.threads = threads;
      Subject subject(checkpoint, options);
      KvSequence sequence(subject.pool.get());
      subject.Append(&sequence, Tokens(600, 97));
      const std::vector<float> logits = subject.Append(&sequence, Tokens(1, 97, 3));
      if (expected.empty()) expected = logits;
      EXPECT_EQ(logits, expected) << threads;
    }
  }
}

class EachFormat : public ::testing::TestWithParam<BlockFormat> {};
INSTANTIATE_TEST_SUITE_P(
    Decoder, EachFormat,
    ::testing::Values(BlockFormat::kF16, BlockFormat::kBF16, BlockFormat::kQ8_0, BlockFormat::kQ4_0,
                      BlockFormat::kQ4_1, BlockFormat::kQ5_0, BlockFormat::kQ5_1,
                      BlockFormat::kQ4_K, BlockFormat::kQ5_K, BlockFormat::kQ6_K),
    [](const auto& test) { return std::string(kernels::BlockFormatName(test.param)); });

TEST_P(EachFormat, AgreesWithItsDequantisedFloat64Form) {
  const RandomCheckpoint checkpoint(SmallConfig(Architecture::kLlama), GetParam());
  const std::vector<uint32_t> tokens = Tokens(40, 97);
  const std::vector<double> expected =
      LastRow(Float64Decoder::Load(checkpoint)->Forward(tokens), 97);
  EXPECT_LT(Worst(Subject(checkpoint, kExact).Run(tokens), expected), 1e-3);
  // With the arithmetic that is used by default, activations have eight bits.
  Subject fast(checkpoint, DecoderOptions());
  EXPECT_LT(Worst(fast.Run(tokens), expected), 0.1);
  KvSequence sequence(fast.pool.get());
  fast.Append(&sequence, absl::MakeConstSpan(tokens).subspan(0, 39));
  EXPECT_LT(Worst(fast.Append(&sequence, absl::MakeConstSpan(tokens).subspan(39)), expected), 0.1);
}

TEST(Decoder, EveryTypeOfKeysAndValuesIsCloseToFloat32) {
  const RandomCheckpoint checkpoint(SmallConfig(Architecture::kLlama), BlockFormat::kF32);
  const std::vector<uint32_t> tokens = Tokens(200, 97);
  const std::vector<float> expected = Subject(checkpoint, kExact).Run(tokens);
  const auto worst = [&](KvType type) {
    DecoderOptions options = kExact;
    options.kv_type = type;
    return Worst(Subject(checkpoint, options).Run(tokens), expected);
  };
  EXPECT_LT(worst(KvType::kF16), 5e-3);
  EXPECT_LT(worst(KvType::kBF16), 5e-2);
  EXPECT_LT(worst(KvType::kI8), 1e-1);
}

TEST(Decoder, SlidingWindowsMatchDoublePrecision) {
  ModelConfig config = SmallConfig(Architecture::kLlama);
  config.sliding_window = 70;
  for (uint32_t pattern : {0u, 2u}) {
    config.sliding_pattern = pattern;
    const RandomCheckpoint checkpoint(config, BlockFormat::kF32);
    const std::vector<uint32_t> tokens = Tokens(300, 97);
    const std::vector<double> expected =
        LastRow(Float64Decoder::Load(checkpoint)->Forward(tokens), 97);
    Subject subject(checkpoint, kExact);
    EXPECT_LT(Worst(subject.Run(tokens), expected), 1e-4);
    KvSequence sequence(subject.pool.get());
    subject.Append(&sequence, absl::MakeConstSpan(tokens).subspan(0, 299));
    EXPECT_LT(Worst(subject.Append(&sequence, absl::MakeConstSpan(tokens).subspan(299)), expected),
              1e-4);
  }
}

TEST(Decoder, RecomputingSomeTokensOfAFinishedSequenceChangesNothing) {
  const RandomCheckpoint checkpoint(SmallConfig(Architecture::kQwen3), BlockFormat::kF32);
  Subject subject(checkpoint, kExact);
  const std::vector<uint32_t> tokens = Tokens(180, 97);
  KvSequence sequence(subject.pool.get());
  const std::vector<float> expected = subject.Append(&sequence, tokens, 180);

  const std::vector<uint32_t> slots = {3, 64, 65, 127, 128, 150, 179};
  std::vector<uint32_t> chosen;
  for (uint32_t slot : slots) chosen.push_back(tokens[slot]);
  const PassSequence pass = {&sequence, slots, {}};
  const PassPlan plan = subject.decoder->Plan({&pass, 1});
  std::vector<float> hidden(slots.size() * 256), logits(slots.size() * 97);
  subject.decoder->Embed(chosen, hidden.data());
  subject.decoder->RunLayers(plan, 0, 2, hidden.data());
  subject.decoder->RunLayers(plan, 2, 3, hidden.data());
  subject.decoder->Logits(hidden.data(), slots.size(), logits.data());
  for (size_t i = 0; i < slots.size(); ++i) {
    const std::vector<float> mine(&logits[i * 97], &logits[i * 97] + 97);
    const std::vector<float> full(&expected[slots[i] * 97], &expected[slots[i] * 97] + 97);
    EXPECT_LT(Worst(mine, full), 1e-4) << slots[i];
  }
}

TEST(Decoder, KeysTakenBeforeRopeAreAtHomeAtAnyPosition) {
  const RandomCheckpoint checkpoint(SmallConfig(Architecture::kQwen3), BlockFormat::kF32);
  Subject subject(checkpoint, kExact);
  const std::vector<uint32_t> tokens = Tokens(100, 97);
  constexpr size_t kWidth = 2 * 64;  // Two KV heads.
  const auto run = [&](KvSequence* sequence, absl::Span<const uint32_t> slots,
                       absl::Span<const uint32_t> positions, const PassCapture& capture) {
    const PassSequence pass = {sequence, slots, positions};
    std::vector<float> hidden(tokens.size() * 256);
    subject.decoder->Embed(tokens, hidden.data());
    subject.decoder->RunLayers(subject.decoder->Plan({&pass, 1}), 0, 3, hidden.data(), capture);
  };
  std::vector<uint32_t> slots(100), moved(100);
  for (uint32_t i = 0; i < 100; ++i) {
    slots[i] = i;
    moved[i] = i + 1234;
  }
  std::vector<float> keys(3 * 100 * kWidth), values(3 * 100 * kWidth);
  KvSequence first(subject.pool.get());
  ASSERT_TRUE(first.Reserve(100).ok());
  run(&first, slots, {}, {keys.data(), values.data()});

  // Written from the capture, the sequence is the one that was computed, at the same positions and
  // at others: attention depends on distances alone.
  for (const std::vector<uint32_t>& positions : {slots, moved}) {
    KvSequence computed(subject.pool.get()), written(subject.pool.get());
    ASSERT_TRUE(computed.Reserve(100).ok());
    ASSERT_TRUE(written.Reserve(100).ok());
    run(&computed, slots, positions, {});
    const PassSequence pass = {&written, slots, positions};
    const PassPlan plan = subject.decoder->Plan({&pass, 1});
    for (size_t l = 0; l < 3; ++l) {
      subject.decoder->WriteKv(plan, l, &keys[l * 100 * kWidth], &values[l * 100 * kWidth]);
    }
    for (size_t l = 0; l < 3; ++l) {
      for (size_t h = 0; h < 2; ++h) {
        for (uint32_t t : {0u, 1u, 63u, 64u, 99u}) {
          std::vector<float> key(64), value(64), expected_key(64), expected_value(64);
          kernels::LoadKv(KvType::kF32, written.pages()[t / 64]->tile(l, h), 64, t % 64, key.data(),
                          value.data());
          kernels::LoadKv(KvType::kF32, computed.pages()[t / 64]->tile(l, h), 64, t % 64,
                          expected_key.data(), expected_value.data());
          EXPECT_LT(Worst(key, expected_key), 1e-3);
          EXPECT_LT(Worst(value, expected_value), 1e-3);
        }
      }
    }
  }
}

TEST(Decoder, CapturedQueriesAndKeysGiveTheAttentionThatWasPaid) {
  const RandomCheckpoint checkpoint(SmallConfig(Architecture::kQwen2), BlockFormat::kF32);
  Subject subject(checkpoint, kExact);
  const std::vector<uint32_t> tokens = Tokens(90, 97);
  std::vector<uint32_t> slots(90);
  for (uint32_t i = 0; i < 90; ++i) slots[i] = i;
  KvSequence sequence(subject.pool.get());
  ASSERT_TRUE(sequence.Reserve(90).ok());
  const PassSequence pass = {&sequence, slots, {}};
  std::vector<float> hidden(90 * 256), queries(3 * 90 * 8 * 32), values(3 * 90 * 2 * 32);
  subject.decoder->Embed(tokens, hidden.data());
  subject.decoder->RunLayers(subject.decoder->Plan({&pass, 1}), 0, 3, hidden.data(),
                             {.keys = nullptr, .values = values.data(), .queries = queries.data()});
  // The mass of the last token's attention lies where its softmax puts it: a query captured from
  // layer 1 meets that layer's keys as they lie in the sequence.
  const float* query = &queries[(1 * 90 + 89) * 8 * 32 + 5 * 32];  // Head 5, of KV head 1.
  std::vector<float> logs(2), parts(2 * 32), whole(32), key(32), value(32);
  kernels::AttentionRows rows;
  const std::byte* tiles[] = {sequence.pages()[0]->tile(1, 1), sequence.pages()[1]->tile(1, 1)};
  for (uint32_t half = 0; half < 2; ++half) {
    rows.Begin(KvType::kF32, 32, 1);
    rows.SetRow(0, query, half * 64, half == 0 ? 64 : 90);
    rows.Attend(tiles, 0, 0, 2);
    logs[half] = rows.FinishPartial(0, &parts[half * 32]);
  }
  double mass[2] = {};
  for (uint32_t t = 0; t < 90; ++t) {
    kernels::LoadKv(KvType::kF32, tiles[t / 64], 32, t % 64, key.data(), value.data());
    double score = 0;
    for (size_t d = 0; d < 32; ++d) score += static_cast<double>(query[d]) * key[d];
    mass[t / 64] += std::exp(score / std::sqrt(32.0));
    EXPECT_EQ(value[7], values[((1 * 90 + t) * 2 + 1) * 32 + 7]);
  }
  EXPECT_NEAR(logs[0] - logs[1], std::log2(mass[0] / mass[1]), 1e-4);
}

TEST(Decoder, DynamicScalingDoesNotDependOnHowAPromptIsCut) {
  ModelConfig config = SmallConfig(Architecture::kLlama);
  config.rope_scaling = {
      .kind = RopeScaling::Kind::kDynamicNtk, .factor = 2, .original_context = 50};
  const RandomCheckpoint checkpoint(config, BlockFormat::kF32);
  const std::vector<uint32_t> tokens = Tokens(160, 97);
  const std::vector<double> expected =
      LastRow(Float64Decoder::Load(checkpoint)->Forward(tokens), 97);
  for (size_t max_rows : {7u, 512u}) {
    DecoderOptions options = kExact;
    options.max_rows = max_rows;
    EXPECT_LT(Worst(Subject(checkpoint, options).Run(tokens), expected), 1e-4) << max_rows;
  }
}

TEST(Decoder, WhatCannotBeComputedIsRefusedAndChangesNothing) {
  const RandomCheckpoint checkpoint(SmallConfig(Architecture::kLlama), BlockFormat::kF32);
  DecoderOptions options = kExact;
  options.context_length = 100;
  Subject subject(checkpoint, options, /*pages=*/2);
  KvSequence sequence(subject.pool.get());
  std::vector<float> logits(97);
  const auto forward = [&](std::vector<uint32_t> tokens, size_t wanted) {
    const SequenceInput input = {&sequence, tokens, wanted};
    return subject.decoder->Forward({&input, 1}, absl::MakeSpan(logits));
  };
  EXPECT_EQ(forward({97}, 1).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(forward({}, 0).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(forward({1}, 2).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(forward({1, 2}, 2).code(), absl::StatusCode::kInvalidArgument);  // Room for one.
  EXPECT_THAT(std::string(forward(Tokens(101, 97), 1).message()), HasSubstr("context"));
  KvSequence other(subject.pool.get());
  ASSERT_TRUE(other.Reserve(65).ok());
  other.Extend(65);
  EXPECT_EQ(forward({1}, 1).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(sequence.length(), 0u);
  // Of several sequences, those that found room give it back.
  other.Truncate(64);
  KvSequence third(subject.pool.get());
  const std::vector<uint32_t> one = {1}, many = Tokens(70, 97);
  const SequenceInput inputs[] = {{&sequence, one, 0}, {&third, many, 1}};
  EXPECT_EQ(subject.decoder->Forward(inputs, absl::MakeSpan(logits)).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(subject.pool->pages_in_use(), 1u);
  other.Truncate(0);
  EXPECT_TRUE(forward({1}, 1).ok());
  EXPECT_EQ(sequence.length(), 1u);
}

TEST(Decoder, HeadsBeyondTheLimitAreRefused) {
  ModelConfig config = SmallConfig(Architecture::kLlama);
  config.head_dim = 2048;
  config.rope_dims = 2048;
  const RandomCheckpoint checkpoint(config, BlockFormat::kF32);
  const auto decoder = Decoder::Create(checkpoint, kExact);
  EXPECT_EQ(decoder.status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace cairn::engine
