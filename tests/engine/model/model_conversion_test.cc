#include "engine/model/model_conversion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "engine/model/hf_vocabulary.h"
#include "engine/model/model_inspection.h"
#include "engine/model/model_synthesis.h"
#include "tests/engine/model/tiny_models.h"
#include "tests/support/shared_data.h"
#include "tests/support/temp_dir.h"

namespace cairn::engine {
namespace {

using cairn::testing::TempDir;
using chunking::ControlText;
using chunking::TokenType;
using kernels::BlockFormat;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TinyConfig;
using testing::ValuesOf;

// The 256 bytes of GPT-2's alphabet, "ab", and control tokens from 257 on.
std::string TinyTokenizerJson(const std::string& pre_tokenizer, const std::string& post = "null") {
  std::string json = R"({"version":"1.0","added_tokens":[)";
  const char* added[] = {"<s>", "</s>", "<|im_end|>"};
  for (int i = 0; i < 3; ++i) {
    json += std::string(i == 0 ? "" : ",") + R"({"id":)" + std::to_string(257 + i) +
            R"(,"content":")" + added[i] +
            R"(","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,)"
            R"("special":true})";
  }
  json += R"(],"normalizer":null,"pre_tokenizer":)" + pre_tokenizer + R"(,"post_processor":)" +
          post +
          R"(,"decoder":{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,)"
          R"("use_regex":true},"model":{"type":"BPE","dropout":null,"unk_token":null,)"
          R"("continuing_subword_prefix":"","end_of_word_suffix":"","fuse_unk":false,)"
          R"("byte_fallback":false,"vocab":{)";
  uint32_t next = 256;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const bool printable =
        (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    const uint32_t code_point = printable ? byte : next++;
    char escaped[16];
    std::snprintf(escaped, sizeof escaped, "\"\\u%04x\":%u,", code_point, byte);
    json += escaped;
  }
  return json + R"("ab":256},"merges":["a b"]}})";
}

constexpr char kByteLevel[] =
    R"({"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true})";
constexpr char kTokenizerConfig[] =
    R"({"bos_token":"<s>","eos_token":{"content":"</s>"},"add_bos_token":true,)"
    R"("chat_template":"{{ messages }}"})";

void WriteModel(const ModelConfig& config, const TempDir& directory) {
  testing::WriteTinyHf(config, directory);
  directory.Write("tokenizer.json", TinyTokenizerJson(kByteLevel));
  directory.Write("tokenizer_config.json", kTokenizerConfig);
}

TEST(Conversion, KeepsSettingsTokenizerAndTemplate) {
  for (Architecture architecture :
       {Architecture::kLlama, Architecture::kQwen2, Architecture::kQwen3}) {
    const ModelConfig config = TinyConfig(architecture);
    const TempDir directory;
    WriteModel(config, directory);
    directory.Write("generation_config.json", R"({"eos_token_id":[258,259,97]})");
    const std::string path = directory.file("m.gguf");
    const auto report = ConvertModel(directory.path(), path, {.format = BlockFormat::kF16});
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_EQ(report->tensors, TensorsOf(config).size());
    EXPECT_TRUE(report->notes.empty());

    const auto from = *Checkpoint::Open(directory.path());
    const auto opened = Checkpoint::Open(path);
    ASSERT_TRUE(opened.ok()) << opened.status();
    const ModelConfig& c = (*opened)->config();
    EXPECT_EQ(c.architecture, architecture);
    EXPECT_EQ(c.head_dim, config.head_dim);
    EXPECT_EQ(c.rope_theta, config.rope_theta);
    EXPECT_EQ(c.norm_epsilon, config.norm_epsilon);
    EXPECT_EQ(c.tied_embeddings, config.tied_embeddings);
    EXPECT_EQ(c.rope_pairing, config.rope_pairing);
    EXPECT_EQ((*opened)->chat_template(), "{{ messages }}");

    const auto before = from->LoadTokenizer();
    const auto after = (*opened)->LoadTokenizer();
    ASSERT_TRUE(before.ok()) << before.status();
    ASSERT_TRUE(after.ok()) << after.status();
    for (const char* text : {"ab cab <s>", "x\n\n\xc3\xa4 12", ""}) {
      for (ControlText control : {ControlText::kAsText, ControlText::kAsTokens}) {
        EXPECT_EQ((*after)->EncodePrompt(text, control), (*before)->EncodePrompt(text, control));
      }
    }
    EXPECT_THAT((*after)->special_tokens().end_of_generation, ElementsAre(97, 258, 259));
  }
}

