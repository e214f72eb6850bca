#include "engine/model/model_synthesis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/model/model_layout.h"
#include "tests/engine/model/tiny_models.h"
#include "tests/support/shared_data.h"
#include "tests/support/temp_dir.h"

namespace cairn::engine {
namespace {

using cairn::testing::ReadFileOrDie;
using cairn::testing::TempDir;
using kernels::BlockFormat;
using ::testing::HasSubstr;
using testing::TinyConfig;
using testing::ValuesOf;

double Deviation(const std::vector<float>& values, double centre) {
  double sum = 0;
  for (float value : values) sum += (value - centre) * (value - centre);
  return std::sqrt(sum / static_cast<double>(values.size()));
}

TEST(Synthesis, MakesModelsThatOpenInEveryArchitectureAndFormat) {
  const TempDir directory;
  const std::string path = directory.file("m.gguf");
  for (Architecture architecture :
       {Architecture::kLlama, Architecture::kQwen2, Architecture::kQwen3}) {
    for (size_t f = 0; f < kernels::kBlockFormats; ++f) {
      const auto format = static_cast<BlockFormat>(f);
      const ModelConfig config = TinyConfig(architecture);
      const absl::Status made = SynthesizeModel(config, {.format = format}, path);
      ASSERT_TRUE(made.ok()) << made;
      const auto opened = Checkpoint::Open(path);
      ASSERT_TRUE(opened.ok()) << opened.status();
      EXPECT_EQ((*opened)->config().architecture, architecture);
      EXPECT_EQ((*opened)->config().rope_theta, config.rope_theta);
      EXPECT_EQ((*opened)->config().tied_embeddings, config.tied_embeddings);
      // Rows of 64 and 96 values are no whole blocks of 256.
      const bool large = kernels::ShapeOf(format).values == 256;
      EXPECT_EQ((*opened)->Find("blk.1.ffn_down.weight")->format,
                large ? BlockFormat::kQ8_0 : format);
      EXPECT_EQ((*opened)->Find("blk.1.ffn_norm.weight")->format, BlockFormat::kF32);
    }
  }
}

TEST(Synthesis, WeightsKeepTheSizeOfWhatTheyMultiply) {
  const TempDir directory;
  const std::string path = directory.file("m.gguf");
  ModelConfig config = TinyConfig(Architecture::kQwen2);
  config.tied_embeddings = false;
  ASSERT_TRUE(SynthesizeModel(config, {.format = BlockFormat::kF32}, path).ok());
  const auto model = *Checkpoint::Open(path);
  EXPECT_NEAR(Deviation(ValuesOf(*model, "blk.0.attn_q.weight"), 0), 1 / std::sqrt(64.0), 0.004);
  EXPECT_NEAR(Deviation(ValuesOf(*model, "blk.1.ffn_down.weight"), 0), 1 / std::sqrt(96.0), 0.004);
  EXPECT_NEAR(Deviation(ValuesOf(*model, "token_embd.weight"), 0), 0.02, 0.001);
  EXPECT_NEAR(Deviation(ValuesOf(*model, "output.weight"), 0), 1 / std::sqrt(64.0), 0.004);
  for (float value : ValuesOf(*model, "blk.0.attn_norm.weight")) EXPECT_NEAR(value, 1, 0.05);
  for (float value : ValuesOf(*model, "blk.0.attn_k.bias")) EXPECT_NEAR(value, 0, 0.05);
}

TEST(Synthesis, IsTheSameForASeedWhateverTheThreads) {
  const TempDir directory;
  const ModelConfig config = TinyConfig(Architecture::kLlama);
  const auto made = [&](uint64_t seed, size_t threads) {
    const std::string path = directory.file("m.gguf");
    const absl::Status status = SynthesizeModel(
        config, {.format = BlockFormat::kQ4_0, .seed = seed, .threads = threads}, path);
    EXPECT_TRUE(status.ok()) << status;
    return ReadFileOrDie(path);
  };
  const std::string first = made(1, 1);
  EXPECT_EQ(made(1, 1), first);
  EXPECT_EQ(made(1, 3), first);
  EXPECT_NE(made(2, 1), first);
}

TEST(Synthesis, TokenizerSpellsAnyTextInBytes) {
  const TempDir directory;
  const std::string path = directory.file("m.gguf");
  ASSERT_TRUE(SynthesizeModel(TinyConfig(Architecture::kLlama), {}, path).ok());
  const auto tokenizer = (*Checkpoint::Open(path))->LoadTokenizer();
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ((*tokenizer)->vocabulary_size(), 300u);
  EXPECT_EQ((*tokenizer)->special_tokens().bos, 298u);
  EXPECT_EQ((*tokenizer)->special_tokens().eos, 299u);
  const std::string text = "Any text, \xc3\xa4\xe2\x82\xac\n\tand numbers 123.";
  const std::vector<uint32_t> ids =
      (*tokenizer)->EncodePrompt(text, chunking::ControlText::kAsText);
  EXPECT_EQ(ids.size(), text.size() + 1);  // And the beginning.
  for (size_t i = 0; i < text.size(); ++i) EXPECT_EQ(ids[i + 1], static_cast<uint8_t>(text[i]));
  EXPECT_EQ((*tokenizer)->Decode(ids), text);
}

TEST(Synthesis, ShapesAreThoseOfTheModelsTheyAreNamedAfter) {
  const struct {
    const char* name;
    uint64_t parameters;
  } published[] = {{"qwen2.5-0.5b", 494'032'768},
                   {"llama-3.2-1b", 1'235'814'400},
                   {"llama-3-8b", 8'030'261'248},
                   {"smollm-135m", 134'515'008}};
  EXPECT_EQ(ShapeNames().size(), std::size(published));
  for (const auto& shape : published) {
    const auto config = ShapeByName(shape.name);
    ASSERT_TRUE(config.has_value()) << shape.name;
    EXPECT_TRUE(CheckConfig(*config).ok());
    uint64_t parameters = 0;
    for (const TensorSpec& spec : TensorsOf(*config)) {
      uint64_t n = 1;
      for (uint64_t size : spec.shape) n *= size;
      parameters += n;
    }
    EXPECT_EQ(parameters, shape.parameters) << shape.name;
  }
  EXPECT_EQ(ShapeByName("gpt-5"), std::nullopt);
}

TEST(Synthesis, WritesLlama3ScalingAsDivisors) {
  const TempDir directory;
  const std::string path = directory.file("m.gguf");
  ModelConfig config = TinyConfig(Architecture::kLlama);
  config.rope_scaling = ShapeByName("llama-3.2-1b")->rope_scaling;
  ASSERT_TRUE(SynthesizeModel(config, {}, path).ok());
  const auto model = *Checkpoint::Open(path);
  EXPECT_EQ(model->config().rope_divisors, RopeDivisors(config));
  EXPECT_EQ(model->config().rope_scaling.kind, RopeScaling::Kind::kNone);
}

TEST(Synthesis, RefusesImpossibleShapes) {
  const TempDir directory;
  const std::string path = directory.file("m.gguf");
  ModelConfig config = TinyConfig(Architecture::kLlama);
  config.vocabulary_size = 257;
  EXPECT_THAT(SynthesizeModel(config, {}, path).message(), HasSubstr("at least 258"));
  config.vocabulary_size = 300;
  config.kv_heads = 3;
  EXPECT_EQ(SynthesizeModel(config, {}, path).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_FALSE(std::filesystem::exists(path + ".partial"));
}

}  // namespace
}  // namespace cairn::engine
