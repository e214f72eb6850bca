// cairn model: inspect, convert, quantize, synthesize.
#include "tests/services/cli_test.h"
#include "tests/support/encoder_directory.h"

namespace cairn::services {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ModelCommand : public CliTest {
 protected:
  // A model of one layer and few tokens, to keep it small.
  ProcessResult Synthesize(const std::string& path, Strings more = {}) const {
    Strings arguments = {"model",    "synthesize", "--shape",      "smollm-135m", path,
                         "--layers", "1",          "--vocabulary", "300"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Cairn(arguments);
  }
  const std::string model_ = dir_.file("m.gguf");
};

TEST_F(ModelCommand, SynthesizedModelsAreInspected) {
  ASSERT_EQ(Synthesize(model_, {"--type", "q4_0"}).exit_code, kOk);
  const ProcessResult plain = Cairn({"model", "inspect", model_});
  EXPECT_EQ(plain.exit_code, kOk) << plain.err;
  EXPECT_THAT(plain.out, HasSubstr("file format       GGUF 3\n"));
  EXPECT_THAT(plain.out, HasSubstr("architecture      llama\n"));
  EXPECT_THAT(plain.out, HasSubstr("tokenizer         300 tokens\n"));
  const Json json = ParseJson(Cairn({"model", "inspect", "--json", "--tensors", model_}));
  EXPECT_EQ(json["config"]["layers"], 1);
  EXPECT_EQ(json["config"]["hidden_size"], 576);
  EXPECT_EQ(json["config"]["vocabulary_size"], 300);
  EXPECT_EQ(json["tokens"], 300);
  EXPECT_EQ(json["chat_template"], false);
  EXPECT_EQ(json["tensors"].size(), 11u);
  EXPECT_EQ(json["tensors"][0]["name"], "token_embd.weight");
  EXPECT_EQ(json["tensors"][0]["type"], "Q4_0");
  EXPECT_EQ(json["tensors"][0]["shape"], Json::array({300, 576}));
}

TEST_F(ModelCommand, EncodersAreInspectedToo) {
  const cairn::testing::TempDir encoder, reranker;
  cairn::testing::WriteEncoder(cairn::testing::EncoderReferenceNamed("bert"), encoder);
  cairn::testing::WriteEncoder(cairn::testing::EncoderReferenceNamed("bert_classifier"), reranker);
  const ProcessResult plain = Cairn({"model", "inspect", encoder.path()});
  EXPECT_EQ(plain.exit_code, kOk) << plain.err;
  EXPECT_THAT(plain.out, HasSubstr("kind              encoder\n"));
  EXPECT_THAT(plain.out, HasSubstr("pooling           mean"));
  const Json json = ParseJson(Cairn({"model", "inspect", "--json", reranker.path()}));
  EXPECT_EQ(json["config"]["kind"], "cross-encoder");
  EXPECT_EQ(json["config"]["max_tokens"], 100);
  EXPECT_FALSE(json.contains("embedding"));
}

TEST_F(ModelCommand, QuantizeAndConvertSayWhatTheyDid) {
  ASSERT_EQ(Synthesize(model_, {"--type", "F32"}).exit_code, kOk);
  const std::string out = dir_.file("out.gguf");
  const ProcessResult quantized = Cairn({"model", "quantize", model_, out, "--type", "Q4_K"});
  EXPECT_EQ(quantized.exit_code, kOk) << quantized.err;
  EXPECT_THAT(quantized.out, IsEmpty());
  EXPECT_THAT(quantized.err, HasSubstr("became Q8_0"));  // Rows of 576 values.
  EXPECT_THAT(quantized.err, HasSubstr("11 tensors, "));
  const Json json = ParseJson(Cairn({"model", "inspect", "--json", out}));
  EXPECT_GT(json["bytes"]["Q4_K"], 0);
  EXPECT_EQ(Cairn({"model", "convert", model_, out, "--threads", "1"}).exit_code, kOk);
  EXPECT_GT(ParseJson(Cairn({"model", "inspect", "--json", out}))["bytes"]["Q8_0"], 0);
}

TEST_F(ModelCommand, WrongUseIsTwo) {
  const std::vector<std::pair<Strings, std::string>> cases = {
      {{"model"}, "model needs a command"},
      {{"model", "frobnicate"}, "frobnicate"},
      {{"model", "inspect"}, "MODEL"},
      {{"model", "synthesize", model_}, "--shape"},
      {{"model", "quantize", model_, dir_.file("o")}, "--type"},
      {{"model", "convert", model_, dir_.file("o"), "--type", "Q9"}, "there is no format \"Q9\""},
      {{"model", "synthesize", "--shape", "gpt-5", model_}, "there is no shape \"gpt-5\""},
      {{"model", "synthesize", "--shape", "smollm-135m", model_, "--type", "Q9"},
       "there is no format"},
      {{"model", "synthesize", "--shape", "smollm-135m", model_, "--vocabulary", "10"},
       "258 tokens"},
      {{"model", "synthesize", "--shape", "smollm-135m", model_, "--threads", "0"}, "--threads"},
  };
  for (const auto& [arguments, message] : cases) {
    const ProcessResult result = Cairn(arguments);
    EXPECT_EQ(result.exit_code, kUsage) << message << result.err;
    EXPECT_THAT(result.err, HasSubstr(message));
    EXPECT_THAT(result.out, IsEmpty());
  }
}

TEST_F(ModelCommand, BadModelsAreThreeAndNamed) {
  const std::string garbage = dir_.Write("bad.gguf", "GGUF but not really");
  dir_.Write("empty/readme", "");
  for (const Strings& arguments :
       {Strings{"model", "inspect", garbage}, Strings{"model", "inspect", dir_.file("absent")},
        Strings{"model", "inspect", dir_.file("empty")}, Strings{"model", "inspect", "/dev/null"},
        Strings{"model", "convert", garbage, dir_.file("o")},
        Strings{"model", "quantize", garbage, dir_.file("o"), "--type", "Q8_0"}}) {
    const ProcessResult result = Cairn(arguments);
    EXPECT_EQ(result.exit_code, kError) << arguments[2] << result.err;
    EXPECT_THAT(result.err, HasSubstr(arguments[2]));
    EXPECT_THAT(result.out, IsEmpty());
  }
  EXPECT_FALSE(std::filesystem::exists(dir_.file("o")));
  EXPECT_EQ(Synthesize(dir_.file("absent/m.gguf")).exit_code, kError);
}

TEST_F(ModelCommand, AModelsKeysAndValuesAreCheckedBeforeTheyAreMoved) {
  ASSERT_EQ(Synthesize(model_, {"--type", "q8_0"}).exit_code, kOk);
  const ProcessResult plain = Cairn({"model", "check", model_});
  EXPECT_EQ(plain.exit_code, kOk) << plain.out << plain.err;
  EXPECT_EQ(Lines(plain.out).size(), 4u);
  EXPECT_THAT(plain.out, HasSubstr("rope round trip"));
  EXPECT_THAT(plain.out, HasSubstr("  ok\n"));
  const Json json = ParseJson(Cairn({"model", "check", "--json", "--threads", "1", model_}));
  EXPECT_EQ(json["holds"], true);
  ASSERT_EQ(json["gates"].size(), 4u);
  EXPECT_EQ(json["gates"][3]["name"], "original place");
  EXPECT_LE(json["gates"][3]["difference"], json["tolerance"]);
  EXPECT_EQ(json["gates"][3]["holds"], true);
  const cairn::testing::TempDir encoder;
  cairn::testing::WriteEncoder(cairn::testing::EncoderReferenceNamed("bert"), encoder);
  for (const std::string& path : {dir_.file("none"), encoder.path()}) {
    const ProcessResult bad = Cairn({"model", "check", path});
    EXPECT_EQ(bad.exit_code, kError) << bad.err;
    EXPECT_THAT(bad.out, IsEmpty());
  }
}

// What a file says must not drive the terminal that it is shown on.
TEST_F(ModelCommand, NamesFromFilesAreEscapedOnTerminals) {
  const std::string path = dir_.Write("\x1b[2J.gguf", "GGUF but not really");
  ProcessOptions watched = Options({"model", "inspect", path});
  watched.stderr_is_terminal = true;
  const ProcessResult result = Run(std::move(watched));
  EXPECT_EQ(result.exit_code, kError);
  EXPECT_THAT(result.err, HasSubstr("\\x1b[2J.gguf"));
  EXPECT_THAT(result.err, ::testing::Not(HasSubstr("\x1b")));
}

TEST_F(ModelCommand, CompletionKnowsTheCommandsBelow) {
  const std::string script = Cairn({"completion", "bash"}).out;
  EXPECT_THAT(script, HasSubstr("model) COMPREPLY=($(compgen -W \"inspect check convert quantize "
                                "synthesize distill\""));
  EXPECT_THAT(script, HasSubstr("--vocabulary"));
  const std::string fish = Cairn({"completion", "fish"}).out;
  EXPECT_THAT(fish, HasSubstr("-n '__cairn_is model' -a inspect"));
  EXPECT_THAT(fish, HasSubstr("-n '__cairn_begins model synthesize' -l vocabulary -r"));
}

}  // namespace
}  // namespace cairn::services
