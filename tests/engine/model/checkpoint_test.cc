// GGUF files as language models; hf_checkpoint_test.cc has the directories.
#include "engine/model/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/engine/model/tiny_models.h"
#include "tests/support/shared_data.h"
#include "tests/support/temp_dir.h"

namespace cairn::engine {
namespace {

using cairn::testing::TempDir;
using testing::AddTinyTensors;
using ::testing::Contains;
using ::testing::ElementsAre;
using testing::GgufBuilder;
using ::testing::HasSubstr;
using testing::Raw;
using ::testing::SizeIs;
using testing::TinyBytes;
using testing::TinyConfig;
using testing::TinyGguf;
using testing::TinyMetadata;

constexpr Architecture kAll[] = {Architecture::kLlama, Architecture::kQwen2, Architecture::kQwen3};

absl::StatusOr<std::unique_ptr<Checkpoint>> OpenBytes(std::string_view bytes) {
  const TempDir directory;
  return Checkpoint::Open(directory.Write("m.gguf", bytes));  // The mapping outlives the name.
}

// What Open says of a file of this metadata and all tensors of the tiny model, or "".
std::string ErrorOf(GgufBuilder metadata, const ModelConfig& tensors) {
  AddTinyTensors(tensors, "", &metadata);
  const auto opened = OpenBytes(metadata.Build());
  if (opened.ok()) return "";
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(opened.status().message());
}

// Metadata of the llama architecture with one value in place of the right one, or none.
GgufBuilder With(const std::string& key, const std::string& value_bytes, uint32_t type) {
  const ModelConfig c = TinyConfig(Architecture::kLlama);
  GgufBuilder builder;
  builder.String("general.architecture", "llama");
  const std::pair<std::string, uint32_t> entries[] = {
      {"llama.block_count", c.layers},
      {"llama.embedding_length", c.hidden_size},
      {"llama.feed_forward_length", c.intermediate_size},
      {"llama.context_length", c.context_length},
      {"llama.attention.head_count", c.heads},
      {"llama.attention.head_count_kv", c.kv_heads},
      {"llama.attention.key_length", c.head_dim},
  };
  bool placed = false;
  for (const auto& [name, value] : entries) {
    if (name != key) {
      builder.U32(name, value);
      continue;
    }
    placed = true;
    if (!value_bytes.empty()) builder.Entry(key, type, value_bytes);
  }
  if (!placed) builder.Entry(key, type, value_bytes);
  return builder;
}

std::string ErrorWith(const std::string& key, uint32_t value) {
  return ErrorOf(With(key, Raw(value), 4), TinyConfig(Architecture::kLlama));
}

TEST(GgufCheckpoint, ReadsSettingsAndTensorsOfEveryArchitecture) {
  for (Architecture architecture : kAll) {
    const ModelConfig expected = TinyConfig(architecture);
    const auto opened = OpenBytes(TinyGguf(expected));
    ASSERT_TRUE(opened.ok()) << opened.status();
    const ModelConfig& c = (*opened)->config();
    EXPECT_EQ(c.architecture, architecture);
    EXPECT_EQ(c.layers, 2u);
    EXPECT_EQ(c.hidden_size, 64u);
    EXPECT_EQ(c.intermediate_size, 96u);
    EXPECT_EQ(c.heads, 4u);
    EXPECT_EQ(c.kv_heads, 2u);
    EXPECT_EQ(c.head_dim, expected.head_dim);
    EXPECT_EQ(c.rope_dims, expected.head_dim);
    EXPECT_EQ(c.vocabulary_size, 300u);
    EXPECT_EQ(c.context_length, 128u);
    EXPECT_EQ(c.norm_epsilon, 1e-6f);
    EXPECT_EQ(c.rope_theta, 5000.0f);
    EXPECT_EQ(c.rope_pairing, expected.rope_pairing);
    EXPECT_EQ(c.tied_embeddings, expected.tied_embeddings);
    EXPECT_EQ(c.sliding_window, 0u);
    EXPECT_EQ(c.rope_scaling.kind, RopeScaling::Kind::kNone);

    const std::vector<TensorSpec> specs = TensorsOf(expected);
    EXPECT_THAT((*opened)->TensorNames(), SizeIs(specs.size()));
    for (size_t t = 0; t < specs.size(); ++t) {
      const auto view = (*opened)->Find(specs[t].name);
      ASSERT_TRUE(view.ok()) << view.status();
      EXPECT_EQ(view->shape, specs[t].shape);
      EXPECT_EQ(view->bytes, TinyBytes(t, specs[t], kernels::BlockFormat::kF32));
      (*opened)->Drop(*view);  // Only a hint: the bytes are there again.
      EXPECT_EQ(view->bytes, TinyBytes(t, specs[t], kernels::BlockFormat::kF32));
    }
    EXPECT_EQ((*opened)->Find("blk.2.attn_q.weight").status(),
              absl::NotFoundError("no tensor \"blk.2.attn_q.weight\""));
  }
}

TEST(GgufCheckpoint, HeadsAndRopeDefaultToEvenShares) {
  GgufBuilder builder = With("llama.attention.key_length", "", 4);
  AddTinyTensors(TinyConfig(Architecture::kLlama), "", &builder);
  const auto opened = OpenBytes(builder.Build());
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ((*opened)->config().head_dim, 16u);
  EXPECT_EQ((*opened)->config().rope_dims, 16u);
  EXPECT_EQ((*opened)->config().rope_theta, 10000.0f);
}

TEST(GgufCheckpoint, RefusesMissingAndWrongSettings) {
  const ModelConfig tiny = TinyConfig(Architecture::kLlama);
  for (const char* key :
       {"llama.block_count", "llama.embedding_length", "llama.feed_forward_length",
        "llama.context_length", "llama.attention.head_count"}) {
    EXPECT_THAT(ErrorOf(With(key, "", 4), tiny), HasSubstr(std::string(key) + "\" is missing"));
    EXPECT_THAT(ErrorOf(With(key, Raw<float>(2), 6), tiny), HasSubstr(key)) << key;
    EXPECT_THAT(ErrorOf(With(key, Raw<int32_t>(-2), 5), tiny), HasSubstr(key)) << key;
    // Two in the low half: a cast would hide the rest.
    EXPECT_THAT(ErrorOf(With(key, Raw<uint64_t>((uint64_t{1} << 32) + 2), 10), tiny),
                HasSubstr(key));
    EXPECT_NE(ErrorWith(key, 0), "") << key;
    EXPECT_NE(ErrorWith(key, 0xffffffff), "") << key;
  }
  EXPECT_EQ(ErrorWith("llama.vocab_size", 300), "");
  EXPECT_THAT(ErrorWith("llama.vocab_size", 299), HasSubstr("has 300 rows"));
  EXPECT_THAT(ErrorWith("llama.attention.head_count_kv", 3), HasSubstr("no multiple"));
  EXPECT_THAT(ErrorWith("llama.attention.head_count_kv", 0), HasSubstr("key/value heads: 0"));
  EXPECT_THAT(ErrorWith("llama.attention.head_count_kv", 4), HasSubstr("blk.0.attn_k.weight"));
  EXPECT_THAT(ErrorWith("llama.attention.key_length", 15), HasSubstr("15 is odd"));
  EXPECT_THAT(ErrorWith("llama.attention.key_length", 32), HasSubstr("blk.0.attn_q.weight"));
  EXPECT_THAT(ErrorWith("llama.attention.value_length", 8), HasSubstr("different sizes"));
  EXPECT_THAT(ErrorWith("llama.rope.dimension_count", 18), HasSubstr("RoPE dimensions"));
  EXPECT_THAT(ErrorWith("llama.rope.dimension_count", 7), HasSubstr("RoPE dimensions"));
  EXPECT_THAT(ErrorWith("llama.expert_count", 8), HasSubstr("mixtures of experts"));
  EXPECT_THAT(ErrorWith("llama.block_count", 3), HasSubstr("blk.2.attn_norm.weight"));
  EXPECT_THAT(ErrorWith("llama.block_count", 1), HasSubstr("is not part of a llama model"));
  EXPECT_THAT(ErrorOf(With("llama.attention.layer_norm_rms_epsilon", Raw<float>(0), 6), tiny),
              HasSubstr("epsilon"));
  EXPECT_THAT(ErrorOf(With("llama.rope.freq_base", Raw<float>(-1), 6), tiny), HasSubstr("base"));
  EXPECT_THAT(ErrorOf(With("tokenizer.chat_template", Raw<float>(1), 6), tiny),
              HasSubstr("chat_template"));
}

TEST(GgufCheckpoint, RefusesOtherArchitectures) {
  GgufBuilder builder;
  builder.String("general.architecture", "gemma2");
  EXPECT_THAT(ErrorOf(builder, TinyConfig(Architecture::kLlama)),
              HasSubstr("architecture \"gemma2\" is not supported"));
  EXPECT_THAT(ErrorOf(GgufBuilder(), TinyConfig(Architecture::kLlama)),
              HasSubstr("general.architecture\" is missing"));
}

TEST(GgufCheckpoint, RefusesAMissingMisshapenOrUnknownTensor) {
  for (Architecture architecture : kAll) {
    const ModelConfig config = TinyConfig(architecture);
    const std::vector<TensorSpec> specs = TensorsOf(config);
    for (size_t missing = 0; missing < specs.size(); ++missing) {
      const std::string& name = specs[missing].name;
      if (name == "output.weight") continue;  // Tied, then.
      GgufBuilder builder = TinyMetadata(config);
      AddTinyTensors(config, name, &builder);
      EXPECT_THAT(OpenBytes(builder.Build()).status().message(), HasSubstr(name));
      if (name == "token_embd.weight") continue;  // Another vocabulary, then.
      // One row or value too many.
      TensorSpec wrong = specs[missing];
      wrong.shape[0] += 1;
      builder.Tensor(name, {wrong.shape.rbegin(), wrong.shape.rend()}, 0,
                     TinyBytes(0, wrong, kernels::BlockFormat::kF32));
      EXPECT_NE(OpenBytes(builder.Build()).status().message(), "");
    }
    GgufBuilder builder = TinyMetadata(config);
    AddTinyTensors(config, "", &builder);
    builder.Tensor("blk.0.attn_output.bias", {64}, 0, std::string(256, '\0'));
    EXPECT_THAT(OpenBytes(builder.Build()).status().message(), HasSubstr("is not part of a"));
  }
}

TEST(GgufCheckpoint, RefusesVectorsInBlocks) {
  const ModelConfig config = TinyConfig(Architecture::kLlama);
  GgufBuilder builder = TinyMetadata(config);
  AddTinyTensors(config, "output_norm.weight", &builder);
  builder.Tensor("output_norm.weight", {64}, 8, std::string(68, '\0'));
  EXPECT_THAT(OpenBytes(builder.Build()).status().message(), HasSubstr("a vector in Q8_0 blocks"));
}

TEST(GgufCheckpoint, ReadsRopeScaling) {
  const ModelConfig tiny = TinyConfig(Architecture::kLlama);
  const auto scaled = [&](GgufBuilder builder) {
    AddTinyTensors(tiny, "", &builder);
    const auto opened = OpenBytes(builder.Build());
    EXPECT_TRUE(opened.ok()) << opened.status();
    return opened.ok() ? (*opened)->config().rope_scaling : RopeScaling();
  };
  EXPECT_EQ(scaled(TinyMetadata(tiny).String("llama.rope.scaling.type", "none")).kind,
            RopeScaling::Kind::kNone);
  const RopeScaling linear = scaled(TinyMetadata(tiny)
                                        .String("llama.rope.scaling.type", "linear")
                                        .F32("llama.rope.scaling.factor", 4));
  EXPECT_EQ(linear.kind, RopeScaling::Kind::kLinear);
  EXPECT_EQ(linear.factor, 4);
  const RopeScaling legacy = scaled(TinyMetadata(tiny).F32("llama.rope.scale_linear", 2));
  EXPECT_EQ(legacy.kind, RopeScaling::Kind::kLinear);
  EXPECT_EQ(legacy.factor, 2);
  const RopeScaling yarn = scaled(TinyMetadata(tiny)
                                      .String("llama.rope.scaling.type", "yarn")
                                      .F32("llama.rope.scaling.factor", 8)
                                      .U32("llama.rope.scaling.original_context_length", 32)
                                      .F32("llama.rope.scaling.yarn_beta_fast", 16)
                                      .F32("llama.rope.scaling.attn_factor", 0.5f));
  EXPECT_EQ(yarn.kind, RopeScaling::Kind::kYarn);
  EXPECT_EQ(yarn.factor, 8);
  EXPECT_EQ(yarn.original_context, 32u);
  EXPECT_EQ(yarn.beta_fast, 16);
  EXPECT_EQ(yarn.beta_slow, 1);
  EXPECT_FLOAT_EQ(yarn.attention_factor, 0.5f * (0.1f * std::log(8.0f) + 1));

  EXPECT_THAT(ErrorOf(TinyMetadata(tiny).String("llama.rope.scaling.type", "longrope"), tiny),
              HasSubstr("RoPE scaling \"longrope\" is not supported"));
  EXPECT_THAT(ErrorOf(TinyMetadata(tiny)
                          .String("llama.rope.scaling.type", "linear")
                          .F32("llama.rope.scaling.factor", 0.5f),
                      tiny),
              HasSubstr("factor is below 1"));
}

TEST(GgufCheckpoint, ReadsRopeDivisors) {
  const ModelConfig tiny = TinyConfig(Architecture::kLlama);
  const auto opened_with = [&](const std::vector<float>& divisors, uint32_t type = 0) {
    GgufBuilder builder = TinyMetadata(tiny);
    AddTinyTensors(tiny, "", &builder);
    std::string bytes = testing::BytesOf(divisors);
    if (type == 1) bytes.resize(bytes.size() / 2);
    builder.Tensor("rope_freqs.weight", {divisors.size()}, type, bytes);
    return OpenBytes(builder.Build());
  };
  const auto opened = opened_with({1, 1, 1, 1, 2, 4, 8, 8});
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_THAT((*opened)->config().rope_divisors, ElementsAre(1, 1, 1, 1, 2, 4, 8, 8));
  EXPECT_FALSE(opened_with({1, 1, 1}).ok());
  EXPECT_FALSE(opened_with({1, 1, 1, 1, 2, 4, 8, 0}).ok());
  EXPECT_FALSE(opened_with({1, 1, 1, 1, 2, 4, 8, std::nanf("")}).ok());
  EXPECT_FALSE(opened_with({1, 1, 1, 1, 2, 4, 8, 8}, 1).ok());
}

TEST(GgufCheckpoint, ReadsSlidingWindows) {
  const ModelConfig tiny = TinyConfig(Architecture::kQwen2);
  const auto config_of = [&](GgufBuilder builder) {
    AddTinyTensors(tiny, "", &builder);
    const auto opened = OpenBytes(builder.Build());
    EXPECT_TRUE(opened.ok()) << opened.status();
    return opened.ok() ? (*opened)->config() : ModelConfig();
  };
  const auto windowed = [&] {
    return TinyMetadata(tiny).U32("qwen2.attention.sliding_window", 32);
  };
  ModelConfig c = config_of(windowed());
  EXPECT_EQ(c.WindowOf(0), 32u);
  EXPECT_EQ(c.WindowOf(1), 32u);
  c = config_of(windowed().U32("qwen2.attention.sliding_window_pattern", 2));
  EXPECT_EQ(c.WindowOf(0), 32u);
  EXPECT_EQ(c.WindowOf(1), 0u);
  c = config_of(
      windowed().Array("qwen2.attention.sliding_window_pattern", 7, 2, std::string("\0\1", 2)));
  EXPECT_EQ(c.WindowOf(0), 0u);
  EXPECT_EQ(c.WindowOf(1), 32u);
  EXPECT_THAT(ErrorOf(windowed().Array("qwen2.attention.sliding_window_pattern", 7, 1, "\1"), tiny),
              HasSubstr("kinds of attention"));
}

TEST(GgufCheckpoint, FingerprintNamesSettingsAndWeights) {
  const ModelConfig tiny = TinyConfig(Architecture::kLlama);
  const std::string file = TinyGguf(tiny);
  const std::string fingerprint = (*OpenBytes(file))->fingerprint();
  EXPECT_THAT(fingerprint, SizeIs(32));
  EXPECT_EQ((*OpenBytes(file))->fingerprint(), fingerprint);
  std::string other_weights = file;
  other_weights.back() ^= 1;
  EXPECT_NE((*OpenBytes(other_weights))->fingerprint(), fingerprint);
  ModelConfig other = tiny;
  other.rope_theta = 5001;
  EXPECT_NE((*OpenBytes(TinyGguf(other)))->fingerprint(), fingerprint);
}

TEST(GgufCheckpoint, RefusesAFileCutAnywhereAndSurvivesEveryChangedByte) {
  ModelConfig small = TinyConfig(Architecture::kLlama);
  small.layers = 1;
  small.hidden_size = 8;
  small.intermediate_size = 4;
  small.heads = small.kv_heads = 1;
  small.head_dim = 4;
  small.vocabulary_size = 5;
  const std::string file = TinyGguf(small);
  ASSERT_TRUE(OpenBytes(file).ok());
  const TempDir directory;
  const std::string path = directory.Write("m.gguf", file);
  // Whatever a changed byte makes of it, nothing is read that is not there.
  for (size_t at = 0; at < file.size(); ++at) {
    const auto put = [&](char c) {
      std::fstream out(path, std::ios::in | std::ios::out | std::ios::binary);
      out.seekp(static_cast<std::streamoff>(at)).put(c);
    };
    put(static_cast<char>(~file[at]));
    if (const auto opened = Checkpoint::Open(path); opened.ok()) {
      EXPECT_EQ((*opened)->TensorNames().size(), TensorsOf((*opened)->config()).size());
      EXPECT_THAT((*opened)->fingerprint(), SizeIs(32));
    }
    put(file[at]);
  }
  ASSERT_TRUE(Checkpoint::Open(path).ok());
  for (size_t size = file.size(); size-- > 0;) {
    std::filesystem::resize_file(path, size);
    ASSERT_EQ(Checkpoint::Open(path).status().code(), absl::StatusCode::kInvalidArgument) << size;
  }
}

TEST(Checkpoint, RefusesWhatIsNoFileOrDirectoryOfAModel) {
  const TempDir directory;
  EXPECT_EQ(Checkpoint::Open(directory.file("absent")).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_THAT(Checkpoint::Open(directory.path()).status().message(), HasSubstr("no config.json"));
  EXPECT_THAT(Checkpoint::Open(directory.Write("empty", "")).status().message(),
              HasSubstr("truncated"));
  const std::string fifo = directory.file("fifo");
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_THAT(Checkpoint::Open(fifo).status().message(), HasSubstr("not a regular file"));
  EXPECT_THAT(Checkpoint::Open("/dev/null").status().message(), HasSubstr("not a regular file"));
}

TEST(GgufCheckpoint, OpensPublishedModels) {
  CAIRN_NEED_SHARED("models/stories260k");
  const std::string root = cairn::testing::SharedDir() + "/models";
  const auto stories = Checkpoint::Open(root + "/stories260k/stories260K.gguf");
  ASSERT_TRUE(stories.ok()) << stories.status();
  EXPECT_EQ((*stories)->config().layers, 5u);
  EXPECT_EQ((*stories)->config().kv_heads, 4u);
  EXPECT_THAT((*stories)->TensorNames(), Contains("blk.4.ffn_down.weight"));
  const auto random = Checkpoint::Open(root + "/llama2-tiny-random/llama-2-tiny-random.gguf");
  ASSERT_TRUE(random.ok()) << random.status();
  EXPECT_EQ((*random)->config().vocabulary_size, 32'000u);
}

TEST(GgufCheckpoint, RefusesVocabulariesAndDamagedFiles) {
  CAIRN_NEED_SHARED("hostile");
  const std::string root = cairn::testing::SharedDir();
  EXPECT_THAT(Checkpoint::Open(root + "/tokenizers/ggml-vocab-llama-spm.gguf").status().message(),
              HasSubstr("no tensor \"token_embd.weight\""));
  EXPECT_EQ(
      Checkpoint::Open(root + "/hostile/ggml-vocab-llama-spm.utf8-mangled.gguf").status().code(),
      absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace cairn::engine