// Row r of a head of the result is the source's row that RoPE treats in the same way.
TEST(Conversion, PutsQueriesAndKeysOfLlamaInGgufsOrder) {
  const ModelConfig config = TinyConfig(Architecture::kLlama);
  const TempDir directory;
  WriteModel(config, directory);
  const std::string path = directory.file("m.gguf");
  ASSERT_TRUE(ConvertModel(directory.path(), path, {.format = BlockFormat::kF32}).ok());
  const auto from = *Checkpoint::Open(directory.path());
  const auto to = *Checkpoint::Open(path);
  for (const char* name : {"blk.1.attn_q.weight", "blk.1.attn_k.weight"}) {
    const std::vector<float> before = ValuesOf(*from, name);
    const std::vector<float> after = ValuesOf(*to, name);
    const size_t columns = config.hidden_size, half = config.head_dim / 2;
    for (size_t row = 0; row < before.size() / columns; ++row) {
      const size_t head = row / config.head_dim, i = row % config.head_dim;
      const size_t gguf_row = head * config.head_dim + (i < half ? 2 * i : 2 * (i - half) + 1);
      for (size_t c = 0; c < columns; ++c) {
        ASSERT_EQ(after[gguf_row * columns + c], before[row * columns + c]) << name << row;
      }
    }
  }
  for (const char* name : {"blk.1.attn_v.weight", "blk.1.attn_output.weight", "output.weight"}) {
    EXPECT_EQ(ValuesOf(*from, name), ValuesOf(*to, name));
  }
}

TEST(Conversion, QuantisesMatricesAndLeavesVectors) {
  const ModelConfig config = TinyConfig(Architecture::kQwen2);
  const TempDir directory;
  const std::string f32 = directory.file("f32.gguf"), q4 = directory.file("q4.gguf");
  ASSERT_TRUE(SynthesizeModel(config, {.format = BlockFormat::kF32}, f32).ok());
  const auto report = ConvertModel(f32, q4, {.format = BlockFormat::kQ4_0});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_LT(report->bytes_after * 5, report->bytes_before);
  const auto from = *Checkpoint::Open(f32);
  const auto to = *Checkpoint::Open(q4);
  for (const TensorSpec& spec : TensorsOf(config)) {
    EXPECT_EQ(to->Find(spec.name)->format,
              spec.is_matrix() ? BlockFormat::kQ4_0 : BlockFormat::kF32);
    const std::vector<float> before = ValuesOf(*from, spec.name);
    const std::vector<float> after = ValuesOf(*to, spec.name);
    double error = 0, square = 0;
    for (size_t i = 0; i < before.size(); ++i) {
      error += std::pow(after[i] - before[i], 2);
      square += std::pow(before[i], 2);
    }
    EXPECT_LE(error, (spec.is_matrix() ? 0.01 : 0) * square) << spec.name;
  }
  EXPECT_TRUE(to->LoadTokenizer().ok());
}

