#include "engine/kv/reader_benchmark.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "tests/engine/kv/kv_subject.h"
#include "tests/support/random_checkpoint.h"

namespace cairn::engine {
namespace {

using cairn::testing::RandomCheckpoint;
using cairn::testing::SmallConfig;
using ::testing::HasSubstr;
using testing::SomeTokens;

ReaderQuestion SomeQuestion(size_t salt) {
  ReaderQuestion question;
  question.kind = salt % 2 == 0 ? "inside" : "earlier";
  question.setting = salt % 3 == 0 ? "in_order" : "retrieved";
  for (size_t d = 0; d < 3; ++d) {
    question.documents.push_back({SomeTokens(20, 10 * salt + d), SomeTokens(13, 11 * salt + d),
                                  SomeTokens(17, 12 * salt + d)});
  }
  question.context = {{0, 1}, {2, 2}, {1, 0}};
  if (salt % 3 == 0) question.context = {{0, 0}, {0, 1}, {0, 2}};
  question.preface = SomeTokens(5, 3);
  question.question = SomeTokens(7, salt);
  question.answer = static_cast<uint32_t>(salt % 97);
  return question;
}

std::vector<ReaderQuestion> SomeQuestions(size_t count) {
  std::vector<ReaderQuestion> questions;
  for (size_t q = 0; q < count; ++q) questions.push_back(SomeQuestion(q));
  return questions;
}

class ReaderBenchmarkTest : public ::testing::Test {
 protected:
  static ReaderBenchmarkOptions Exact() {
    ReaderBenchmarkOptions options;
    options.decoder.threads = 2;
    options.decoder.kv_type = kernels::KvType::kF32;
    options.decoder.compute = kernels::ComputeType::kF32;
    options.encoding = KvEncoding::kF32;
    options.arms = ReaderArmSet::kFew;
    options.resamples = 100;
    return options;
  }
  const RandomCheckpoint checkpoint_{SmallConfig(Architecture::kLlama), kernels::BlockFormat::kF32};
};

TEST_F(ReaderBenchmarkTest, WhatIsComputedOrOnesOwnIsAsTheFullPrefill) {
  const auto result = BenchmarkReader(checkpoint_, SomeQuestions(4), Exact());
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->questions, 4u);
  EXPECT_EQ(result->layers, 3u);
  for (const char* setting : {"in_order", "retrieved"}) {
    for (const char* arm : {"full prefill", "own caches in f32", "isolated/everything"}) {
      const ReaderScore* score = result->Find(arm, setting, "");
      ASSERT_NE(score, nullptr) << arm;
      EXPECT_LT(score->divergence, 1e-5) << arm;
      EXPECT_EQ(score->agreement, 1) << arm;
      EXPECT_NEAR(score->loss_gap, 0, 1e-3) << arm;
      EXPECT_EQ(score->difference.mean, 0) << arm;
    }
    EXPECT_NEAR(result->Find("full prefill", setting, "")->charged, 1, 1e-6);
    EXPECT_NEAR(result->Find("isolated/everything", setting, "")->charged, 1, 1e-6);
    // Stored more coarsely, they are farther from it.
    const double half = result->Find("own caches in f16", setting, "")->divergence;
    const double eight = result->Find("own caches in int8", setting, "")->divergence;
    EXPECT_LT(result->Find("own caches in f32", setting, "")->divergence, half);
    EXPECT_LT(half, eight);
    EXPECT_LT(eight, result->Find("isolated/reposition", setting, "")->divergence);
    EXPECT_GT(result->Find("no context", setting, "")->divergence, 1e-3);
  }
  // A whole document in order is what its slices have seen.
  EXPECT_LT(result->Find("document/reposition", "in_order", "")->divergence, 1e-5);
  EXPECT_GT(result->Find("document/reposition", "retrieved", "")->divergence, 1e-4);
  EXPECT_GT(result->Find("isolated/no reposition", "in_order", "")->divergence, 1e-4);
}

TEST_F(ReaderBenchmarkTest, CostsAreCharged) {
  const auto result = BenchmarkReader(checkpoint_, {SomeQuestion(1)}, Exact());
  ASSERT_TRUE(result.ok()) << result.status();
  const auto charged = [&](const char* arm) {
    const ReaderScore* score = result->Find(arm, "retrieved", "");
    EXPECT_NE(score, nullptr) << arm;
    return score == nullptr ? 0 : score->charged;
  };
  // Of 62 tokens 12 are no chunk's.
  EXPECT_NEAR(charged("no context"), 12 / 62., 1e-6);
  EXPECT_NEAR(charged("preface/reposition"), 12 / 62., 1e-6);
  EXPECT_NEAR(charged("preface/random 50%"), (12 + 25) / 62., 1e-6);
  EXPECT_NEAR(charged("preface/oracle 50%"), (12 + 25) / 62., 1e-6);
  EXPECT_GT(charged("preface/cacheblend kv 5%"), 2 / 3.);
  EXPECT_LT(charged("preface/cacheblend kv 5%"), charged("preface/cacheblend kv 50%"));
}

TEST_F(ReaderBenchmarkTest, IsTheSameWhateverTheThreads) {
  ReaderBenchmarkOptions options = Exact();
  const auto two = BenchmarkReader(checkpoint_, SomeQuestions(9), options);
  options.decoder.threads = 1;
  const auto one = BenchmarkReader(checkpoint_, SomeQuestions(9), options);
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_EQ(two->threads, 2u);
  ASSERT_EQ(one->arms.size(), two->arms.size());
  for (size_t a = 0; a < one->arms.size(); ++a) {
    for (size_t s = 0; s < one->arms[a].scores.size(); ++s) {
      EXPECT_EQ(one->arms[a].scores[s].divergence, two->arms[a].scores[s].divergence)
          << one->arms[a].arm.Name();
    }
  }
}

TEST_F(ReaderBenchmarkTest, ScoresAreGroupedAndLimited) {
  ReaderBenchmarkOptions options = Exact();
  options.limit = 6;
  size_t calls = 0;
  options.on_progress = [&](size_t, size_t all) {
    EXPECT_EQ(all, 6u);
    ++calls;
  };
  const auto result = BenchmarkReader(checkpoint_, SomeQuestions(12), options);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(calls, 6u);
  size_t questions = 0;
  for (const ReaderScore& score : result->arms[0].scores) {
    if (score.kind.empty()) questions += score.questions;
  }
  EXPECT_EQ(questions, 6u);
}

TEST_F(ReaderBenchmarkTest, WhatDoesNotFitIsSaid) {
  ReaderBenchmarkOptions options = Exact();
  options.decoder.context_length = 40;
  const auto result = BenchmarkReader(checkpoint_, SomeQuestions(2), options);
  EXPECT_TRUE(absl::IsInvalidArgument(result.status()));
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("question 1"));
  EXPECT_TRUE(absl::IsInvalidArgument(BenchmarkReader(checkpoint_, {}, Exact()).status()));
}

TEST(ReaderArms, HaveNamesOfTheirOwn) {
  for (ReaderArmSet set : {ReaderArmSet::kFew, ReaderArmSet::kAll}) {
    for (size_t layers : {2, 8, 24}) {
      std::set<std::string> names;
      for (const ReaderArm& arm : MakeReaderArms(set, layers)) {
        EXPECT_TRUE(names.insert(arm.Name()).second) << arm.Name();
      }
      EXPECT_EQ(names.count("document/cacheblend kv 15%"), 1u);
    }
  }
}

}  // namespace
}  // namespace cairn::engine
