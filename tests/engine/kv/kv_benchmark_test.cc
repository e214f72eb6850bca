#include "engine/kv/kv_benchmark.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/random_checkpoint.h"

namespace cairn::engine {
namespace {

using cairn::testing::RandomCheckpoint;
using cairn::testing::SmallConfig;
using ::testing::HasSubstr;

KvBenchmarkOptions Small() {
  KvBenchmarkOptions options;
  options.decoder.threads = 1;
  options.decoder.kv_type = kernels::KvType::kF32;
  options.decoder.compute = kernels::ComputeType::kF32;
  options.preface_tokens = 4;
  options.chunks = 3;
  options.chunk_tokens = 40;
  options.question_tokens = 5;
  options.repeat = 2;
  return options;
}

class KvBenchmarkTest : public ::testing::Test {
 protected:
  const RandomCheckpoint checkpoint_{SmallConfig(Architecture::kLlama), kernels::BlockFormat::kF32};
};

TEST_F(KvBenchmarkTest, EveryArmSaysWhereThePromptsTokensWent) {
  for (KvSource source : {KvSource::kIsolated, KvSource::kPreface, KvSource::kDocument}) {
    KvBenchmarkOptions options = Small();
    options.source = source;
    const auto result = BenchmarkKv(checkpoint_, options);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->prompt_tokens, 129u);
    EXPECT_LT(result->largest_difference, 1e-3);
    EXPECT_GT(result->peak_memory, 0u);
    ASSERT_FALSE(result->arms.empty());
    EXPECT_EQ(result->arms[0].name, "prefill");
    EXPECT_EQ(result->arms[0].speedup, 1);
    std::set<std::pair<std::string, std::string>> names;
    for (const KvArmResult& arm : result->arms) {
      EXPECT_TRUE(names.emplace(arm.name, arm.tier).second) << arm.name;
      EXPECT_EQ(arm.all_seconds.size(), 2u);
      EXPECT_GT(arm.seconds, 0);
      const ReuseUsage& usage = arm.usage;
      EXPECT_EQ(
          usage.exact_tokens + usage.reused_tokens + usage.recomputed_tokens + usage.fresh_tokens,
          129u)
          << arm.name;
    }
    const KvArmResult* reposition = result->Find("reposition", "memory");
    ASSERT_NE(reposition, nullptr);
    EXPECT_EQ(reposition->usage.reused_tokens, 120u);
    EXPECT_NEAR(reposition->usage.charged, 9 / 129., 1e-9);
    const KvArmResult* blend = result->Find("cacheblend 15%", "memory");
    ASSERT_NE(blend, nullptr);
    EXPECT_EQ(blend->usage.recomputed_tokens, 18u);
    EXPECT_EQ(result->Find("cacheblend 15%", "disk"), nullptr);
  }
}

// Hands out what it was made of, and counts.
class CountingTier final : public ChunkTier {
 public:
  CountingTier(const std::vector<BenchmarkChunk>& chunks, std::vector<std::string>* calls)
      : calls_(calls) {
    for (const BenchmarkChunk& chunk : chunks) kvs_.push_back(chunk.kv);
  }
  absl::Status Prepare() override {
    calls_->push_back("prepare");
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<std::shared_ptr<const ChunkKv>>> Get() override {
    calls_->push_back("get");
    return kvs_;
  }

 private:
  std::vector<std::shared_ptr<const ChunkKv>> kvs_;
  std::vector<std::string>* const calls_;
};

TEST_F(KvBenchmarkTest, AnotherTierIsPreparedBeforeEachTurn) {
  std::vector<std::string> calls;
  KvBenchmarkOptions options = Small();
  options.repeat = 1;
  options.tiers.push_back({"elsewhere", [&](const std::vector<BenchmarkChunk>& chunks) {
                             EXPECT_EQ(chunks.size(), 3u);
                             return std::make_unique<CountingTier>(chunks, &calls);
                           }});
  const auto result = BenchmarkKv(checkpoint_, options);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_NE(result->Find("reposition", "elsewhere"), nullptr);
  EXPECT_NE(result->Find("cacheblend 15%", "elsewhere"), nullptr);
  EXPECT_EQ(calls, (std::vector<std::string>{"prepare", "get", "prepare", "get"}));
}

TEST_F(KvBenchmarkTest, WhatCannotBeMeasuredIsSaid) {
  const auto fails = [&](void (*change)(KvBenchmarkOptions*), const char* message) {
    KvBenchmarkOptions options = Small();
    change(&options);
    const auto result = BenchmarkKv(checkpoint_, options);
    EXPECT_TRUE(absl::IsInvalidArgument(result.status())) << result.status();
    EXPECT_THAT(std::string(result.status().message()), HasSubstr(message));
  };
  fails([](KvBenchmarkOptions* o) { o->chunks = 0; }, "0 chunks");
  fails([](KvBenchmarkOptions* o) { o->chunk_tokens = 0; }, "chunks of 0 tokens");
  fails([](KvBenchmarkOptions* o) { o->question_tokens = 0; }, "question of 0 tokens");
  fails([](KvBenchmarkOptions* o) { o->repeat = 0; }, "0 times");
  fails([](KvBenchmarkOptions* o) { o->shares = {1.5}; }, "between 0 and 1");
  fails([](KvBenchmarkOptions* o) { o->chunk_tokens = 2000; }, "context of 4096");
}

TEST(OpenSynthetic, KnowsTheShapes) {
  const auto none = OpenSynthetic("gpt-9", kernels::BlockFormat::kQ8_0, 1);
  EXPECT_TRUE(absl::IsNotFound(none.status()));
  EXPECT_THAT(std::string(none.status().message()), HasSubstr("qwen2.5-0.5b"));
}

}  // namespace
}  // namespace cairn::engine