TEST(Conversion, SaysWhatItCouldNotDo) {
  const ModelConfig config = TinyConfig(Architecture::kLlama);
  const TempDir directory;
  const std::string path = directory.file("m.gguf"), again = directory.file("again.gguf");
  ASSERT_TRUE(SynthesizeModel(config, {.format = BlockFormat::kQ8_0}, path).ok());
  // Rows of 64 values: no K format.
  auto report = ConvertModel(path, again, {.format = BlockFormat::kQ4_K});
  ASSERT_TRUE(report.ok());
  EXPECT_THAT(report->notes, ElementsAre(HasSubstr("became Q8_0: their rows are no whole blocks")));
  report = ConvertModel(path, again, {.format = BlockFormat::kQ4_0});
  ASSERT_TRUE(report.ok());
  EXPECT_THAT(report->notes, ElementsAre(HasSubstr("were quantised before")));
}

TEST(Conversion, OfAFileOntoItselfInTheSameFormatChangesNothing) {
  const TempDir directory;
  const std::string path = directory.file("m.gguf");
  ASSERT_TRUE(SynthesizeModel(TinyConfig(Architecture::kQwen3), {}, path).ok());
  ASSERT_TRUE(ConvertModel(path, path, {.format = BlockFormat::kQ8_0}).ok());
  const std::string once = cairn::testing::ReadFileOrDie(path);
  ASSERT_TRUE(ConvertModel(path, path, {.format = BlockFormat::kQ8_0, .threads = 3}).ok());
  EXPECT_EQ(cairn::testing::ReadFileOrDie(path), once);
}

