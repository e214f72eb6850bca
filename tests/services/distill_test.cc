// cairn model distill.
#include <chrono>
#include <csignal>
#include <random>
#include <thread>

#include "engine/model/encoder_config.h"
#include "tests/engine/model/model_builder.h"
#include "tests/services/cli_test.h"

namespace cairn::services {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
namespace fs = std::filesystem;

// An encoder of random weights and the words w0 to w95, and texts of these.
class Distill : public CliTest {
 protected:
  Distill() {
    const Json config = {
        {"model_type", "bert"},          {"vocab_size", 100},        {"hidden_size", 32},
        {"num_hidden_layers", 2},        {"num_attention_heads", 2}, {"intermediate_size", 64},
        {"max_position_embeddings", 64}, {"type_vocab_size", 2},     {"hidden_act", "gelu"},
        {"layer_norm_eps", 1e-12}};
    dir_.Write("encoder/config.json", config.dump());
    std::vector<std::string> vocabulary = {"[PAD]", "[UNK]", "[CLS]", "[SEP]"};
    for (int i = 0; i < 96; ++i) vocabulary.push_back("w" + std::to_string(i));
    std::string tokenizer = engine::testing::TokenizerJson(vocabulary);
    const std::string none = "\"post_processor\":null";
    tokenizer.replace(tokenizer.find(none), none.size(),
                      R"("post_processor":{"type":"BertProcessing","sep":["[SEP]",3],)"
                      R"("cls":["[CLS]",2]})");
    dir_.Write("encoder/tokenizer.json", tokenizer);
    WriteWeights(config.dump());
    WriteTexts(2'000);
  }

  void WriteWeights(const std::string& config_json) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal(0, 0.1f);
    engine::testing::SafetensorsBuilder builder;
    for (const engine::EncoderTensor& tensor :
         engine::TensorsOf(*engine::ParseEncoderConfig(config_json))) {
      uint64_t size = 1;
      for (const uint64_t n : tensor.shape) size *= n;
      std::vector<float> values(size);
      for (float& x : values) x = normal(random);
      builder.Add(tensor.name, "F32", tensor.shape, engine::testing::BytesOf(values));
    }
    dir_.Write("encoder/model.safetensors", builder.Build());
  }

  void WriteTexts(int count) {
    std::mt19937 random(2);
    std::string lines;
    for (int i = 0; i < count; ++i) {
      for (size_t n = 4 + random() % 6; n > 0; --n) {
        lines += "w" + std::to_string(random() % 96) + " ";
      }
      lines += "\n";
    }
    dir_.Write("texts", lines);
  }

