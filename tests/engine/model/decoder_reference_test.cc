// The decoder against what transformers computes, and against a trained model's known output.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/model/decoder.h"
#include "tests/support/float64_decoder.h"
#include "tests/support/reference_checkpoint.h"
#include "tests/support/shared_data.h"
#include "tests/support/temp_dir.h"

namespace cairn::engine {
namespace {

using cairn::testing::Float64Decoder;
using cairn::testing::Float64Result;
using cairn::testing::ReadReferenceCases;
using cairn::testing::ReferenceCase;
using cairn::testing::SharedDir;
using cairn::testing::TempDir;

DecoderOptions Exact() {
  DecoderOptions options;
  options.threads = 2;
  options.kv_type = kernels::KvType::kF32;
  options.compute = kernels::ComputeType::kF32;
  options.context_length = 1024;  // Dynamic scaling goes beyond what the model was made for.
  return options;
}

struct ReferenceSubject {
  explicit ReferenceSubject(const std::string& path, const DecoderOptions& options = Exact())
      : checkpoint(std::move(Checkpoint::Open(path)).value()),
        decoder(std::move(Decoder::Create(*checkpoint, options)).value()),
        pool(std::move(KvPool::Create(decoder->kv_layout(), 16 * decoder->kv_layout().page_bytes()))
                 .value()) {}

  std::vector<float> Append(KvSequence* sequence, absl::Span<const uint32_t> ids, size_t wanted) {
    std::vector<float> logits(wanted * decoder->vocabulary_size());
    const SequenceInput input = {sequence, ids, wanted};
    const absl::Status status = decoder->Forward({&input, 1}, absl::MakeSpan(logits));
    EXPECT_TRUE(status.ok()) << status;
    return logits;
  }

  std::unique_ptr<Checkpoint> checkpoint;
  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<KvPool> pool;
};

class DecoderReference : public ::testing::TestWithParam<ReferenceCase> {};
INSTANTIATE_TEST_SUITE_P(Cases, DecoderReference, ::testing::ValuesIn(ReadReferenceCases()),
                         [](const auto& test) { return test.param.name; });

TEST_P(DecoderReference, GivesTheLogitsThatTransformersGives) {
  const ReferenceCase& reference = GetParam();
  const TempDir dir;
  ReferenceSubject subject(WriteReferenceCheckpoint(reference, dir));
  KvSequence sequence(subject.pool.get());
  const std::vector<float> logits = subject.Append(&sequence, reference.ids, reference.ids.size());
  const size_t vocabulary = subject.decoder->vocabulary_size();
  for (size_t i = 0; i < reference.positions.size(); ++i) {
    for (size_t token = 0; token < vocabulary; ++token) {
      const double expected = reference.logits[i][token];
      EXPECT_NEAR(logits[reference.positions[i] * vocabulary + token], expected,
                  1e-3 * std::max(1.0, std::fabs(expected)));
    }
  }
  for (size_t position = 0; position < reference.ids.size(); ++position) {
    const auto begin = logits.begin() + static_cast<ptrdiff_t>(position * vocabulary);
    const auto best = std::max_element(begin, begin + static_cast<ptrdiff_t>(vocabulary)) - begin;
    EXPECT_EQ(best, static_cast<ptrdiff_t>(reference.top1[position])) << position;
  }
}

TEST_P(DecoderReference, GivesThemTokenByTokenToo) {
  const ReferenceCase& reference = GetParam();
  const TempDir dir;
  ReferenceSubject subject(WriteReferenceCheckpoint(reference, dir));
  if (subject.decoder->config().rope_scaling.kind == RopeScaling::Kind::kDynamicNtk) {
    GTEST_SKIP() << "earlier keys keep the rotation of the shorter sequence";
  }
  KvSequence sequence(subject.pool.get());
  std::vector<float> logits;
  for (size_t i = 0; i < reference.ids.size(); ++i) {
    logits = subject.Append(&sequence, absl::MakeConstSpan(reference.ids).subspan(i, 1), 1);
    const auto at = std::find(reference.positions.begin(), reference.positions.end(), i);
    if (at == reference.positions.end()) continue;
    const std::vector<double>& expected =
        reference.logits[static_cast<size_t>(at - reference.positions.begin())];
    for (size_t token = 0; token < expected.size(); ++token) {
      EXPECT_NEAR(logits[token], expected[token], 1e-3 * std::max(1.0, std::fabs(expected[token])));
    }
  }
}

TEST(KnownStory, EveryLayerMatchesDoublePrecision) {
  CAIRN_NEED_SHARED("models/stories260k");
  ReferenceSubject subject(SharedDir() + "/models/stories260k/stories260K.gguf");
  std::vector<uint32_t> ids = {1};
  for (uint32_t i = 1; i < 120; ++i) ids.push_back((i * 37 + 261) % 512);
  const Float64Result expected = Float64Decoder::Load(*subject.checkpoint)->Forward(ids);
  KvSequence sequence(subject.pool.get());
  ASSERT_TRUE(sequence.Reserve(ids.size()).ok());
  std::vector<uint32_t> slots(ids.size());
  for (uint32_t i = 0; i < slots.size(); ++i) slots[i] = i;
  const PassSequence pass = {&sequence, slots, {}};
  const PassPlan plan = subject.decoder->Plan({&pass, 1});
  const size_t width = subject.decoder->config().hidden_size;
  std::vector<float> hidden(ids.size() * width);
  subject.decoder->Embed(ids, hidden.data());
  for (size_t l = 0; l < expected.layers.size(); ++l) {
    subject.decoder->RunLayers(plan, l, l + 1, hidden.data());
    // Relative to each token's largest value.
    for (size_t t = 0; t < ids.size(); ++t) {
      double largest = 0, worst = 0;
      for (size_t i = t * width; i < (t + 1) * width; ++i) {
        largest = std::max(largest, std::fabs(expected.layers[l][i]));
        worst = std::max(worst, std::fabs(expected.layers[l][i] - hidden[i]));
      }
      EXPECT_LT(worst, 1e-4 * largest) << "layer " << l << ", token " << t;
    }
  }
}

TEST(KnownStory, GreedyDecodingTellsItToTheLetter) {
  CAIRN_NEED_SHARED("models/stories260k");
  const std::string folder = SharedDir() + "/models/stories260k/";
  const auto expected =
      nlohmann::json::parse(cairn::testing::ReadFileOrDie(folder + "greedy_expected.json"));
  for (const DecoderOptions& options : {Exact(), DecoderOptions()}) {
    ReferenceSubject subject(folder + "stories260K.gguf", options);
    const auto tokenizer = std::move(subject.checkpoint->LoadTokenizer()).value();
    KvSequence sequence(subject.pool.get());
    std::vector<uint32_t> ids = tokenizer->EncodePrompt("", chunking::ControlText::kAsText);
    const size_t prompt = ids.size();
    while (ids.size() < prompt + expected.at("sequence_length").get<size_t>()) {
      const std::vector<float> logits =
          subject.Append(&sequence, absl::MakeConstSpan(ids).last(1), 1);
      ids.push_back(
          static_cast<uint32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
    }
    EXPECT_EQ(tokenizer->Decode(ids), expected.at("expected_text").get<std::string>());
  }
}

}  // namespace
}  // namespace cairn::engine
