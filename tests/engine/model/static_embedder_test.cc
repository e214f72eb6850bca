#include "engine/model/static_embedder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/engine/model/embed_one.h"
#include "tests/engine/model/model_builder.h"

namespace cairn::engine {
namespace {

using testing::BytesOf;
using ::testing::ElementsAre;
using testing::EmbedOne;
using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;
using testing::SafetensorsBuilder;
using ::testing::SizeIs;
using testing::TokenizerJson;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> Unit(std::vector<float> v) {
  double squares = 0;
  for (float x : v) squares += double{x} * x;
  for (float& x : v) x = static_cast<float>(x / std::sqrt(squares));
  return v;
}

// A model of the four tokens [UNK], red, green, blue; safetensors made by the test.
absl::StatusOr<std::unique_ptr<StaticEmbedder>> Model(const std::string& safetensors,
                                                      const std::string& config = "{}") {
  const std::string tokenizer = TokenizerJson({"[UNK]", "red", "green", "blue"});
  return StaticEmbedder::Create({config, safetensors, tokenizer});
}

const std::vector<float> kColors = {9, 9, 9, /*red*/ 1, 0, 0, /*green*/ 0, 2, 0, /*blue*/ 0, 0, -4};

SafetensorsBuilder Colors() {
  SafetensorsBuilder builder;
  builder.Add("embeddings", "F32", {4, 3}, BytesOf(kColors));
  return builder;
}

std::string StaticModelError(const std::string& safetensors, const std::string& config = "{}") {
  const auto model = Model(safetensors, config);
  if (model.ok()) return "";
  EXPECT_EQ(model.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(model.status().message());
}

TEST(StaticEmbedder, IsTheNormalisedMeanOfTheTokensVectors) {
  const auto model = Model(Colors().Build());
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ((*model)->dim(), 3u);
  EXPECT_EQ(EmbedOne(**model, "green"), (std::vector<float>{0, 1, 0}));
  EXPECT_THAT(EmbedOne(**model, "red GREEN red"), Pointwise(FloatNear(1e-6f), Unit({2, 2, 0})));
  EXPECT_THAT(EmbedOne(**model, "blue red"), Pointwise(FloatNear(1e-6f), Unit({1, 0, -4})));
}

TEST(StaticEmbedder, DropsUnknownTokensAndGivesZerosWithoutKnownOnes) {
  const auto model = Model(Colors().Build());
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(EmbedOne(**model, "mauve red, ochre"), (std::vector<float>{1, 0, 0}));
  for (const char* text : {"", "   \n", "mauve", "\xff\xfe"}) {
    EXPECT_EQ(EmbedOne(**model, text), (std::vector<float>{0, 0, 0})) << text;
  }
}

TEST(StaticEmbedder, OppositeVectorsGiveZeros) {
  const auto model = Model(
      SafetensorsBuilder().Add("embeddings", "I8", {4, 1}, BytesOf<int8_t>({1, 5, -5, 0})).Build());
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(EmbedOne(**model, "red green"), (std::vector<float>{0}));
  EXPECT_EQ(EmbedOne(**model, "blue"), (std::vector<float>{0}));
}

TEST(StaticEmbedder, ReadsHalfPrecision) {
  // 1, -2, 0.5 and the smallest subnormal, 2^-24.
  const std::vector<uint16_t> halves = {0, 0x3c00, 0xc000, 0x3800, 0, 0x0001};
  const std::string tokenizer = TokenizerJson({"[UNK]", "a", "b"});
  const std::string file =
      SafetensorsBuilder().Add("embeddings", "F16", {3, 2}, BytesOf(halves)).Build();
  const auto model = StaticEmbedder::Create({"{}", file, tokenizer});
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_THAT(EmbedOne(**model, "a"), Pointwise(FloatNear(1e-6f), Unit({-2, 0.5})));
  EXPECT_THAT(EmbedOne(**model, "b"), ElementsAre(0, 1));
}

TEST(StaticEmbedder, ReadsInt8AsItIs) {
  const std::string file =
      SafetensorsBuilder()
          .Add("embeddings", "I8", {4, 2}, BytesOf<int8_t>({0, 0, 127, -128, 3, 4, -1, 0}))
          .Build();
  const auto model = Model(file);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_THAT(EmbedOne(**model, "red"), Pointwise(FloatNear(1e-6f), Unit({127, -128})));
  EXPECT_THAT(EmbedOne(**model, "green"), Pointwise(FloatNear(1e-6f), Unit({3, 4})));
}

TEST(StaticEmbedder, AppliesWeightsPerTokenAndMappingToRows) {
  const std::vector<float> rows = {1, 0, 0, 1};
  for (const char* type : {"I32", "I64"}) {
    const std::string mapping = type == std::string("I32") ? BytesOf<int32_t>({0, 0, 1, 1})
                                                           : BytesOf<int64_t>({0, 0, 1, 1});
    SafetensorsBuilder builder;
    builder.Add("mapping", type, {4}, mapping).Add("embeddings", "F32", {2, 2}, BytesOf(rows));
    const auto unweighted = Model(builder.Build());
    ASSERT_TRUE(unweighted.ok()) << unweighted.status();
    EXPECT_THAT(EmbedOne(**unweighted, "red green blue"),
                Pointwise(FloatNear(1e-6f), Unit({1, 2})));

    auto single = builder;
    single.Add("weights", "F32", {4}, BytesOf<float>({7, 0.5, 3, -1}));
    auto twice = builder;
    twice.Add("weights", "F64", {4}, BytesOf<double>({7, 0.5, 3, -1}));
    for (const std::string& file : {single.Build(), twice.Build()}) {
      const auto model = Model(file);
      ASSERT_TRUE(model.ok()) << model.status();
      EXPECT_THAT(EmbedOne(**model, "red green blue"), Pointwise(FloatNear(1e-6f), Unit({.5, 2})));
    }
  }
}

TEST(StaticEmbedder, WeightsWorkWithoutMapping) {
  const auto model =
      Model(Colors().Add("weights", "F32", {4}, BytesOf<float>({1, 3, 2, 0})).Build());
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_THAT(EmbedOne(**model, "red green blue"), Pointwise(FloatNear(1e-6f), Unit({3, 4, 0})));
}

TEST(StaticEmbedder, BatchesGiveTheSameBitsAsSingleTexts) {
  const auto model = Model(Colors().Build());
  ASSERT_TRUE(model.ok()) << model.status();
  const std::vector<std::string_view> texts = {"red", "", "green blue red", "mauve", "red red"};
  std::vector<float> all(texts.size() * 3, 99.0f);
  ASSERT_TRUE((*model)->Embed(TextKind::kPassage, texts, absl::MakeSpan(all)).ok());
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::vector<float> one = EmbedOne(**model, texts[i]);
    EXPECT_EQ(std::vector<float>(all.begin() + 3 * i, all.begin() + 3 * i + 3), one) << texts[i];
  }
}

TEST(StaticEmbedder, RefusesOutputOfTheWrongSize) {
  const auto model = Model(Colors().Build());
  ASSERT_TRUE(model.ok()) << model.status();
  std::vector<float> out(4);
  EXPECT_EQ((*model)->Embed(TextKind::kPassage, {"red"}, absl::MakeSpan(out)).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE((*model)->Embed(TextKind::kPassage, {}, {}).ok());
}

TEST(StaticEmbedder, LongTextsLoseNoPrecision) {
  // Random rows, 100,000 tokens, against a sum in double.
  std::mt19937 random(3);
  std::uniform_real_distribution<float> real(-1, 1);
  constexpr size_t kDim = 67;
  std::vector<float> rows(4 * kDim);
  for (float& x : rows) x = real(random);
  const auto model =
      Model(SafetensorsBuilder().Add("embeddings", "F32", {4, kDim}, BytesOf(rows)).Build());
  ASSERT_TRUE(model.ok()) << model.status();
  const char* words[] = {"mauve ", "red ", "green ", "blue "};
  std::string text;
  std::vector<double> sum(kDim);
  for (int i = 0; i < 100'000; ++i) {
    const size_t id = random() % 4;
    text += words[id];
    for (size_t d = 0; d < kDim && id != 0; ++d) sum[d] += rows[id * kDim + d];
  }
  const std::vector<float> expected = Unit({sum.begin(), sum.end()});
  EXPECT_THAT(EmbedOne(**model, text), Pointwise(FloatNear(1e-6f), expected));
}

TEST(StaticEmbedder, ExtremeButFiniteNumbersGiveUnitVectors) {
  for (float magnitude : {1e12f, 1e-30f}) {
    std::vector<float> rows = kColors;
    for (float& x : rows) x *= magnitude / 9;
    const auto model = Model(SafetensorsBuilder()
                                 .Add("embeddings", "F32", {4, 3}, BytesOf(rows))
                                 .Add("weights", "F64", {4}, BytesOf<double>({1e12, 1e12, 1, 1}))
                                 .Build());
    ASSERT_TRUE(model.ok()) << model.status();
    EXPECT_THAT(EmbedOne(**model, "red red"), Pointwise(FloatNear(1e-6f), {1, 0, 0}));
  }
}

TEST(StaticEmbedder, ConcurrentCallsAgree) {
  const auto model = Model(Colors().Build());
  ASSERT_TRUE(model.ok()) << model.status();
  const std::vector<float> expected = EmbedOne(**model, "red green blue");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) EXPECT_EQ(EmbedOne(**model, "red green blue"), expected);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(StaticEmbedder, NeedsNoneOfTheFilesAfterwards) {
  std::string file = Colors().Build();
  auto model = Model(file);
  ASSERT_TRUE(model.ok()) << model.status();
  file.assign(file.size(), 'x');
  EXPECT_EQ(EmbedOne(**model, "green"), (std::vector<float>{0, 1, 0}));
}

TEST(StaticEmbedder, FingerprintDependsOnEveryFile) {
  const std::string config = "{}";
  const std::string safetensors = Colors().Build();
  const std::string tokenizer = TokenizerJson({"[UNK]", "red", "green", "blue"});
  const auto fingerprint = [](const StaticModelFiles& files) {
    return (*StaticEmbedder::Create(files))->fingerprint();
  };
  const std::string base = fingerprint({config, safetensors, tokenizer});
  EXPECT_THAT(base, SizeIs(32));
  EXPECT_EQ(base.find_first_not_of("0123456789abcdef"), base.npos);
  EXPECT_EQ(base, fingerprint({config, safetensors, tokenizer}));
  std::vector<float> rows = kColors;
  rows[3] = 1.5f;
  const std::string other =
      SafetensorsBuilder().Add("embeddings", "F32", {4, 3}, BytesOf(rows)).Build();
  EXPECT_NE(base, fingerprint({config, other, tokenizer}));
  EXPECT_NE(base, fingerprint({"{ }", safetensors, tokenizer}));
  EXPECT_NE(base, fingerprint({config, safetensors, tokenizer + " "}));
}

TEST(StaticEmbedder, ReadsFusionAdvice) {
  const std::string file = Colors().Build();
  const auto none = Model(file, R"({"hidden_dim":3,"normalize":true})");
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_FALSE((*none)->fusion().given);
  const auto full = Model(
      file,
      R"({"cairn":{"fusion":"convex","normalization":"min-max","alpha":0.75,"by":{"x":[1]}}})");
  ASSERT_TRUE(full.ok()) << full.status();
  EXPECT_TRUE((*full)->fusion().given);
  EXPECT_TRUE((*full)->fusion().min_max);
  EXPECT_EQ((*full)->fusion().alpha, 0.75f);
  const auto other = Model(file, R"({"cairn":{"normalization":"theoretical","alpha":1}})");
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_FALSE((*other)->fusion().min_max);
  EXPECT_EQ((*other)->fusion().alpha, 1.0f);
}

TEST(StaticEmbedder, RefusesBadConfigs) {
  const std::string file = Colors().Build();
  for (const char* config :
       {"", "[]", "{", "{\"cairn\":1}", "{\"cairn\":[]}", "{\"cairn\":{\"alpha\":1.5}}",
        "{\"cairn\":{\"alpha\":-1}}", "{\"cairn\":{\"alpha\":\"0.5\"}}",
        "{\"cairn\":{\"fusion\":\"magic\"}}", "{\"cairn\":{\"normalization\":\"none\"}}",
        "{\"cairn\":{\"normalization\":1}}", "{\"a\":1,\"a\":1}"}) {
    EXPECT_EQ(StaticModelError(file, config).substr(0, 13), "config.json: ") << config;
  }
  EXPECT_THAT(StaticModelError(file, "{\"a\":" + std::string(100'000, '[')),
              HasSubstr("nested deeper"));
}

TEST(StaticEmbedder, RefusesNanInfinityAndAbsurdNumbersNamingTheRow) {
  const auto with = [](float bad) {
    std::vector<float> rows = kColors;
    rows[7] = bad;
    return StaticModelError(
        SafetensorsBuilder().Add("embeddings", "F32", {4, 3}, BytesOf(rows)).Build());
  };
  EXPECT_EQ(with(1), "");
  EXPECT_EQ(with(kNan), "model.safetensors: NaN in tensor embeddings at row 2");
  EXPECT_EQ(with(-kNan), "model.safetensors: NaN in tensor embeddings at row 2");
  EXPECT_EQ(with(-kInf), "model.safetensors: infinity in tensor embeddings at row 2");
  EXPECT_EQ(with(1e13f), "model.safetensors: value beyond 1e12 in tensor embeddings at row 2");

  const auto half = [](uint16_t bad) {
    const std::vector<uint16_t> rows = {0, 1, 2, bad};
    return StaticModelError(
        SafetensorsBuilder().Add("embeddings", "F16", {4, 1}, BytesOf(rows)).Build());
  };
  EXPECT_EQ(half(0x7bff), "");
  EXPECT_EQ(half(0x7c01), "model.safetensors: NaN in tensor embeddings at row 3");
  EXPECT_EQ(half(0xfc00), "model.safetensors: infinity in tensor embeddings at row 3");

  const auto weights32 = BytesOf<float>({1, kNan, 1, 1});
  EXPECT_EQ(StaticModelError(Colors().Add("weights", "F32", {4}, weights32).Build()),
            "model.safetensors: NaN in tensor weights at row 1");
  const auto weights64 = BytesOf<double>({1, 1, 1, -double{kInf}});
  EXPECT_EQ(StaticModelError(Colors().Add("weights", "F64", {4}, weights64).Build()),
            "model.safetensors: infinity in tensor weights at row 3");
}

TEST(StaticEmbedder, RefusesShapesThatDisagree) {
  const auto embeddings = [](const std::vector<uint64_t>& shape) {
    uint64_t n = 1;
    for (uint64_t size : shape) n *= size;
    return StaticModelError(
        SafetensorsBuilder().Add("embeddings", "I8", shape, std::string(n, 1)).Build());
  };
  EXPECT_EQ(embeddings({4, 65'536}), "");
  EXPECT_THAT(embeddings({4, 65'537}), HasSubstr("dimension 65537 is not in 1..65536"));
  EXPECT_THAT(embeddings({4, 0}), HasSubstr("dimension 0"));
  EXPECT_THAT(embeddings({0, 4}), HasSubstr("0 rows"));
  EXPECT_THAT(embeddings({4}), HasSubstr("1 dimensions, not 2"));
  EXPECT_THAT(embeddings({4, 1, 1}), HasSubstr("3 dimensions, not 2"));
  EXPECT_THAT(embeddings({}), HasSubstr("0 dimensions, not 2"));
  EXPECT_EQ(embeddings({3, 1}),
            "tokenizer.json: 4 token ids, but model.safetensors has vectors for 3");

  EXPECT_THAT(StaticModelError(Colors().Add("weights", "F32", {3}, std::string(12, 0)).Build()),
              HasSubstr("tensor weights: holds 3 values for 4 tokens"));
  EXPECT_THAT(StaticModelError(Colors().Add("weights", "F32", {4, 1}, std::string(16, 0)).Build()),
              HasSubstr("tensor weights: has 2 dimensions, not 1"));
  EXPECT_THAT(StaticModelError(Colors().Add("mapping", "I32", {2, 2}, std::string(16, 0)).Build()),
              HasSubstr("tensor mapping: has 2 dimensions, not 1"));
  EXPECT_EQ(StaticModelError(Colors().Add("mapping", "I32", {3}, std::string(12, 0)).Build()),
            "tokenizer.json: 4 token ids, but model.safetensors has vectors for 3");
}

TEST(StaticEmbedder, RefusesMissingAndMistypedTensors) {
  EXPECT_EQ(
      StaticModelError(SafetensorsBuilder().Add("weights", "F32", {4}, std::string(16, 0)).Build()),
      "model.safetensors: no tensor \"embeddings\"");
  EXPECT_THAT(
      StaticModelError(
          SafetensorsBuilder().Add("embeddings", "BF16", {4, 1}, std::string(8, 0)).Build()),
      HasSubstr("embeddings: is neither F32, F16 nor I8"));
  EXPECT_THAT(StaticModelError(Colors().Add("weights", "F16", {4}, std::string(8, 0)).Build()),
              HasSubstr("weights: is neither F32 nor F64"));
  EXPECT_THAT(StaticModelError(Colors().Add("mapping", "I16", {4}, std::string(8, 0)).Build()),
              HasSubstr("mapping: is neither I32 nor I64"));
}

TEST(StaticEmbedder, RefusesMappingsOutOfRange) {
  for (int64_t bad :
       {int64_t{-1}, int64_t{4}, int64_t{1} << 32, std::numeric_limits<int64_t>::min()}) {
    EXPECT_THAT(StaticModelError(
                    Colors().Add("mapping", "I64", {4}, BytesOf<int64_t>({0, 1, bad, 3})).Build()),
                HasSubstr("of token 2 is outside the 4 rows"));
  }
  EXPECT_THAT(StaticModelError(
                  Colors().Add("mapping", "I32", {4}, BytesOf<int32_t>({0, 1, 2, -1})).Build()),
              HasSubstr("row -1 of token 3"));
}

TEST(StaticEmbedder, RefusesBadTokenizers) {
  const std::string file = Colors().Build();
  for (const char* tokenizer : {"", "{}", "[]", "{\"model\":{\"type\":\"BPE\"}}"}) {
    const auto model = StaticEmbedder::Create({"{}", file, tokenizer});
    ASSERT_FALSE(model.ok()) << tokenizer;
    EXPECT_EQ(model.status().message().substr(0, 16), "tokenizer.json: ");
  }
}

TEST(StaticEmbedder, RefusesAModelFileCutAnywhere) {
  const std::string file = Colors().Add("weights", "F32", {4}, std::string(16, 0)).Build();
  for (size_t size = 0; size < file.size(); ++size) {
    EXPECT_THAT(StaticModelError(file.substr(0, size)), HasSubstr("model.safetensors: ")) << size;
  }
}

// A model directory that goes away with the object.
class ModelDirectory {
 public:
  ModelDirectory() {
    std::string name = std::filesystem::temp_directory_path() / "cairn_model_XXXXXX";
    path_ = mkdtemp(name.data());
    Write("config.json", "{}");
    Write("model.safetensors", Colors().Build());
    Write("tokenizer.json", TokenizerJson({"[UNK]", "red", "green", "blue"}));
  }
  ~ModelDirectory() { std::filesystem::remove_all(path_); }

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }
  void Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(File(name), std::ios::binary) << bytes;
  }
  absl::Status Load() const { return StaticEmbedder::Load(path_).status(); }

 private:
  std::string path_;
};

TEST(StaticEmbedderLoad, GivesWhatCreateGives) {
  const ModelDirectory directory;
  const auto loaded = StaticEmbedder::Load(directory.path());
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const auto created = Model(Colors().Build());
  EXPECT_EQ((*loaded)->fingerprint(), (*created)->fingerprint());
  EXPECT_EQ(EmbedOne(**loaded, "red blue"), EmbedOne(**created, "red blue"));
}

TEST(StaticEmbedderLoad, ErrorsNameThePath) {
  for (const char* name : {"config.json", "model.safetensors", "tokenizer.json"}) {
    const ModelDirectory directory;
    std::filesystem::remove(directory.File(name));
    EXPECT_EQ(directory.Load().code(), absl::StatusCode::kNotFound);
    EXPECT_THAT(std::string(directory.Load().message()), HasSubstr(directory.File(name)));
    directory.Write(name, "{");
    EXPECT_EQ(directory.Load().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(directory.Load().message()), HasSubstr(directory.File(name) + ": "));
  }
  EXPECT_EQ(StaticEmbedder::Load("/nowhere").status().code(), absl::StatusCode::kNotFound);
}

TEST(StaticEmbedderLoad, ReadsRegularFilesOnlyAndWaitsForNothing) {
  const ModelDirectory directory;
  const std::string file = directory.File("model.safetensors");
  std::filesystem::remove(file);
  ASSERT_EQ(mkfifo(file.c_str(), 0600), 0);
  EXPECT_EQ(std::string(directory.Load().message()), file + ": not a regular file");
  std::filesystem::remove(file);
  std::filesystem::create_directory(file);
  EXPECT_EQ(std::string(directory.Load().message()), file + ": not a regular file");
  std::filesystem::remove(file);
  std::filesystem::create_symlink("/dev/zero", file);
  EXPECT_EQ(std::string(directory.Load().message()), file + ": not a regular file");
}

TEST(StaticEmbedderLoad, ChecksSizesBeforeReading) {
  const std::pair<const char*, uint64_t> limits[] = {{"config.json", uint64_t{1} << 20},
                                                     {"tokenizer.json", uint64_t{256} << 20},
                                                     {"model.safetensors", uint64_t{2} << 30}};
  for (const auto& [name, limit] : limits) {
    const ModelDirectory directory;
    std::filesystem::resize_file(directory.File(name), limit + 1);  // Sparse: takes no space.
    EXPECT_THAT(std::string(directory.Load().message()), HasSubstr("more than the limit of"));
  }
}

}  // namespace
}  // namespace cairn::engine
