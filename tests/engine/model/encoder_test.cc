#include "engine/model/encoder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/encoder_directory.h"

namespace cairn::engine {
namespace {

using cairn::testing::EncoderReference;
using cairn::testing::EncoderReferenceInput;
using cairn::testing::ReadEncoderReferences;
using cairn::testing::TempDir;
using kernels::ComputeType;

struct Model {
  TempDir directory;
  std::unique_ptr<EncoderCheckpoint> checkpoint;
  std::unique_ptr<Encoder> encoder;

  Model(const EncoderReference& reference, ComputeType compute) {
    cairn::testing::WriteEncoder(reference, directory);
    auto opened = EncoderCheckpoint::Open(directory.path());
    EXPECT_TRUE(opened.ok()) << opened.status();
    checkpoint = *std::move(opened);
    EncoderOptions options;
    options.compute = compute;
    encoder = *Encoder::Load(checkpoint.get(), options);
  }

  std::vector<float> Run(const std::vector<EncoderText>& texts, EncoderRows rows) const {
    size_t count = 0;
    for (const EncoderText& text : texts) {
      count += rows == EncoderRows::kAll ? text.tokens.size() : 1;
    }
    std::vector<float> states(count * encoder->config().hidden_size);
    const absl::Status status = encoder->Run(texts, rows, states.data());
    EXPECT_TRUE(status.ok()) << status;
    return states;
  }
};

std::vector<EncoderText> TextsOf(const EncoderReference& reference) {
  std::vector<EncoderText> texts;
  for (const EncoderReferenceInput& input : reference.inputs) {
    texts.push_back({.tokens = input.ids, .second = input.second});
  }
  return texts;
}

class EncoderReferenceTest : public ::testing::TestWithParam<EncoderReference> {
 protected:
  // The largest difference to transformers, of all texts' states and logits.
  static double LargestError(ComputeType compute) {
    const EncoderReference& reference = GetParam();
    const Model model(reference, compute);
    const size_t width = model.encoder->config().hidden_size;
    const std::vector<float> states = model.Run(TextsOf(reference), EncoderRows::kAll);
    double worst = 0;
    size_t begin = 0;
    for (const EncoderReferenceInput& input : reference.inputs) {
      for (size_t p = 0; p < input.positions.size(); ++p) {
        for (size_t d = 0; d < width; ++d) {
          const float state = states[(begin + input.positions[p]) * width + d];
          worst = std::max(worst, std::fabs(state - input.states[p][d]));
        }
      }
      if (!input.logits.empty()) {
        std::vector<float> logits(input.logits.size());
        model.encoder->Classify(&states[begin * width], logits.data());
        for (size_t l = 0; l < logits.size(); ++l) {
          worst = std::max(worst, std::fabs(logits[l] - input.logits[l]));
        }
      }
      begin += input.ids.size();
    }
    return worst;
  }
};

TEST_P(EncoderReferenceTest, StatesAndLogitsAreThoseOfTransformers) {
  EXPECT_LT(LargestError(ComputeType::kF32), 1e-4);
}

TEST_P(EncoderReferenceTest, NarrowArithmeticStaysNearThem) {
  EXPECT_LT(LargestError(ComputeType::kBF16), 0.1);
  EXPECT_LT(LargestError(ComputeType::kI8), 0.25);
}

TEST_P(EncoderReferenceTest, ATextsStatesDoNotDependOnTheOthers) {
  for (ComputeType compute : {ComputeType::kF32, ComputeType::kBF16, ComputeType::kI8}) {
    const Model model(GetParam(), compute);
    const std::vector<EncoderText> texts = TextsOf(GetParam());
    // Enough of them for several passes.
    std::vector<EncoderText> many;
    for (int i = 0; i < 7; ++i) many.insert(many.end(), texts.begin(), texts.end());
    const std::vector<float> together = model.Run(many, EncoderRows::kAll);
    size_t at = 0;
    for (const EncoderText& text : many) {
      const std::vector<float> alone = model.Run({text}, EncoderRows::kAll);
      for (float state : alone) ASSERT_EQ(together[at++], state) << static_cast<int>(compute);
    }
  }
}

TEST_P(EncoderReferenceTest, FirstStatesAreThoseOfARunOfAll) {
  for (ComputeType compute : {ComputeType::kF32, ComputeType::kBF16, ComputeType::kI8}) {
    const Model model(GetParam(), compute);
    const std::vector<EncoderText> texts = TextsOf(GetParam());
    const size_t width = model.encoder->config().hidden_size;
    const std::vector<float> all = model.Run(texts, EncoderRows::kAll);
    const std::vector<float> first = model.Run(texts, EncoderRows::kFirst);
    size_t row = 0;
    for (size_t t = 0; t < texts.size(); row += texts[t].tokens.size(), ++t) {
      for (size_t d = 0; d < width; ++d) {
        ASSERT_EQ(first[t * width + d], all[row * width + d]) << static_cast<int>(compute);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, EncoderReferenceTest, ::testing::ValuesIn(ReadEncoderReferences()),
                         [](const auto& test) { return test.param.name; });

TEST(Encoder, ThreadsGetTheSameStates) {
  const EncoderReference reference = cairn::testing::EncoderReferenceNamed("bert");
  const Model model(reference, ComputeType::kBF16);
  const std::vector<EncoderText> texts = TextsOf(reference);
  const std::vector<float> expected = model.Run(texts, EncoderRows::kAll);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5; ++i) EXPECT_EQ(model.Run(texts, EncoderRows::kAll), expected);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(Encoder, NoTextsAreNoStates) {
  const Model model(cairn::testing::EncoderReferenceNamed("bert"), ComputeType::kF32);
  EXPECT_TRUE(model.encoder->Run({}, EncoderRows::kAll, nullptr).ok());
}

}  // namespace
}  // namespace cairn::engine
