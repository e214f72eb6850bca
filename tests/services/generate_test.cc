// The command that lets a language model write, with a small model of random weights.
#include "tests/services/cli_test.h"
#include "tests/services/language_model.h"

namespace cairn::services {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class Generate : public CliTest {
 protected:
  static constexpr int kInterrupted = 130;

  Strings Arguments(const Strings& rest) const {
    Strings arguments = {"generate", "--model", model_, "--threads", "2"};
    arguments.insert(arguments.end(), rest.begin(), rest.end());
    return arguments;
  }
  ProcessResult Run(const Strings& rest, std::string input = "") const {
    return Cairn(Arguments(rest), std::move(input));
  }
  // 24 tokens after "Once".
  ProcessResult Write(Strings rest) const {
    rest.insert(rest.end(), {"--prompt", "Once", "--max-tokens", "24", "--ignore-eos"});
    return Run(rest);
  }

  const std::string model_ = WriteLanguageModel(dir_, 2);
};

TEST_F(Generate, TheSeedDecidesTheText) {
  const ProcessResult first = Write({"--temperature", "1", "--seed", "7"});
  EXPECT_EQ(first.exit_code, kOk) << first.err;
  EXPECT_GT(first.out.size(), 1u);
  EXPECT_EQ(first.out.back(), '\n');
  EXPECT_EQ(Write({"--temperature", "1", "--seed", "7"}).out, first.out);
  EXPECT_NE(Write({"--temperature", "1", "--seed", "8"}).out, first.out);
  EXPECT_EQ(Write({}).out, Write({"--temperature", "1", "--top-k", "1", "--seed", "9"}).out);
}

TEST_F(Generate, StreamedTextIsTheText) {
  EXPECT_EQ(Write({"--temperature", "1", "--stream"}).out, Write({"--temperature", "1"}).out);
}

TEST_F(Generate, PromptsComeFromTheCommandLineAFileOrStandardInput) {
  const std::string expected = Write({}).out;
  const Strings rest = {"--max-tokens", "24", "--ignore-eos", "--prompt-file"};
  const auto with = [&](std::string path, std::string input = "") {
    Strings arguments = rest;
    arguments.push_back(std::move(path));
    return Run(arguments, std::move(input)).out;
  };
  EXPECT_EQ(with(dir_.Write("prompt.txt", "Once\n")), expected);
  EXPECT_EQ(with("-", "Once"), expected);
  EXPECT_EQ(with("-", "Once\r\n"), expected);
  EXPECT_NE(with("-", "Once\n\n"), expected);
}

TEST_F(Generate, AnEmptyPromptBeginsAText) {
  for (const auto& arguments : {Strings{"--prompt", ""}, Strings{"--prompt-file", "-"}}) {
    Strings all = arguments;
    all.insert(all.end(), {"--json", "--max-tokens", "3", "--ignore-eos"});
    const Json json = ParseJson(Run(all));
    EXPECT_EQ(json["usage"]["prompt_tokens"], 1);
    EXPECT_EQ(json["usage"]["generated_tokens"], 3);
  }
}

TEST_F(Generate, JsonHasUsageEndAndLogprobs) {
  const ProcessResult result = Write({"--json", "--logprobs", "2"});
  EXPECT_EQ(result.exit_code, kOk) << result.err;
  const Json json = ParseJson(result);
  EXPECT_EQ(json["finish"], "length");
  EXPECT_EQ(json["usage"]["prompt_tokens"], 5);  // With bos.
  EXPECT_EQ(json["usage"]["generated_tokens"], 24);
  EXPECT_GT(json["seconds"]["prefill"], 0);
  ASSERT_EQ(json["tokens"].size(), 24u);
  for (const Json& token : json["tokens"]) {
    EXPECT_LT(token["logprob"], 0);
    ASSERT_EQ(token["top"].size(), 2u);
    EXPECT_EQ(token["top"][0]["id"], token["id"]);  // Greedy.
  }
}

TEST_F(Generate, StopStringsEndTheText) {
  const std::string whole = Write({"--temperature", "1"}).out;
  // The first ASCII letter will do.
  const size_t at = whole.find_first_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
  ASSERT_NE(at, std::string::npos) << whole;
  const std::string stop(1, whole[at]);
  const Json json = ParseJson(Write({"--temperature", "1", "--json", "--stop", stop}));
  EXPECT_EQ(json["finish"], "stop");
  EXPECT_EQ(json["stop"], stop);
  EXPECT_EQ(json["text"], whole.substr(0, at));
}

TEST_F(Generate, AConversationNeedsAKnownForm) {
  const Strings question = {"--prompt", "Hi", "--max-tokens", "2"};
  const auto with = [&](Strings arguments) {
    arguments.insert(arguments.end(), question.begin(), question.end());
    return Run(arguments);
  };
  const ProcessResult unknown = with({"--chat"});
  EXPECT_EQ(unknown.exit_code, kError);
  EXPECT_THAT(unknown.err, HasSubstr("--chat-template"));
  EXPECT_THAT(unknown.err, HasSubstr("chatml, llama-2"));
  EXPECT_EQ(with({"--system", "Be brief."}).exit_code, kError);
  EXPECT_EQ(with({"--chat-template", "chatlm"}).exit_code, kError);
  const Json plain = ParseJson(with({"--json"}));
  const Json chat = ParseJson(with({"--json", "--chat-template", "zephyr", "--system", "s"}));
  EXPECT_EQ(plain["usage"]["prompt_tokens"], 3);
  EXPECT_GT(chat["usage"]["prompt_tokens"], 20);
}

TEST_F(Generate, ChoicesAreRanked) {
  const Strings choices = {"--prompt",  "It is", "--choices", " red",
                           "--choices", " blue", "--choices", " r"};
  const ProcessResult result = Run(choices);
  EXPECT_EQ(result.exit_code, kOk) << result.err;
  const Strings lines = Lines(result.out);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_THAT(lines[0], HasSubstr("\t r"));  // A beginning of another is never less likely.
  Strings with_end = choices;
  with_end.insert(with_end.end(), {"--json", "--choice-end", "--choice-per-token"});
  const Json ranked = ParseJson(Run(with_end))["choices"];
  ASSERT_EQ(ranked.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(ranked[i]["tokens"], ranked[i]["text"].get<std::string>().size() + 1);
    if (i > 0) {
      EXPECT_LE(ranked[i]["logprob_per_token"], ranked[i - 1]["logprob_per_token"]);
    }
  }
}

TEST_F(Generate, AnInterruptEndsTheTextWhereItIs) {
  for (const bool stream : {true, false}) {
    Strings arguments = Arguments({"--prompt", "Once", "--max-tokens", "30000", "--ignore-eos"});
    if (stream) arguments.push_back("--stream");
    Process process(Options(arguments));
    if (stream) {
      ASSERT_TRUE(process.WaitForOutput("\xEF\xBF\xBD"));  // Random weights write no characters.
    } else {
      process.RunFor(std::chrono::seconds(2));
    }
    process.Signal(SIGINT);
    const ProcessResult result = process.Wait();
    EXPECT_EQ(result.exit_code, kInterrupted) << result.signal << result.err;
    EXPECT_GT(result.out.size(), 1u);
    EXPECT_EQ(result.out.back(), '\n');
  }
}

TEST_F(Generate, WrongUseIsExplained) {
  const std::pair<Strings, const char*> cases[] = {
      {{}, "no prompt given"},
      {{"--prompt", "a", "--prompt-file", "b"}, "excludes"},
      {{"--prompt", "a", "--logprobs", "3"}, "--logprobs needs --json"},
      {{"--prompt", "a", "--stream", "--json"}, "excludes"},
      {{"--prompt", "a", "--choice-end"}, "are for --choices"},
      {{"--prompt", "a", "--choices", "b", "--stream"}, "not for --choices"},
      {{"--prompt", "a", "--top-p", "1.5"}, "top-p"},
      {{"--prompt", "a", "--temperature", "nan"}, "temperature"},
      {{"--prompt", "a", "--max-tokens", "0"}, "--max-tokens"},
      {{"--prompt", "a", "--stop", ""}, "stop string is empty"},
      {{"--prompt", "a", "--kv", "f8"}, "--kv"},
  };
  for (const auto& [arguments, message] : cases) {
    const ProcessResult result = Run(arguments);
    EXPECT_EQ(result.exit_code, kUsage) << message;
    EXPECT_THAT(result.err, HasSubstr(message));
    EXPECT_THAT(result.out, IsEmpty());
  }
  EXPECT_EQ(Cairn({"generate", "--prompt", "a"}).exit_code, kUsage);
}

TEST_F(Generate, BadInputsAreErrors) {
  const Strings inputs[] = {
      {"generate", "--model", dir_.file("none.gguf"), "--prompt", "a"},
      {"generate", "--model", dir_.Write("bad.gguf", "GGUFx"), "--prompt", "a"},
      {"generate", "--model", dir_.path(), "--prompt", "a"},
      Arguments({"--prompt-file", dir_.file("none.txt")}),
      Arguments({"--prompt-file", dir_.path()}),
      Arguments({"--prompt", std::string(40, 'x'), "--max-context", "32"}),
      Arguments({"--prompt", "a", "--choices", ""}),
  };
  for (const Strings& arguments : inputs) {
    const ProcessResult result = Cairn(arguments);
    EXPECT_EQ(result.exit_code, kError) << ::testing::PrintToString(arguments) << result.err;
    EXPECT_THAT(result.err, StartsWith("cairn: "));
    EXPECT_THAT(result.out, IsEmpty());
  }
}

}  // namespace
}  // namespace cairn::services
