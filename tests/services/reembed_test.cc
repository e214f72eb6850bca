// reembed: another model's vectors for a collection.
#include "tests/services/cli_test.h"
#include "tests/support/model_directory.h"

namespace cairn::services {
namespace {

using ::testing::HasSubstr;

class Reembed : public CliTest {
 protected:
  void SetUp() override {
    model_ = ::cairn::testing::WriteCharacterModel(dir_, "model", 1, 8);
    std::string lines;
    for (int i = 0; i < 300; ++i) {
      lines += Json({{"_id", "d" + std::to_string(i)}, {"text", "word" + std::to_string(i % 7)}})
                   .dump() +
               "\n";
    }
    ASSERT_EQ(Ingest({dir_.Write("in.jsonl", lines)}).exit_code, kOk);
  }

  std::string model_;
};

TEST_F(Reembed, GivesTheCollectionTheOtherModelsVectors) {
  const ProcessResult done = Cairn(OnStore("reembed", {"--embedder", model_, "--json"}));
  ASSERT_EQ(done.exit_code, kOk) << done.err;
  const Json report = ParseJson(done);
  EXPECT_EQ(report["changed"], true);
  EXPECT_EQ(report["documents"], 300);
  ExpectSound();
  const ProcessResult old = Cairn(OnStore("search", {"word3"}));
  EXPECT_EQ(old.exit_code, kError);
  EXPECT_THAT(old.err, HasSubstr("another model"));
  EXPECT_EQ(Cairn(OnStore("search", {"--mode", "lexical", "word3"})).exit_code, kOk);
  EXPECT_EQ(Cairn(OnStore("search", {"--embedder", model_, "word3"})).exit_code, kOk);
  const ProcessResult again = Cairn(OnStore("reembed", {"--embedder", model_}));
  EXPECT_EQ(again.exit_code, kOk);
  EXPECT_THAT(again.err, HasSubstr("nothing to do"));
  const ProcessResult ingest = Ingest({dir_.Write("x.txt", "more")});
  EXPECT_EQ(ingest.exit_code, kError);
  EXPECT_THAT(ingest.err, HasSubstr("cairn reembed"));
}

TEST_F(Reembed, AWriteThatFailsLeavesEverythingAsItWasAndTheRestIsDoneLater) {
  std::string lines;
  for (int i = 0; i < 6000; ++i) {
    lines += Json({{"_id", "more" + std::to_string(i)},
                   {"text", "word" + std::to_string(i % 7) + " other" + std::to_string(i)}})
                 .dump() +
             "\n";
  }
  ASSERT_EQ(Ingest({dir_.Write("more.jsonl", lines)}).exit_code, kOk);
  const Strings query = OnStore("search", {"--json", "word3 other9"});
  const std::string before = Cairn(query).out;
  // Its files may not grow past a size, so it stops somewhere in the middle.
  ProcessOptions options = Options(OnStore("reembed", {"--embedder", model_}));
  options.limits = {{RLIMIT_FSIZE, rlim_t{600} << 10}};
  options.ignored_signals = {SIGXFSZ};
  const ProcessResult failed = Run(std::move(options));
  ASSERT_EQ(failed.exit_code, kError) << failed.err;
  EXPECT_THAT(failed.err, HasSubstr("File too large"));
  ExpectSound();
  EXPECT_EQ(Cairn(query).out, before);
  EXPECT_THAT(Cairn(OnStore("stats")).out, HasSubstr("re-embedding in progress"));
  EXPECT_EQ(Cairn(OnStore("list", {"--limit", "1"})).out, "d0\n");

  const std::string third = ::cairn::testing::WriteCharacterModel(dir_, "third", 3, 8);
  const ProcessResult refused = Cairn(OnStore("reembed", {"--embedder", third}));
  EXPECT_EQ(refused.exit_code, kError);
  EXPECT_THAT(refused.err, HasSubstr("with " + model_));
  EXPECT_THAT(refused.err, HasSubstr("not with " + third));

  const ProcessResult done = Cairn(OnStore("reembed", {"--embedder", model_, "--json"}));
  ASSERT_EQ(done.exit_code, kOk) << done.err;
  const Json report = ParseJson(done);
  EXPECT_GT(report["resumed"], 0);
  EXPECT_EQ(report["resumed"].get<int>() + report["documents"].get<int>(), 6300);
  ExpectSound();
}

TEST_F(Reembed, WhatWasBegunCanBeGivenUp) {
  ProcessOptions options = Options(OnStore("reembed", {"--embedder", model_}));
  options.limits = {{RLIMIT_FSIZE, rlim_t{40} << 10}};
  options.ignored_signals = {SIGXFSZ};
  ASSERT_EQ(Run(std::move(options)).exit_code, kError);
  ASSERT_THAT(Cairn(OnStore("stats")).out, HasSubstr("re-embedding in progress"));
  EXPECT_EQ(Cairn(OnStore("reembed", {"--abort"})).exit_code, kOk);
  EXPECT_THAT(Cairn(OnStore("stats")).out, ::testing::Not(HasSubstr("re-embedding")));
  ExpectSound();
  EXPECT_EQ(Cairn(OnStore("search", {"word3"})).exit_code, kOk);
}

TEST_F(Reembed, WrongUseIsRefused) {
  EXPECT_EQ(Cairn(OnStore("reembed", {"--abort"})).exit_code, kError);
  EXPECT_EQ(Cairn(OnStore("reembed", {"--abort", "--json"})).exit_code, kUsage);
  EXPECT_EQ(Cairn(OnStore("reembed", {"--collection", "none"})).exit_code, kError);
  EXPECT_EQ(Cairn(OnStore("reembed", {"--embedder", dir_.file("none")})).exit_code, kError);
  EXPECT_EQ(Cairn({"reembed"}).exit_code, kUsage);
}

}  // namespace
}  // namespace cairn::services