  Strings Arguments(const Strings& more) const {
    Strings arguments = {"model", "distill", dir_.file("encoder"), "--dims", "16", "--out", out_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  ProcessResult Run(const Strings& more) const { return Cairn(Arguments(more)); }
  std::string Bytes(const std::string& path) const {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  const std::string out_ = dir_.file("out");
  const std::string texts_ = dir_.file("texts");
};

TEST_F(Distill, MakesAModelThatCollectionsAreEmbeddedWith) {
  const ProcessResult made = Run({"--texts", texts_, "--alpha", "0.65", "--name", "tiny"});
  ASSERT_EQ(made.exit_code, kOk) << made.err;
  EXPECT_THAT(made.out, IsEmpty());
  EXPECT_THAT(made.err, HasSubstr("from 2000 texts of "));
  EXPECT_FALSE(fs::exists(out_ + ".partial"));
  const Json config = Json::parse(Bytes(out_ + "/config.json"));
  EXPECT_EQ(config["cairn"]["alpha"], 0.65);
  EXPECT_EQ(config["tokenizer_name"], "tiny");

  const std::string a = dir_.Write("a.txt", "w1 w2 w3");
  const std::string b = dir_.Write("b.txt", "w50 w60 w70");
  ASSERT_EQ(Cairn(OnStore("ingest", {"--embedder", out_, a, b})).exit_code, kOk);
  const ProcessResult found = Cairn(
      OnStore("search", {"--embedder", out_, "--mode", "vector", "--json", "-k", "1", "w60"}));
  EXPECT_THAT(found.out, HasSubstr("b.txt"));
}

TEST_F(Distill, GivesTheSameBytesForAnyNumberOfThreadsAndFromItsCache) {
  const std::string cache = dir_.file("cache");
  ASSERT_EQ(Run({"--texts", texts_, "--threads", "1", "--cache", cache}).exit_code, kOk);
  const std::string first = Bytes(out_ + "/model.safetensors");
  const std::string kept = Bytes(cache);
  for (const Strings& more : {Strings{"--threads", "3"}, Strings{"--cache", cache}}) {
    fs::remove_all(out_);
    Strings arguments = {"--texts", texts_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    ASSERT_EQ(Run(arguments).exit_code, kOk);
    EXPECT_EQ(Bytes(out_ + "/model.safetensors"), first);
  }
  EXPECT_EQ(Bytes(cache), kept);
}

TEST_F(Distill, WrongUseIsTwo) {
  const std::vector<std::pair<Strings, std::string>> cases = {
      {{"model", "distill"}, "ENCODER"},
      {{"model", "distill", dir_.file("encoder"), "--texts", texts_}, "--out"},
      {Arguments({}), "needs texts"},
      {Arguments({"--texts", texts_, "--alpha", "1.5"}), "--alpha"},
      {Arguments({"--texts", texts_, "--threads", "0"}), "--threads"},
      {Arguments({"--texts", texts_, "--ridge", "0"}), "--ridge"},
  };
  for (const auto& [arguments, message] : cases) {
    const ProcessResult result = Cairn(arguments);
    EXPECT_EQ(result.exit_code, kUsage) << message << result.err;
    EXPECT_THAT(result.err, HasSubstr(message));
  }
  EXPECT_FALSE(fs::exists(out_));
}

TEST_F(Distill, BadInputIsThreeAndLeavesNothingBehind) {
  const std::string few = dir_.Write("few", "w1\nw2\nw3\n");
  const std::string bad = dir_.Write("bad", "w1\n\xff\n");
  dir_.Write("wordnet/data.noun", "00001740 03 n 01 entity\n");
  const std::vector<std::pair<Strings, std::string>> cases = {
      {{"--texts", dir_.file("absent")}, "absent"},
      {{"--texts", bad}, "bad: line 2"},
      {{"--texts", few}, "too few texts: 3"},
      {{"--texts", texts_, "--wordnet", dir_.file("wordnet")}, "data.noun: line 1"},
      {{"--texts", texts_, "--dims", "33"}, "the encoder has 32"},
      {{"--texts", texts_, "--cache", texts_}, "not a file of teacher vectors"},
  };
  const std::string texts = Bytes(texts_);
  for (const auto& [more, message] : cases) {
    Strings arguments = {"model", "distill", dir_.file("encoder"), "--out", out_};
    if (more.size() < 3 || more[2] != "--dims") arguments.insert(arguments.end(), {"--dims", "16"});
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProcessResult result = Cairn(arguments);
    EXPECT_EQ(result.exit_code, kError) << message << result.err;
    EXPECT_THAT(result.err, HasSubstr(message));
    EXPECT_FALSE(fs::exists(out_) || fs::exists(out_ + ".partial")) << message;
  }
  EXPECT_EQ(Bytes(texts_), texts);
  const ProcessResult static_model =
      Cairn({"model", "distill", dir_.file("absent"), "--out", out_, "--texts", texts_});
  EXPECT_EQ(static_model.exit_code, kError);
  EXPECT_THAT(static_model.err, HasSubstr("absent"));
}

TEST_F(Distill, NeverOverwrites) {
  dir_.Write("out/precious", "data");
  const ProcessResult result = Run({"--texts", texts_});
  EXPECT_EQ(result.exit_code, kError);
  EXPECT_THAT(result.err, HasSubstr("is there already"));
  EXPECT_EQ(Bytes(out_ + "/precious"), "data");
}

TEST_F(Distill, AnInterruptedRunGoesOnFromItsCache) {
  WriteTexts(300'000);  // Far more than are embedded before the signal.
  const std::string cache = dir_.file("cache");
  Process process(Options(Arguments({"--texts", texts_, "--threads", "1", "--cache", cache})));
  for (int i = 0; i < 600 && (!fs::exists(cache) || fs::file_size(cache) < 100'000); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  ASSERT_EQ(::kill(process.pid(), SIGINT), 0);
  const ProcessResult stopped = process.Wait();
  EXPECT_EQ(stopped.exit_code, 130) << stopped.err;
  EXPECT_THAT(stopped.err, HasSubstr("the cache keeps"));
  EXPECT_FALSE(fs::exists(out_) || fs::exists(out_ + ".partial"));
  EXPECT_GE(fs::file_size(cache), 100'000u);
}

}  // namespace
}  // namespace cairn::services
