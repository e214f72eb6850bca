// cairn bench.
#include "tests/services/cli_test.h"
#include "tests/support/shared_data.h"

namespace cairn::services {
namespace {

using ::testing::HasSubstr;

class BenchCommand : public CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    const ProcessResult made = Cairn({"model", "synthesize", "--shape", "smollm-135m", "--type",
                                      "q8_0", "--layers", "1", "--vocabulary", "300", model_});
    ASSERT_EQ(made.exit_code, kOk) << made.err;
  }
  const std::string model_ = dir_.file("m.gguf");
};

TEST_F(BenchCommand, EveryFigureThatWasAskedForIsThere) {
  const Json json =
      ParseJson(Cairn({"bench", "model", "--json", "--prefill", "8,16", "--decode", "2",
                       "--context", "70,100", "--threads", "2", "--kv", "int8", model_}));
  ASSERT_EQ(json["prefill"].size(), 2u);
  EXPECT_EQ(json["prefill"][1]["tokens"], 16);
  EXPECT_GT(json["prefill"][1]["tokens_per_second"], 0);
  EXPECT_GT(json["decode"]["tokens_per_second"], 0);
  EXPECT_GT(json["decode"]["limit_tokens_per_second"], 0);
  ASSERT_EQ(json["decode_behind"].size(), 2u);
  EXPECT_EQ(json["decode_behind"][1]["context"], 100);
  EXPECT_GT(json["decode_behind"][1]["tokens_per_second"], 0);
  EXPECT_EQ(json["kv"], "int8");
  EXPECT_EQ(json["threads"], 2);
  EXPECT_GT(json["weight_bytes"], 3'000'000);
  EXPECT_GT(json["peak_rss_bytes"], json["weight_bytes"]);

  const ProcessResult plain = Cairn({"bench", "model", "--prefill", "8", "--decode", "2", model_});
  EXPECT_EQ(plain.exit_code, kOk) << plain.err;
  EXPECT_THAT(plain.out, HasSubstr("prefill of      8 "));
  EXPECT_THAT(plain.out, HasSubstr("of limit"));
}

