// Hugging Face directories as language models.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "engine/model/checkpoint.h"
#include "tests/engine/model/tiny_models.h"
#include "tests/support/temp_dir.h"

namespace cairn::engine {
namespace {

using cairn::testing::TempDir;
using kernels::BlockFormat;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using testing::TinyBytes;
using testing::TinyConfig;
using testing::TinyHfConfig;
using testing::TinySafetensors;
using testing::WriteTinyHf;

constexpr size_t kEnd = SIZE_MAX;

std::string CheckpointError(const TempDir& directory) {
  const auto opened = Checkpoint::Open(directory.path());
  return opened.ok() ? "" : std::string(opened.status().message());
}

void ExpectTinyTensors(const Checkpoint& checkpoint, const ModelConfig& config,
                       BlockFormat format) {
  const std::vector<TensorSpec> specs = TensorsOf(config);
  EXPECT_THAT(checkpoint.TensorNames(), SizeIs(specs.size()));
  for (size_t t = 0; t < specs.size(); ++t) {
    const auto view = checkpoint.Find(specs[t].name);
    ASSERT_TRUE(view.ok()) << view.status();
    EXPECT_EQ(view->format, format);
    EXPECT_EQ(view->shape, specs[t].shape);
    EXPECT_EQ(view->bytes, TinyBytes(t, specs[t], format)) << specs[t].name;
    checkpoint.Drop(*view);
  }
}

TEST(HfCheckpoint, ReadsSettingsAndTensorsOfEveryArchitecture) {
  for (Architecture architecture :
       {Architecture::kLlama, Architecture::kQwen2, Architecture::kQwen3}) {
    const ModelConfig config = TinyConfig(architecture);
    const TempDir directory;
    WriteTinyHf(config, directory);
    const auto opened = Checkpoint::Open(directory.path());
    ASSERT_TRUE(opened.ok()) << opened.status();
    EXPECT_EQ((*opened)->config().architecture, architecture);
    EXPECT_EQ((*opened)->config().rope_pairing, RopePairing::kHalves);
    ExpectTinyTensors(**opened, config, BlockFormat::kBF16);
    EXPECT_EQ((*opened)->chat_template(), "");
    EXPECT_EQ((*opened)->Find("blk.9.attn_q.weight").status().code(), absl::StatusCode::kNotFound);
  }
}

TEST(HfCheckpoint, ReadsEveryFloatTypeAndNamesWithoutPrefix) {
  const ModelConfig config = TinyConfig(Architecture::kQwen3);
  for (BlockFormat format : {BlockFormat::kF32, BlockFormat::kF16, BlockFormat::kBF16}) {
    const TempDir directory;
    directory.Write("config.json", TinyHfConfig(config));
    directory.Write("model.safetensors", TinySafetensors(config, 0, kEnd, format, ""));
    const auto opened = Checkpoint::Open(directory.path());
    ASSERT_TRUE(opened.ok()) << opened.status();
    ExpectTinyTensors(**opened, config, format);
  }
}

// Writes the model in two files and an index.
void WriteShards(const ModelConfig& config, const TempDir& directory,
                 const std::string& second_name = "b.safetensors") {
  directory.Write("config.json", TinyHfConfig(config));
  directory.Write("a.safetensors", TinySafetensors(config, 0, 10));
  directory.Write("b.safetensors", TinySafetensors(config, 10, kEnd));
  directory.Write("model.safetensors.index.json",
                  R"({"metadata":{"total_size":1},"weight_map":{"x":"a.safetensors",)"
                  R"("y":"a.safetensors","z":")" +
                      second_name + "\"}}");
}

TEST(HfCheckpoint, ReadsWeightsInSeveralFiles) {
  const ModelConfig config = TinyConfig(Architecture::kLlama);
  const TempDir directory;
  WriteShards(config, directory);
  const auto opened = Checkpoint::Open(directory.path());
  ASSERT_TRUE(opened.ok()) << opened.status();
  ExpectTinyTensors(**opened, config, BlockFormat::kBF16);
}

TEST(HfCheckpoint, RefusesMissingCutAndDoubledShards) {
  const ModelConfig config = TinyConfig(Architecture::kLlama);
  const TempDir directory;
  WriteShards(config, directory);
  ASSERT_EQ(CheckpointError(directory), "");
  const std::string whole = TinySafetensors(config, 10, kEnd);
  for (size_t size : {size_t{0}, size_t{7}, size_t{100}, whole.size() / 2, whole.size() - 1}) {
    directory.Write("b.safetensors", whole.substr(0, size));
    EXPECT_THAT(CheckpointError(directory), HasSubstr("b.safetensors: ")) << size;
  }
  directory.Write("b.safetensors", TinySafetensors(config, 9, kEnd));
  EXPECT_THAT(CheckpointError(directory), HasSubstr("occurs twice"));
  directory.Write("b.safetensors", TinySafetensors(config, 11, kEnd));
  EXPECT_THAT(CheckpointError(directory), HasSubstr("no tensor"));
  std::filesystem::remove(directory.file("b.safetensors"));
  EXPECT_THAT(CheckpointError(directory), HasSubstr("b.safetensors"));
}

TEST(HfCheckpoint, IndexCannotLeadOutOfTheDirectory) {
  const ModelConfig config = TinyConfig(Architecture::kLlama);
  const TempDir outside;
  outside.Write("b.safetensors", TinySafetensors(config, 10, kEnd));
  for (const std::string& name :
       {"../" + std::filesystem::path(outside.path()).filename().string() + "/b.safetensors",
        outside.path() + "/b.safetensors", std::string("sub/b.safetensors"), std::string(".."),
        std::string(""), std::string("a\\u0000b")}) {
    const TempDir directory;
    WriteShards(config, directory, name);
    directory.Write("sub/b.safetensors", TinySafetensors(config, 10, kEnd));
    EXPECT_THAT(CheckpointError(directory), HasSubstr("is not a file's plain name")) << name;
  }
}

TEST(HfCheckpoint, RefusesMalformedIndexes) {
  const ModelConfig config = TinyConfig(Architecture::kLlama);
  for (const char* bad : {"", "[]", "{}", R"({"weight_map":[]})", R"({"weight_map":{}})",
                          R"({"weight_map":{"x":1}})", R"({"weight_map":{"x":"a","x":"a"}})"}) {
    const TempDir directory;
    WriteShards(config, directory);
    directory.Write("model.safetensors.index.json", bad);
    EXPECT_THAT(CheckpointError(directory), HasSubstr("index.json: ")) << bad;
  }
}

TEST(HfCheckpoint, RefusesMissingMisshapenAndForeignTensors) {
  const ModelConfig config = TinyConfig(Architecture::kQwen2);
  const TempDir directory;
  WriteTinyHf(config, directory);
  ASSERT_EQ(CheckpointError(directory), "");
  directory.Write("model.safetensors", TinySafetensors(config, 1, kEnd));
  EXPECT_THAT(CheckpointError(directory), HasSubstr("no tensor \"token_embd.weight\""));
  ModelConfig other = config;
  other.intermediate_size = 100;
  directory.Write("model.safetensors", TinySafetensors(other, 0, kEnd));
  EXPECT_THAT(CheckpointError(directory),
              HasSubstr("\"blk.0.ffn_gate.weight\" has shape [100,64], the "
                        "settings say [96,64]"));
  other = config;
  other.layers = 3;
  directory.Write("model.safetensors", TinySafetensors(other, 0, kEnd));
  EXPECT_THAT(CheckpointError(directory), HasSubstr("is not part of the model"));
  // Biases that this architecture has not.
  directory.Write("config.json", TinyHfConfig(TinyConfig(Architecture::kLlama)));
  directory.Write("model.safetensors", TinySafetensors(config, 0, kEnd));
  EXPECT_THAT(CheckpointError(directory), HasSubstr("bias\" is not part of the model"));
}

TEST(HfCheckpoint, IgnoresWhatHasNoPartInTheResult) {
  ModelConfig config = TinyConfig(Architecture::kQwen2);
  ASSERT_TRUE(config.tied_embeddings);
  config.tied_embeddings = false;
  const TempDir directory;
  directory.Write("model.safetensors", TinySafetensors(config, 0, kEnd));
  config.tied_embeddings = true;
  directory.Write("config.json", TinyHfConfig(config));
  const auto opened = Checkpoint::Open(directory.path());
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_FALSE((*opened)->Find("output.weight").ok());
}

TEST(HfCheckpoint, RefusesWeightsThatAreNoFloats) {
  const ModelConfig config = TinyConfig(Architecture::kLlama);
  const TempDir directory;
  directory.Write("config.json", TinyHfConfig(config));
  directory.Write("model.safetensors", testing::SafetensorsBuilder()
                                           .Add("model.norm.weight", "I8", {64}, std::string(64, 1))
                                           .Build());
  EXPECT_THAT(CheckpointError(directory), HasSubstr("none of the types F32, F16 and BF16"));
}

TEST(HfCheckpoint, NamesTheFileThatLacksOrIsMalformed) {
  const ModelConfig config = TinyConfig(Architecture::kLlama);
  const TempDir directory;
  EXPECT_THAT(CheckpointError(directory), HasSubstr("no config.json"));
  directory.Write("config.json", TinyHfConfig(config));
  EXPECT_THAT(CheckpointError(directory), HasSubstr("neither model.safetensors nor"));
  directory.Write("model.safetensors", "garbage!!");
  EXPECT_THAT(CheckpointError(directory), HasSubstr("model.safetensors: "));
  WriteTinyHf(config, directory);
  for (const char* name : {"tokenizer_config.json", "generation_config.json", "config.json"}) {
    directory.Write(name, "{");
    EXPECT_THAT(CheckpointError(directory), HasSubstr(std::string(name) + ": ")) << name;
    std::filesystem::remove(directory.file(name));
  }
  directory.Write("config.json", TinyHfConfig(config));
  ASSERT_EQ(CheckpointError(directory), "");
}

TEST(HfCheckpoint, OpensWithoutATokenizerWhichThenLacks) {
  const TempDir directory;
  WriteTinyHf(TinyConfig(Architecture::kLlama), directory);
  const auto opened = Checkpoint::Open(directory.path());
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ((*opened)->LoadTokenizer().status().code(), absl::StatusCode::kNotFound);
  directory.Write("tokenizer.json", "{}");
  EXPECT_THAT((*opened)->LoadTokenizer().status().message(), HasSubstr("tokenizer.json: "));
}

TEST(HfCheckpoint, FindsTheChatTemplateWhereverItIs) {
  const TempDir directory;
  WriteTinyHf(TinyConfig(Architecture::kLlama), directory);
  const auto found = [&] {
    const auto opened = Checkpoint::Open(directory.path());
    EXPECT_TRUE(opened.ok()) << opened.status();
    return opened.ok() ? (*opened)->chat_template() : "";
  };
  directory.Write("tokenizer_config.json", R"({"chat_template":"plain"})");
  EXPECT_EQ(found(), "plain");
  directory.Write("tokenizer_config.json", R"({"chat_template":null})");
  EXPECT_EQ(found(), "");
  directory.Write("tokenizer_config.json",
                  R"({"chat_template":[{"name":"tool_use","template":"tools"},)"
                  R"({"name":"default","template":"usual"}]})");
  EXPECT_EQ(found(), "usual");
  directory.Write("tokenizer_config.json",
                  R"({"chat_template":[{"name":"rag","template":"first"}]})");
  EXPECT_EQ(found(), "first");
  directory.Write("chat_template.jinja", "own file");
  EXPECT_EQ(found(), "own file");
  std::filesystem::remove(directory.file("chat_template.jinja"));
  for (const char* bad : {"1", "{}", "[1]", R"([{"name":"default"}])"}) {
    directory.Write("tokenizer_config.json", std::string(R"({"chat_template":)") + bad + "}");
    EXPECT_THAT(CheckpointError(directory), HasSubstr("chat_template is neither")) << bad;
  }
}

TEST(HfCheckpoint, ReadsTheTokensThatEndAnswers) {
  const TempDir directory;
  WriteTinyHf(TinyConfig(Architecture::kLlama), directory);
  const auto ends = [&](const std::string& eos) {
    directory.Write("generation_config.json", "{\"eos_token_id\":" + eos + "}");
    const auto opened = Checkpoint::Open(directory.path());
    EXPECT_TRUE(opened.ok()) << opened.status();
    return opened.ok() ? (*opened)->config().end_tokens : std::vector<uint32_t>();
  };
  EXPECT_THAT(ends("7"), ElementsAre(7));
  EXPECT_THAT(ends("[7,9]"), ElementsAre(7, 9));
  EXPECT_THAT(ends("null"), ElementsAre());
  EXPECT_THAT(ends("[299,300,18446744073709551615]"), ElementsAre(299));
  directory.Write("generation_config.json", "{\"eos_token_id\":-1}");
  EXPECT_THAT(CheckpointError(directory), HasSubstr("eos_token_id is neither"));
}

TEST(HfCheckpoint, FingerprintCoversSettingsTokenizerAndWeights) {
  const ModelConfig config = TinyConfig(Architecture::kLlama);
  const TempDir directory;
  WriteTinyHf(config, directory);
  const auto fingerprint = [&] { return (*Checkpoint::Open(directory.path()))->fingerprint(); };
  const std::string first = fingerprint();
  EXPECT_EQ(fingerprint(), first);
  directory.Write("tokenizer.json", "{}");
  const std::string second = fingerprint();
  EXPECT_NE(second, first);
  std::string weights = TinySafetensors(config, 0, kEnd);
  weights.back() ^= 1;
  directory.Write("model.safetensors", weights);
  EXPECT_NE(fingerprint(), second);
}

}  // namespace
}  // namespace cairn::engine
