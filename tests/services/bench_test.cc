// cairn bench.
#include "tests/services/cli_test.h"

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

}  // namespace
}  // namespace cairn::services