TEST(Conversion, RefusesWeightsThatTheFormatCannotHold) {
  const ModelConfig config = TinyConfig(Architecture::kLlama);
  const TempDir directory;
  const std::string path = directory.file("m.gguf"), out = directory.file("out.gguf");
  const auto convert = [&](float value, BlockFormat format) {
    std::string file = testing::TinyGguf(config);
    std::memcpy(file.data() + file.size() - 4, &value, 4);  // The last of output.weight.
    directory.Write("m.gguf", file);
    return ConvertModel(path, out, {.format = format}).status();
  };
  EXPECT_TRUE(convert(65'504, BlockFormat::kF16).ok());
  EXPECT_THAT(convert(1e5f, BlockFormat::kF16).message(),
              HasSubstr("\"output.weight\": a weight beyond the range of F16"));
  EXPECT_TRUE(convert(1e5f, BlockFormat::kBF16).ok());
  EXPECT_THAT(convert(std::numeric_limits<float>::max(), BlockFormat::kBF16).message(),
              HasSubstr("beyond the range of BF16"));
  for (float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    EXPECT_THAT(convert(bad, BlockFormat::kQ8_0).message(), HasSubstr("not finite"));
    EXPECT_THAT(convert(bad, BlockFormat::kF32).message(), HasSubstr("not finite"));  // A copy.
  }
  // The failed ones left the last good file alone.
  EXPECT_TRUE(Checkpoint::Open(out).ok());
  EXPECT_FALSE(std::filesystem::exists(out + ".partial"));
}

TEST(Conversion, RefusesWhatGgufHasNoWordFor) {
  const TempDir directory;
  WriteModel(TinyConfig(Architecture::kLlama), directory);
  const std::string path = directory.file("m.gguf");
  const auto error = [&] {
    return std::string(ConvertModel(directory.path(), path, {}).status().message());
  };
  ASSERT_EQ(error(), "");
  directory.Write("tokenizer.json", TinyTokenizerJson(R"({"type":"Whitespace"})"));
  EXPECT_THAT(error(), HasSubstr("splitting words has no name"));
  std::filesystem::remove(directory.file("tokenizer.json"));
  EXPECT_THAT(error(), HasSubstr("no tokenizer.json"));
  WriteModel(TinyConfig(Architecture::kLlama), directory);
  directory.Write("config.json",
                  testing::TinyHfConfig(TinyConfig(Architecture::kLlama),
                                        R"(,"rope_scaling":{"type":"dynamic","factor":2})"));
  EXPECT_THAT(error(), HasSubstr("dynamic NTK"));
  EXPECT_EQ(ConvertModel(directory.file("absent"), path, {}).status().code(),
            absl::StatusCode::kNotFound);
}

TEST(Conversion, KeepsRopeScalingsAndWindows) {
  const ModelConfig config = TinyConfig(Architecture::kQwen2);
  const auto converted = [&](const std::string& more) {
    const TempDir directory;
    WriteModel(config, directory);
    directory.Write("config.json", testing::TinyHfConfig(config, more));
    const std::string path = directory.file("m.gguf");
    const auto report = ConvertModel(directory.path(), path, {});
    EXPECT_TRUE(report.ok()) << report.status();
    // Only that goes into a tensor that other readers do not look for in this architecture.
    EXPECT_EQ(report->notes.size(), more.find("llama3") == more.npos ? 0u : 1u);
    return (*Checkpoint::Open(path))->config();
  };
  ModelConfig c = converted(R"(,"rope_scaling":{"type":"linear","factor":4})");
  EXPECT_EQ(c.rope_scaling.kind, RopeScaling::Kind::kLinear);
  EXPECT_EQ(c.rope_scaling.factor, 4);
  c = converted(R"(,"rope_scaling":{"type":"yarn","factor":4,"attention_factor":1.5,)"
                R"("original_max_position_embeddings":32,"beta_fast":20,"beta_slow":2})");
  EXPECT_EQ(c.rope_scaling.kind, RopeScaling::Kind::kYarn);
  EXPECT_EQ(c.rope_scaling.factor, 4);
  EXPECT_EQ(c.rope_scaling.original_context, 32u);
  EXPECT_EQ(c.rope_scaling.beta_fast, 20);
  EXPECT_EQ(c.rope_scaling.beta_slow, 2);
  EXPECT_FLOAT_EQ(c.rope_scaling.attention_factor, 1.5f);
  c = converted(R"(,"rope_scaling":{"type":"llama3","factor":8,"low_freq_factor":1,)"
                R"("high_freq_factor":4,"original_max_position_embeddings":64})");
  EXPECT_EQ(c.rope_scaling.kind, RopeScaling::Kind::kNone);
  EXPECT_EQ(c.rope_divisors.size(), 8u);
  EXPECT_EQ(c.rope_divisors.back(), 8);
  c = converted(R"(,"use_sliding_window":true,"sliding_window":8,"max_window_layers":1)");
  EXPECT_EQ(c.WindowOf(0), 0u);
  EXPECT_EQ(c.WindowOf(1), 8u);
}

TEST(HfVocabulary, NamesTheSplittingRules) {
  const auto pre = [](const std::string& pre_tokenizer, const std::string& instead = "") {
    std::string json = TinyTokenizerJson(pre_tokenizer);
    for (const char* plain : {R"("normalizer":null)", R"("fuse_unk":false)"}) {
      const std::string key = plain[1] == 'n' ? R"("normalizer")" : R"("ignore_merges")";
      if (instead.rfind(key, 0) == 0) json.replace(json.find(plain), strlen(plain), instead);
    }
    const auto v = DescribeTokenizerJson(json, kTokenizerConfig, 300);
    return v.ok() ? v->pre : std::string(v.status().message());
  };
  EXPECT_EQ(pre(kByteLevel), "gpt-2");
  const auto after = [](const std::string& step, bool regex) {
    return R"({"type":"Sequence","pretokenizers":[)" + step +
           R"(,{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":)" +
           (regex ? "true" : "false") + "}]}";
  };
  EXPECT_EQ(pre(after(R"({"type":"Digits","individual_digits":true})", true)), "smollm");
  EXPECT_THAT(pre(after(R"({"type":"Digits","individual_digits":false})", true)),
              HasSubstr("no name"));
  const auto split = [](const std::string& numbers) {
    return R"({"type":"Split","pattern":{"Regex":"(?i:'s|'t|'re|'ve|'m|'ll|'d)|)"
           R"([^\\r\\n\\p{L}\\p{N}]?\\p{L}+|)" +
           numbers +
           R"(| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},)"
           R"("behavior":"Isolated","invert":false})";
  };
  const std::string three = after(split(R"(\\p{N}{1,3})"), false);
  const std::string one = after(split(R"(\\p{N})"), false);
  const std::string ignores = R"("ignore_merges":true)", nfc = R"("normalizer":{"type":"NFC"})";
  EXPECT_EQ(pre(three, ignores), "llama-bpe");
  EXPECT_EQ(pre(one, nfc), "qwen2");
  // What the names imply does count.
  EXPECT_THAT(pre(three), HasSubstr("ignore_merges is not that of llama-bpe"));
  EXPECT_THAT(pre(kByteLevel, ignores), HasSubstr("ignore_merges is not that of gpt-2"));
  EXPECT_THAT(pre(one), HasSubstr("normalizer is not that of qwen2"));
  EXPECT_THAT(pre(kByteLevel, nfc), HasSubstr("normalizer is not that of gpt-2"));
  EXPECT_THAT(pre(kByteLevel, R"("normalizer":{"type":"Lowercase"})"), HasSubstr("normalizer"));
  EXPECT_THAT(pre(after(split(R"(\\p{N}{1,4})"), false)), HasSubstr("no name"));
  EXPECT_THAT(pre("null"), HasSubstr("no name"));
}

TEST(HfVocabulary, FillsIdsAndFindsSpecialTokens) {
  const std::string post =
      R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}},)"
      R"({"Sequence":{"id":"A","type_id":0}}]})";
  const auto v = DescribeTokenizerJson(TinyTokenizerJson(kByteLevel, post),
                                       R"({"bos_token":"<s>","eos_token":"</s>"})", 300);
  ASSERT_TRUE(v.ok()) << v.status();
  EXPECT_EQ(v->tokens.size(), 300u);
  EXPECT_EQ(v->tokens[256], "ab");
  EXPECT_EQ(v->types[256], TokenType::kNormal);
  EXPECT_EQ(v->types[259], TokenType::kControl);
  EXPECT_EQ(v->types[299], TokenType::kUnused);
  EXPECT_EQ(v->tokens[299], "[PAD299]");
  EXPECT_THAT(v->merges, ElementsAre("a b"));
  EXPECT_EQ(v->bos_token_id, 257u);
  EXPECT_EQ(v->eos_token_id, 258u);
  EXPECT_EQ(v->add_bos_token, true);  // The post-processor says so.
  // It says which token, too, where the settings do not.
  const auto untold = DescribeTokenizerJson(TinyTokenizerJson(kByteLevel, post), "", 300);
  ASSERT_TRUE(untold.ok()) << untold.status();
  EXPECT_EQ(untold->bos_token_id, 257u);
  EXPECT_EQ(untold->add_bos_token, true);
  EXPECT_EQ(untold->eos_token_id, std::nullopt);
  EXPECT_EQ(untold->add_eos_token, false);
  const auto both = DescribeTokenizerJson(
      TinyTokenizerJson(kByteLevel,
                        R"({"type":"RobertaProcessing","cls":["<s>",257],"sep":["</s>",258]})"),
      "", 300);
  ASSERT_TRUE(both.ok()) << both.status();
  EXPECT_EQ(both->eos_token_id, 258u);
  EXPECT_EQ(both->add_eos_token, true);
  EXPECT_THAT(
      DescribeTokenizerJson(TinyTokenizerJson(kByteLevel), "", 4'000'000'000).status().message(),
      HasSubstr("more than 10000000 tokens"));
  EXPECT_THAT(DescribeTokenizerJson(TinyTokenizerJson(kByteLevel), "", 257).status().message(),
              HasSubstr("without an id that the model has"));
  EXPECT_THAT(DescribeTokenizerJson(TinyTokenizerJson(kByteLevel), "", 100).status().message(),
              HasSubstr("has no id below 100"));
}

