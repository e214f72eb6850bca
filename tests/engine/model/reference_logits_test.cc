// The double-precision decoder, the reference of other tests, against what transformers computes
// and what is known of published models; and the small checkpoints behind that.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/model/checkpoint.h"
#include "tests/support/float64_decoder.h"
#include "tests/support/memory_checkpoint.h"
#include "tests/support/reference_checkpoint.h"
#include "tests/support/shared_data.h"
#include "tests/support/temp_dir.h"

namespace cairn::engine {
namespace {

using cairn::testing::Float64Decoder;
using cairn::testing::Float64Result;
using cairn::testing::MemoryCheckpoint;
using cairn::testing::ReadFileOrDie;
using cairn::testing::ReadReferenceCases;
using cairn::testing::ReferenceCase;
using cairn::testing::ReferenceWeights;
using cairn::testing::SharedDir;
using cairn::testing::TempDir;
using cairn::testing::WeightSample;
using cairn::testing::WriteReferenceCheckpoint;

class ReferenceLogits : public ::testing::TestWithParam<ReferenceCase> {
 protected:
  std::unique_ptr<Checkpoint> Open(std::string_view config_json) const {
    absl::StatusOr<std::unique_ptr<Checkpoint>> checkpoint =
        Checkpoint::Open(WriteReferenceCheckpoint(GetParam(), config_json, dir_));
    EXPECT_TRUE(checkpoint.ok()) << checkpoint.status();
    return checkpoint.ok() ? *std::move(checkpoint) : nullptr;
  }

  Float64Result Decode(const Checkpoint& checkpoint) const {
    const absl::StatusOr<Float64Decoder> decoder = Float64Decoder::Load(checkpoint);
    EXPECT_TRUE(decoder.ok()) << decoder.status();
    return decoder.ok() ? decoder->Forward(GetParam().ids) : Float64Result{};
  }

