// Kept keys and values on the command line: kv build, stats, verify, evict, and answers from them.
#include <fstream>

#include "tests/services/cli_test.h"
#include "tests/services/language_model.h"

namespace cairn::services {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class KvTest : public CliTest {
 protected:
  static constexpr int kInterrupted = 130;

  void SetUp() override {
    model_ = WriteLanguageModel(dir_, 4);
    for (int i = 0; i < 6; ++i) {
      std::string text = "# Animal " + std::to_string(i) + "\n\n";
      for (int line = 0; line < 6; ++line) {
        text += "Animal " + std::to_string(i) + " has " + std::to_string(line + 2) +
                " hearts, and its neighbour lives by the river all year. ";
      }
      dir_.Write("in/animal" + std::to_string(i) + ".md", text);
    }
    ASSERT_EQ(Ingest({"--chunk-tokens", "40", dir_.file("in")}).exit_code, kOk);
  }

  // "cairn kv COMMAND --store STORE ...".
  Strings Kv(std::string command, const Strings& rest = {}) const {
    Strings arguments = OnStore("kv", rest);
    arguments.insert(arguments.begin() + 1, std::move(command));
    return arguments;
  }
  ProcessResult Build(const Strings& rest = {}) const {
    Strings arguments = Kv("build", {"--model", model_});
    arguments.insert(arguments.end(), rest.begin(), rest.end());
    return Cairn(arguments);
  }
  ProcessResult Ask(const Strings& rest) const {
    Strings arguments = OnStore("ask", {"--model", model_, "--max-tokens", "8"});
    arguments.insert(arguments.end(), rest.begin(), rest.end());
    return Cairn(arguments);
  }
  // The files of keys and values.
  Strings Blobs() const {
    Strings blobs;
    std::error_code gone;  // Folders come while this looks.
    for (std::filesystem::recursive_directory_iterator i(store_ + "/kv", gone), end;
         !gone && i != end; i.increment(gone)) {
      if (i->path().extension() == ".kv") blobs.push_back(i->path());
    }
    return blobs;
  }
  Json Stats() const { return ParseJson(Cairn(Kv("stats", {"--json"}))); }