TEST_F(BenchCommand, WhatCannotBeMeasuredIsSaid) {
  const auto fails = [&](Strings more, const char* message) {
    Strings arguments = {"bench", "model"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProcessResult result = Cairn(arguments);
    EXPECT_NE(result.exit_code, kOk);
    EXPECT_THAT(result.err, HasSubstr(message));
  };
  fails({model_, "--prefill", "0"}, "0 tokens");
  fails({model_, "--decode", "0", "--context", "10"}, "0 tokens to decode");
  fails({model_, "--prefill", "1000000"}, "do not fit");
  fails({model_, "--kv", "f8"}, "--kv");
  fails({model_ + ".none"}, "m.gguf.none");
}

// The last line that was printed.
nlohmann::json LastLine(const std::string& out) {
  const size_t end = out.find_last_not_of('\n');
  const size_t begin = out.find_last_of('\n', end);
  return nlohmann::json::parse(out.substr(begin == std::string::npos ? 0 : begin + 1), nullptr,
                               false);
}

TEST_F(BenchCommand, TimesOfReuseEndWithALineOfJson) {
  const ProcessResult result =
      Cairn({"bench", "kv", "--model", model_, "--chunks", "2", "--chunk-tokens", "40",
             "--question-tokens", "4", "--repeat", "1", "--threads", "2", "--kv-encoding", "int8",
             "--plot", dir_.file("t.svg"), "--json"});
  ASSERT_EQ(result.exit_code, kOk) << result.err;
  EXPECT_THAT(result.out, HasSubstr("cacheblend 15%"));
  const Json json = LastLine(result.out);
  ASSERT_TRUE(json.is_object()) << result.out;
  EXPECT_GT(json["ttft_full_seconds"], 0);
  EXPECT_GT(json["ttft_speedup_r15"], 0);
  EXPECT_GT(json["ttft_speedup_reposition"], 0);
  EXPECT_GT(json["ttft_speedup_r15_disk_cold"], 0);
  EXPECT_GT(json["peak_memory_bytes"], 0);
  EXPECT_EQ(json["prompt_tokens"], 100);
  EXPECT_EQ(json["arms"][0]["name"], "prefill");
  EXPECT_EQ(json["arms"][2]["reused_tokens"], 80);
  EXPECT_EQ(json["kv_encoding"], "int8");
  EXPECT_THAT(::cairn::testing::ReadFileOrDie(dir_.file("t.svg")), HasSubstr("</svg>"));
}

TEST_F(BenchCommand, ManyPromptsAreTimedByQuarter) {
  const ProcessResult result =
      Cairn({"bench", "kv", "--model", model_, "--queries", "12", "--documents", "4", "--chunks",
             "2", "--chunk-tokens", "20", "--threads", "1", "--json"});
  ASSERT_EQ(result.exit_code, kOk) << result.err;
  const Json json = LastLine(result.out);
  ASSERT_EQ(json["windows"].size(), 4u) << result.out;
  for (const Json& window : json["windows"]) {
    EXPECT_EQ(window["queries"], 3);
    const double memory = window["memory_hit_rate"], disk = window["disk_hit_rate"];
    EXPECT_DOUBLE_EQ(memory + disk, 1) << result.out;
    EXPECT_GT(window["ttft_median_seconds"], 0);
  }
  EXPECT_GT(json["ttft_slowdown"], 0);
}

TEST_F(BenchCommand, AReaderAnswersQuestions) {
  const std::string questions = dir_.Write(
      "q.jsonl",
      R"({"kind":"inside","setting":"retrieved","documents":[["one two ","three "],["four "]],)"
      R"("context":[[1,0],[0,1]],"gold":[[0,1]],"preface":"Read: ","question":"A?","answer":"x"})"
      "\n");
  const ProcessResult result =
      Cairn({"bench", "kv", "--reader", model_, "--questions", questions, "--arms", "few",
             "--threads", "1", "--plot", dir_.file("q.svg"), "--json"});
  ASSERT_EQ(result.exit_code, kOk) << result.err;
  EXPECT_THAT(result.out, HasSubstr("document/reposition"));
  const Json json = LastLine(result.out);
  ASSERT_TRUE(json.is_object()) << result.out;
  EXPECT_EQ(json["questions"], 1);
  EXPECT_EQ(json["arms"][0]["name"], "full prefill");
  EXPECT_EQ(json["arms"][0]["scores"][0]["setting"], "retrieved");
  EXPECT_EQ(json["arms"][0]["scores"][0]["kl"], 0);
  EXPECT_THAT(::cairn::testing::ReadFileOrDie(dir_.file("q.svg")), HasSubstr("</svg>"));
}

TEST_F(BenchCommand, WhatReuseCannotBeMeasuredWithIsSaid) {
  const auto fails = [&](Strings more, int code, const char* message) {
    Strings arguments = {"bench", "kv"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProcessResult result = Cairn(arguments);
    EXPECT_EQ(result.exit_code, code) << result.err;
    EXPECT_THAT(result.err, HasSubstr(message));
  };
  fails({}, kUsage, "one of --model, --shape and --reader");
  fails({"--model", model_, "--shape", "smollm-135m"}, kUsage, "one of");
  fails({"--shape", "gpt-9"}, kUsage, "smollm-135m");
  fails({"--shape", "smollm-135m", "--format", "q9"}, kUsage, "no format \"q9\"");
  fails({"--model", model_ + ".none"}, kError, "m.gguf.none");
  fails({"--model", model_, "--chunks", "0"}, kUsage, "0 chunks");
  fails({"--model", model_, "--chunk-tokens", "10000"}, kUsage, "does not fit");
  fails({"--model", model_, "--source", "web"}, kUsage, "--source");
  fails({"--model", model_, "--queries", "2"}, kUsage, "at least 4 queries");
  fails({"--model", model_, "--queries", "9", "--documents", "0"}, kUsage, "fewer chunks");
  fails({"--reader", model_}, kUsage, "go together");
  fails({"--reader", model_, "--questions", dir_.file("none")}, kError, "none");
  fails({"--reader", model_, "--questions", dir_.Write("bad.jsonl", "\n{}\n")}, kError,
        "bad.jsonl:2: ");
}

}  // namespace
}  // namespace cairn::services