  const TempDir dir_;
};

INSTANTIATE_TEST_SUITE_P(Cases, ReferenceLogits, ::testing::ValuesIn(ReadReferenceCases()),
                         [](const auto& test) { return test.param.name; });

uint32_t LikeliestToken(const Float64Result& result, size_t position, size_t vocabulary) {
  const auto begin = result.logits.begin() + static_cast<ptrdiff_t>(position * vocabulary);
  return static_cast<uint32_t>(std::max_element(begin, begin + static_cast<ptrdiff_t>(vocabulary)) -
                               begin);
}

// Six significant digits were kept.
void ExpectReferenceLogits(const ReferenceCase& reference, const Float64Result& result) {
  const size_t vocabulary = reference.logits.front().size();
  ASSERT_EQ(result.logits.size(), reference.ids.size() * vocabulary);
  for (size_t i = 0; i < reference.positions.size(); ++i) {
    for (size_t token = 0; token < vocabulary; ++token) {
      const double expected = reference.logits[i][token];
      ASSERT_NEAR(result.logits[reference.positions[i] * vocabulary + token], expected,
                  1e-5 * std::max(1.0, std::abs(expected)))
          << "position " << reference.positions[i] << ", token " << token;
    }
  }
  for (size_t position = 0; position < reference.ids.size(); ++position) {
    EXPECT_EQ(LikeliestToken(result, position, vocabulary), reference.top1[position])
        << "position " << position;
  }
}

TEST_P(ReferenceLogits, WeightsAreThoseThatTransformersHad) {
  ASSERT_FALSE(GetParam().weight_samples.empty());
  for (const WeightSample& sample : GetParam().weight_samples) {
    const auto tensor =
        std::find_if(GetParam().tensors.begin(), GetParam().tensors.end(),
                     [&](const auto& named) { return named.first == sample.tensor; });
    ASSERT_NE(tensor, GetParam().tensors.end()) << sample.tensor;
    const std::vector<float> values = ReferenceWeights(tensor->first, tensor->second);
    ASSERT_LT(sample.index, values.size());
    EXPECT_EQ(values[sample.index], sample.value) << sample.tensor << " [" << sample.index << "]";
  }
}

TEST_P(ReferenceLogits, DoublePrecisionDecoderAgreesWithTransformers) {
  const std::unique_ptr<Checkpoint> checkpoint = Open(GetParam().config_json);
  ASSERT_NE(checkpoint, nullptr);
  ExpectReferenceLogits(GetParam(), Decode(*checkpoint));
}

TEST_P(ReferenceLogits, TheOlderSpellingOfTheConfigurationMeansTheSame) {
  const std::unique_ptr<Checkpoint> checkpoint = Open(GetParam().legacy_config_json);
  ASSERT_NE(checkpoint, nullptr);
  ExpectReferenceLogits(GetParam(), Decode(*checkpoint));
}

// Row h * dim + i of a head's halves goes to the place where interleaved pairing looks for it.
std::vector<float> Interleaved(const std::vector<float>& rows, size_t head_dim, size_t columns) {
  std::vector<float> out(rows.size());
  for (size_t row = 0; row < rows.size() / columns; ++row) {
    const size_t i = row % head_dim;
    const size_t half = head_dim / 2;
    const size_t place = row - i + (i < half ? 2 * i : 2 * (i - half) + 1);
    std::copy_n(rows.begin() + static_cast<ptrdiff_t>(row * columns), columns,
                out.begin() + static_cast<ptrdiff_t>(place * columns));
  }
  return out;
}

TEST_P(ReferenceLogits, InterleavedPairingOfReorderedRowsIsTheSame) {
  const std::unique_ptr<Checkpoint> checkpoint = Open(GetParam().config_json);
  ASSERT_NE(checkpoint, nullptr);
  ASSERT_EQ(checkpoint->config().rope_pairing, RopePairing::kHalves);
  MemoryCheckpoint reordered(checkpoint->config());
  reordered.mutable_config().rope_pairing = RopePairing::kInterleaved;
  for (const std::string& name : checkpoint->TensorNames()) {
    const absl::StatusOr<TensorView> view = checkpoint->Find(name);
    ASSERT_TRUE(view.ok()) << view.status();
    const size_t columns = view->shape.size() == 2 ? view->shape[1] : 1;
    std::vector<float> values(view->shape[0] * columns);
    kernels::Dequantize(view->format, view->bytes.data(), values.size(), values.data());
    if (name.find("attn_q") != name.npos || name.find("attn_k") != name.npos) {
      values = Interleaved(values, checkpoint->config().head_dim, columns);
    }
    reordered.Set(name, view->shape, std::move(values));
  }
  ExpectReferenceLogits(GetParam(), Decode(reordered));
}

TEST_P(ReferenceLogits, ResultsOfEveryLayerAreGiven) {
  const std::unique_ptr<Checkpoint> checkpoint = Open(GetParam().config_json);
  ASSERT_NE(checkpoint, nullptr);
  const Float64Result result = Decode(*checkpoint);
  const ModelConfig& config = checkpoint->config();
  ASSERT_EQ(result.layers.size(), config.layers);
  for (const std::vector<double>& layer : result.layers) {
    EXPECT_EQ(layer.size(), GetParam().ids.size() * config.hidden_size);
  }
  // A token's results depend on nothing after it, unless the length itself changes the rotation.
  if (config.rope_scaling.kind == RopeScaling::Kind::kDynamicNtk) return;
  const absl::StatusOr<Float64Decoder> decoder = Float64Decoder::Load(*checkpoint);
  ASSERT_TRUE(decoder.ok()) << decoder.status();
  const Float64Result shorter =
      decoder->Forward(absl::MakeConstSpan(GetParam().ids).first(GetParam().ids.size() / 2));
  for (size_t layer = 0; layer < config.layers; ++layer) {
    EXPECT_THAT(
        shorter.layers[layer],
        ::testing::ElementsAreArray(
            result.layers[layer].begin(),
            result.layers[layer].begin() + static_cast<ptrdiff_t>(shorter.layers[layer].size())));
  }
}

TEST(ReferenceCheckpoint, TokenizerCoversTheVocabulary) {
  const TempDir dir;
  const ReferenceCase reference = ReadReferenceCases().front();
  const auto checkpoint = Checkpoint::Open(WriteReferenceCheckpoint(reference, dir));
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  const auto tokenizer = (*checkpoint)->LoadTokenizer();
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ((*tokenizer)->vocabulary_size(), (*checkpoint)->config().vocabulary_size);
  EXPECT_EQ(
      (*tokenizer)->Decode((*tokenizer)->EncodePrompt("To be!", chunking::ControlText::kAsText)),
      "To be!");
}

TEST(Float64Decoder, TellsTheKnownStory) {
  CAIRN_NEED_SHARED("models/stories260k");
  const std::string folder = SharedDir() + "/models/stories260k/";
  const auto checkpoint = Checkpoint::Open(folder + "stories260K.gguf");
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  const auto tokenizer = (*checkpoint)->LoadTokenizer();
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const auto decoder = Float64Decoder::Load(**checkpoint);
  ASSERT_TRUE(decoder.ok()) << decoder.status();
  ASSERT_TRUE((*tokenizer)->special_tokens().bos.has_value());
  std::vector<uint32_t> story = {*(*tokenizer)->special_tokens().bos};
  while (story.size() < 100) {
    const Float64Result result = decoder->Forward(story);
    story.push_back(
        LikeliestToken(result, story.size() - 1, (*checkpoint)->config().vocabulary_size));
  }
  const auto expected = nlohmann::json::parse(ReadFileOrDie(folder + "greedy_expected.json"));
  const std::string text = (*tokenizer)->Decode(story);
  EXPECT_GT(text.size(), 200u);
  EXPECT_EQ(text, expected.at("expected_text").get<std::string>().substr(0, text.size()));
}

}  // namespace
}  // namespace cairn::engine