// Scores that stand for the ranks of merges.
TEST(HfVocabulary, MakesSentencePieceOfByteFallback) {
  const auto v = DescribeTokenizerJson(
      R"({"added_tokens":[{"id":0,"content":"<unk>","special":true},)"
      R"({"id":1,"content":"<s>","special":true}],)"
      R"("normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"\u2581"}]},)"
      R"("pre_tokenizer":null,"model":{"type":"BPE","byte_fallback":true,)"
      R"("vocab":{"<unk>":0,"<s>":1,"<0x0A>":2,"a":3,"b":4,"ab":5,"abb":6},)"
      R"("merges":[["a","b"],"ab b"]}})",
      R"({"bos_token":"<s>","unk_token":"<unk>"})", 7);
  ASSERT_TRUE(v.ok()) << v.status();
  EXPECT_EQ(v->kind, chunking::VocabularyKind::kSentencePieceBpe);
  EXPECT_THAT(v->scores, ElementsAre(0, 0, 0, 0, 0, -1, -2));
  EXPECT_EQ(v->types[0], TokenType::kUnknown);
  EXPECT_EQ(v->types[1], TokenType::kControl);
  EXPECT_EQ(v->types[2], TokenType::kByte);
  EXPECT_EQ(v->add_space_prefix, true);
  EXPECT_TRUE(v->merges.empty());
}