  std::string model_;
};

TEST_F(KvTest, WhatIsBuiltIsReusedVerifiedAndEvicted) {
  const Json built = ParseJson(Build({"--json"}));
  EXPECT_EQ(built["documents"], 6);
  EXPECT_GE(built["chunks"], 6);
  EXPECT_EQ(built["known"], 0);
  EXPECT_EQ(built["skipped"], 0);
  EXPECT_GT(built["tokens"], 0);
  EXPECT_GT(built["bytes"], 0);
  EXPECT_GT(built["seconds"], 0);
  const ProcessResult again = Build();
  EXPECT_EQ(again.exit_code, kOk) << again.err;
  EXPECT_THAT(again.err, HasSubstr("6 documents; 0 chunks made"));

  EXPECT_EQ(Stats()["disk"]["chunks"], built["chunks"]);
  EXPECT_GT(Stats()["disk"]["bytes"], 0);
  EXPECT_THAT(Cairn(Kv("stats")).out, HasSubstr(" chunks, "));

  const std::string question = "How many hearts has animal 3?";
  const Json fast = ParseJson(Ask({"--kv-reuse", "fast", "--json", question}));
  const Json& reuse = fast["usage"]["reuse"];
  EXPECT_GT(reuse["reused_tokens"], 0) << reuse;
  EXPECT_GT(reuse["loaded_bytes"], 0) << reuse;
  EXPECT_EQ(reuse["exact_tokens"].get<int>() + reuse["reused_tokens"].get<int>() +
                reuse["recomputed_tokens"].get<int>() + reuse["fresh_tokens"].get<int>(),
            fast["usage"]["prompt_tokens"])
      << reuse;
  const Json exact = ParseJson(Ask({"--kv-reuse", "exact", "--json", question}));
  EXPECT_EQ(exact["usage"]["reuse"]["reused_tokens"], 0);
  // Exactly what the model writes without all this.
  EXPECT_EQ(exact["answer"], ParseJson(Ask({"--json", question}))["answer"]);

  const ProcessResult timed = Ask({"--kv-reuse", "fast", "--timings", question});
  EXPECT_THAT(timed.err, HasSubstr(" reused, "));
  EXPECT_THAT(timed.err, HasSubstr("method: "));
  EXPECT_THAT(timed.err, HasSubstr("first token after "));
  EXPECT_THAT(timed.out, ::testing::Not(HasSubstr("first token")));

  const ProcessResult sound = Cairn(Kv("verify"));
  EXPECT_EQ(sound.exit_code, kOk) << sound.err;
  EXPECT_THAT(sound.err, HasSubstr("sound"));
  EXPECT_EQ(ParseJson(Cairn(Kv("verify", {"--json"})))["chunks"], built["chunks"]);

  EXPECT_EQ(Cairn(Kv("evict", {"--bytes", "1"})).exit_code, kOk);
  EXPECT_LT(Stats()["disk"]["chunks"], built["chunks"]);
  EXPECT_EQ(Cairn(Kv("evict", {"--all"})).exit_code, kOk);
  EXPECT_EQ(Stats()["disk"]["chunks"], 0);
  ExpectSound();
}

TEST_F(KvTest, AnswersKeepWhatTheyReadWhereThatIsAskedFor) {
  const Strings prompt = {"--kv-reuse", "balanced", "--kv-source",
                          "prompt",     "--json",   "How many hearts has animal 3?"};
  const Json first = ParseJson(Ask(prompt));
  EXPECT_EQ(first["usage"]["reuse"]["method"], "full") << first["usage"];
  const uint64_t kept = Stats()["disk"]["chunks"];
  EXPECT_EQ(kept, first["passages"].size());
  const Json again = ParseJson(Ask(prompt));
  EXPECT_GT(again["usage"]["reuse"]["reused_tokens"], 0) << again["usage"];
  EXPECT_EQ(again["answer"], first["answer"]);
  EXPECT_EQ(Stats()["disk"]["chunks"], kept);
  EXPECT_EQ(Cairn(Kv("verify")).exit_code, kOk);
  const ProcessResult built = Build({"--kv-source", "prompt"});
  EXPECT_EQ(built.exit_code, kError);
  EXPECT_THAT(built.err, HasSubstr("kept by answers"));
}

TEST_F(KvTest, WhatIsDamagedIsListedDroppedAndMadeAgain) {
  const Json built = ParseJson(Build({"--json"}));
  const Strings blobs = Blobs();
  ASSERT_GE(blobs.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    std::fstream file(blobs[i], std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-64, std::ios::end);
    file << std::string(64, '\x55');
  }
  const ProcessResult found = Cairn(Kv("verify"));
  EXPECT_EQ(found.exit_code, kNothingFound) << found.err;
  EXPECT_EQ(Lines(found.out).size(), 2u) << found.out;
  EXPECT_THAT(found.err, HasSubstr("2 damaged and dropped; they will be computed again"));
  EXPECT_EQ(ParseJson(Cairn(Kv("verify", {"--json"})))["bad"], 0);
  const Json again = ParseJson(Build({"--json"}));
  EXPECT_EQ(again["chunks"], 2);
  EXPECT_EQ(Stats()["disk"]["chunks"], built["chunks"]);
}

TEST_F(KvTest, WrongUseIsExplained) {
  const std::pair<Strings, const char*> cases[] = {
      {{"kv"}, "kv needs a command"},
      {{"kv", "make"}, "make"},
      {{"kv", "stats"}, "no store named"},
      {Kv("build"), "--model"},
      {Kv("build", {"--model", model_, "--kv-encoding", "f8"}), "--kv-encoding"},
      {Kv("build", {"--model", model_, "--kv-source", "web"}), "--kv-source"},
      {Kv("build", {"--model", model_, "--kv-disk-bytes", "-1"}), "--kv-disk-bytes"},
      {Kv("evict"), "--bytes N or --all"},
      {Kv("evict", {"--bytes", "0"}), "--bytes"},
      {Kv("evict", {"--bytes", "5", "--all"}), "excludes"},
      {OnStore("ask", {"--kv-reuse", "fast", "why?"}), "--model"},
      {OnStore("ask", {"--model", model_, "--kv-reuse", "half", "why?"}), "--kv-reuse"},
      {OnStore("ask", {"--model", model_, "--kv-encoding", "f8", "why?"}), "--kv-encoding"},
      {OnStore("ask", {"--timings", "--json", "why?"}), "excludes"},
      {{"serve", "--store", dir_.file("other"), "--kv-reuse", "fast"}, "--model"},
      {{"serve", "--store", dir_.file("other"), "--kv-build"}, "--model"},
  };
  for (const auto& [command, reason] : cases) {
    const ProcessResult result = Cairn(command);
    EXPECT_EQ(result.exit_code, kUsage) << reason << result.err;
    EXPECT_THAT(result.err, HasSubstr(reason));
    EXPECT_THAT(result.out, IsEmpty());
  }
}

TEST_F(KvTest, WhatIsNotThereIsAnError) {
  for (const Strings& command :
       {Kv("build", {"--model", dir_.file("none.gguf")}),
        Kv("build", {"--model", model_, "--collection", "none"}),
        Kv("stats", {"--collection", "none"}), Strings{"kv", "verify", "--store", dir_.file("no")},
        Strings{"kv", "evict", "--all", "--store", dir_.file("no")}}) {
    const ProcessResult result = Cairn(command);
    EXPECT_EQ(result.exit_code, kError) << ::testing::PrintToString(command) << result.err;
    EXPECT_THAT(result.err, HasSubstr("cairn: "));
    EXPECT_THAT(result.out, IsEmpty());
  }
}

TEST_F(KvTest, AnInterruptedBuildSaysHowFarItCameAndGoesOn) {
  const std::string large = WriteLanguageModel(dir_, 24, "large.gguf");
  std::string lines;
  for (int i = 0; i < 100; ++i) {
    lines += Json({{"_id", "d" + std::to_string(i)},
                   {"text", "Document " + std::to_string(i) + " says as much as it has to."}})
                 .dump() +
             "\n";
  }
  ASSERT_EQ(Ingest({dir_.Write("in.jsonl", lines)}).exit_code, kOk);
  Process process(Options(Kv("build", {"--model", large})));
  while (Blobs().empty()) {
    ASSERT_TRUE(process.RunFor(std::chrono::milliseconds(20))) << process.Wait().err;
  }
  process.Signal(SIGINT);
  const ProcessResult result = process.Wait();
  EXPECT_EQ(result.exit_code, kInterrupted) << result.signal << result.err;
  EXPECT_THAT(result.err, HasSubstr("the next run goes on from there"));
  EXPECT_EQ(Cairn(Kv("verify")).exit_code, kOk);
  ExpectSound();
  const uint64_t made = Stats()["disk"]["chunks"];
  EXPECT_GT(made, 0u);
  const Json rest = ParseJson(Cairn(Kv("build", {"--model", large, "--json"})));
  EXPECT_EQ(rest["known"], made);
  EXPECT_GT(rest["chunks"], 0);
  EXPECT_EQ(rest["documents"], 106);
}

TEST_F(KvTest, SettingsOfTheFileHoldForTheCommandsBelow) {
  const std::string config =
      dir_.Write("config.toml", "store = \"" + store_ + "\"\n[kv]\nmodel = \"" + model_ + "\"\n");
  EXPECT_EQ(Cairn({"--config", config, "kv", "stats"}).exit_code, kOk);
  const ProcessResult built = Cairn({"--config", config, "kv", "build", "--collection", "none"});
  EXPECT_EQ(built.exit_code, kError);
  EXPECT_THAT(built.err, HasSubstr("no collection \"none\""));
  const std::string bad = dir_.Write("bad.toml", "[kv]\nmodels = \"x\"\n");
  const ProcessResult refused = Cairn({"--config", bad, "kv", "stats", "--store", store_});
  EXPECT_EQ(refused.exit_code, kUsage);
  EXPECT_THAT(refused.err, HasSubstr("kv.models"));
}

}  // namespace
}  // namespace cairn::services
