#include "engine/kv/reuse_controller.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cairn::engine {
namespace {

using ::testing::HasSubstr;

// Six chunks and a question for a model that would take six seconds.
ReusePrompt Usual() {
  ReusePrompt prompt;
  prompt.layers = 24;
  prompt.rows = 3100;
  prompt.cached_rows = 3000;
  prompt.cached_bytes = 40 << 20;
  return prompt;
}

TEST(ReuseController, RecomputesTheShareThatWasAskedFor) {
  const ReuseController controller;
  const ReuseDecision decision = controller.Decide(Usual());
  EXPECT_EQ(decision.options.method, ReuseMethod::kCacheBlend);
  EXPECT_DOUBLE_EQ(decision.options.share, 0.15);
  ReusePrompt fast = Usual();
  fast.quality = ReuseQuality::kFast;
  EXPECT_EQ(controller.Decide(fast).options.method, ReuseMethod::kReposition);
  ReusePrompt exact = Usual();
  exact.quality = ReuseQuality::kExact;
  EXPECT_EQ(controller.Decide(exact).options.method, ReuseMethod::kFull);
}

TEST(ReuseController, ChunksThatKnowTheirDocumentsAreLeftAsTheyAre) {
  ReusePrompt prompt = Usual();
  prompt.source = KvSource::kDocument;
  const ReuseDecision decision = ReuseController().Decide(prompt);
  EXPECT_EQ(decision.options.method, ReuseMethod::kReposition);
  EXPECT_THAT(decision.reason, HasSubstr("documents"));
  prompt.quality = ReuseQuality::kExact;
  EXPECT_EQ(ReuseController().Decide(prompt).options.method, ReuseMethod::kFull);
}

TEST(ReuseController, ChunksThatHaveSeenAPromptAreMendedByTheirContext) {
  ReusePrompt prompt = Usual();
  prompt.source = KvSource::kPrompt;
  prompt.fix_rows = 600;
  const ReuseDecision decision = ReuseController().Decide(prompt);
  EXPECT_EQ(decision.options.method, ReuseMethod::kCacheCraft);
  EXPECT_THAT(decision.reason, HasSubstr("share 0.20"));
  // Half of them at most, which is worth it still.
  prompt.fix_rows = 3000;
  EXPECT_EQ(ReuseController().Decide(prompt).options.method, ReuseMethod::kCacheCraft);
  EXPECT_DOUBLE_EQ(ReuseController().Decide(prompt).options.share, 0.5);
  EXPECT_EQ(ReuseController({.most_share = 0.95}).Decide(prompt).options.method,
            ReuseMethod::kFull);
  prompt.quality = ReuseQuality::kFast;
  EXPECT_EQ(ReuseController().Decide(prompt).options.method, ReuseMethod::kReposition);
}

TEST(ReuseController, AGateThatDoesNotHoldMeansEverything) {
  ReusePrompt prompt = Usual();
  prompt.gates = "moved keys differs by 3";
  const ReuseDecision decision = ReuseController().Decide(prompt);
  EXPECT_EQ(decision.options.method, ReuseMethod::kFull);
  EXPECT_THAT(decision.reason, HasSubstr("moved keys differs by 3"));
}

TEST(ReuseController, WithoutCachesEverythingIsComputed) {
  ReusePrompt prompt = Usual();
  prompt.cached_rows = 0;
  prompt.cached_bytes = 0;
  prompt.missing_chunks = 6;
  EXPECT_EQ(ReuseController().Decide(prompt).options.method, ReuseMethod::kFull);
  prompt = Usual();
  prompt.missing_chunks = 2;
  prompt.cached_rows = 2000;
  const ReuseDecision some = ReuseController().Decide(prompt);
  EXPECT_EQ(some.options.method, ReuseMethod::kCacheBlend);
  EXPECT_THAT(some.reason, HasSubstr("2"));
}

TEST(ReuseController, BelowTheBreakEvenEverythingIsComputed) {
  ReusePrompt prompt = Usual();
  prompt.rows = 1000;
  prompt.cached_rows = 60;
  EXPECT_EQ(ReuseController().Decide(prompt).options.method, ReuseMethod::kFull);
  // Nor where loading takes longer than computing.
  prompt = Usual();
  prompt.cached_bytes = uint64_t{40} << 30;
  const ReuseDecision slow = ReuseController().Decide(prompt);
  EXPECT_EQ(slow.options.method, ReuseMethod::kFull);
  EXPECT_THAT(slow.reason, HasSubstr("break-even"));
}

TEST(ReuseController, TheShareRisesWhileLoadingTakesLongerThanIt) {
  ReuseController controller;
  ReuseUsage usage;
  usage.charged = 0.5;
  usage.compute_seconds = 2;  // 775 rows a second.
  usage.loaded_bytes = 40 << 20;
  usage.load_seconds = 1.2;
  controller.Learn(usage, 3100);
  const ReuseDecision decision = controller.Decide(Usual());
  EXPECT_GT(decision.options.share, 0.25);
  EXPECT_LE(decision.options.share, 0.5);
}

TEST(ReuseController, LearnsFromWhatItMeasured) {
  ReuseController controller;
  ReuseUsage usage;
  usage.charged = 1;
  usage.compute_seconds = 0.1;  // Thirty times as fast as it thought.
  usage.loaded_bytes = 1 << 20;
  usage.load_seconds = 1;  // And loading five hundred times slower.
  for (int i = 0; i < 20; ++i) controller.Learn(usage, 1500);
  EXPECT_EQ(controller.Decide(Usual()).options.method, ReuseMethod::kFull);
}

}  // namespace
}  // namespace cairn::engine