TEST(Inspection, TellsHowADirectoryMakesVectors) {
  const TempDir directory;
  WriteModel(TinyConfig(Architecture::kQwen2), directory);
  EXPECT_FALSE(InspectModel(directory.path())->embedding.has_value());
  directory.Write("modules.json", R"([{"path":"","type":"models.Transformer"},)"
                                  R"({"path":"1_Pooling","type":"models.Pooling"}])");
  directory.Write("1_Pooling/config.json", R"({"pooling_mode_lasttoken":true})");
  const auto inspected = InspectModel(directory.path());
  ASSERT_TRUE(inspected.ok()) << inspected.status();
  ASSERT_TRUE(inspected->embedding.has_value());
  EXPECT_EQ(inspected->embedding->pooling, Pooling::kLast);
  directory.Write("modules.json", "[]");
  EXPECT_THAT(InspectModel(directory.path())->embedding_error, HasSubstr("modules.json"));
}

TEST(Inspection, TellsWhatAFileHolds) {
  const TempDir directory;
  const std::string path = directory.file("m.gguf");
  const ModelConfig config = TinyConfig(Architecture::kLlama);
  ASSERT_TRUE(SynthesizeModel(config, {.format = BlockFormat::kQ4_0}, path).ok());
  auto model = InspectModel(path);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->file_format, "GGUF 3");
  EXPECT_EQ(model->tokens, 300u);
  EXPECT_FALSE(model->has_chat_template);
  EXPECT_EQ(model->bytes.size(), 2u);  // Q4_0, and F32 for vectors.
  EXPECT_EQ(model->tensors.size(), TensorsOf(config).size());
  // Embeddings and output 300 * 64 each; two layers of 2 * 64 + 64 * (64 + 32 + 32 + 64 + 3 * 96).
  EXPECT_EQ(model->parameters, 2 * 300 * 64 + 2 * (2 * 64 + 64 * (192 + 288)) + 64);

  WriteModel(config, directory);
  model = InspectModel(directory.path());
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->file_format, "Hugging Face");
  EXPECT_TRUE(model->has_chat_template);
  EXPECT_EQ(model->tokens, 260u);
  std::filesystem::remove(directory.file("tokenizer.json"));
  model = InspectModel(directory.path());
  ASSERT_TRUE(model.ok());
  EXPECT_THAT(model->tokenizer_error, HasSubstr("none of tokenizer.json"));
}

}  // namespace
}  // namespace cairn::engine
