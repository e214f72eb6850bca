#include "engine/generation/constrained_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "tests/support/fake_language_model.h"

namespace cairn::engine {
namespace {

using cairn::testing::FakeLanguageModel;
using ::testing::HasSubstr;
using Tokens = FakeLanguageModel::Tokens;

class ConstrainedChoice : public ::testing::Test {
 protected:
  absl::StatusOr<std::vector<RankedChoice>> Rank(const Tokens& prompt,
                                                 const std::vector<Tokens>& candidates,
                                                 const ChoiceOptions& options = {}) {
    model_.passes.clear();
    return RankChoices(&model_, pool_.get(), &cache_, prompt, candidates, options);
  }

  // By the definition: each candidate's tokens, one after another.
  double Logprob(Tokens history, const Tokens& candidate, const Tokens& ends) const {
    std::vector<float> logits(model_.vocabulary_size());
    double logprob = 0;
    const auto probability = [&](uint32_t token) {
      double sum = 0;
      for (const float l : logits) sum += std::exp(static_cast<double>(l));
      return std::exp(static_cast<double>(logits[token])) / sum;
    };
    for (const uint32_t token : candidate) {
      model_.Fill(history, absl::MakeSpan(logits));
      logprob += std::log(probability(token));
      history.push_back(token);
    }
    if (ends.empty()) return logprob;
    model_.Fill(history, absl::MakeSpan(logits));
    double end = 0;
    for (const uint32_t token : ends) end += probability(token);
    return logprob + std::log(end);
  }

  FakeLanguageModel model_{40};
  std::unique_ptr<KvPool> pool_ =
      *KvPool::Create(model_.kv_layout(), 200 * model_.kv_layout().page_bytes());
  PrefixCache cache_{100};
};

TEST_F(ConstrainedChoice, GivesEveryCandidatesOwnProbability) {
  std::mt19937 rng(1);
  for (int round = 0; round < 60; ++round) {
    Tokens prompt(1 + rng() % 150);
    for (uint32_t& t : prompt) t = static_cast<uint32_t>(rng() % 40);
    ChoiceOptions options;
    options.max_rows = 1 + rng() % 12;
    options.per_token = round % 2 == 0;
    if (round % 3 > 0) options.end_tokens = {3, 5};
    std::vector<Tokens> candidates(1 + rng() % 8);
    for (Tokens& c : candidates) {
      c.resize((options.end_tokens.empty() ? 1 : 0) + rng() % 6);
      for (uint32_t& t : c) t = static_cast<uint32_t>(rng() % 2);  // Much in common.
    }
    const auto ranked = Rank(prompt, candidates, options);
    ASSERT_TRUE(ranked.ok()) << ranked.status();
    ASSERT_EQ(ranked->size(), candidates.size());
    for (size_t i = 0; i < ranked->size(); ++i) {
      const RankedChoice& choice = (*ranked)[i];
      EXPECT_NEAR(choice.logprob, Logprob(prompt, candidates[choice.index], options.end_tokens),
                  1e-4);
      EXPECT_EQ(choice.tokens,
                candidates[choice.index].size() + (options.end_tokens.empty() ? 0 : 1));
      if (i == 0) continue;
      const RankedChoice& better = (*ranked)[i - 1];
      if (options.per_token) {
        EXPECT_GE(better.logprob_per_token(), choice.logprob_per_token());
      } else {
        EXPECT_GE(better.logprob, choice.logprob);
      }
      if (better.logprob == choice.logprob) {
        EXPECT_TRUE(options.per_token || better.index < choice.index);
      }
    }
    EXPECT_EQ(pool_->pages_in_use(), cache_.statistics().pages);
  }
}

TEST_F(ConstrainedChoice, SingleTokensNeedThePromptsPassAlone) {
  ASSERT_TRUE(Rank({1, 2, 3}, {{7}, {8}, {9}}).ok());
  ASSERT_EQ(model_.passes.size(), 1u);
  EXPECT_EQ(model_.computed_tokens(), 3u);
}

TEST_F(ConstrainedChoice, WhatCandidatesShareIsComputedOnceAndBranchesTogether) {
  ASSERT_TRUE(Rank({1, 2, 3}, {{4, 5, 6, 7}, {4, 5, 8, 9}, {4, 5, 8, 10}}).ok());
  // The prompt; 4 5; then 6, and 8.
  EXPECT_EQ(model_.passes.size(), 3u);
  EXPECT_EQ(model_.computed_tokens(), 3u + 2 + 2);
}

TEST_F(ConstrainedChoice, APromptThatIsKnownIsNotComputedAgain) {
  const Tokens prompt(130, 6);
  ASSERT_TRUE(Rank(prompt, {{3}}).ok());
  EXPECT_EQ(model_.computed_tokens(), 130u);
  const auto ranked = Rank(prompt, {{1}, {2}});
  ASSERT_TRUE(ranked.ok());
  EXPECT_EQ(model_.computed_tokens(), 2u);
  EXPECT_NEAR((*ranked)[0].logprob, Logprob(prompt, {(*ranked)[0].index == 0 ? 1u : 2u}, {}), 1e-4);
}

TEST_F(ConstrainedChoice, ALongerCandidateCanBeatItsBeginningOnlyWhereTheEndCounts) {
  model_.adjust = [](absl::Span<const uint32_t> history, absl::Span<float> logits) {
    for (float& l : logits) l = 0;
    if (history.size() == 1) logits[10] = 10;  // Then surely 11, and then the end, 0.
    if (history.size() == 2) logits[11] = 10;
    if (history.size() == 3) logits[0] = 10;
  };
  EXPECT_EQ(Rank({1}, {{10, 11}, {10}})->front().index, 1u);
  ChoiceOptions options;
  options.end_tokens = {0};
  EXPECT_EQ(Rank({1}, {{10, 11}, {10}}, options)->front().index, 0u);
}

TEST_F(ConstrainedChoice, EqualCandidatesKeepTheirOrder) {
  const auto ranked = Rank({1}, {{2, 3}, {2, 3}});
  EXPECT_EQ((*ranked)[0].index, 0u);
  EXPECT_EQ((*ranked)[0].logprob, (*ranked)[1].logprob);
}

TEST_F(ConstrainedChoice, RefusesWhatCannotBeRanked) {
  const auto fault = [&](const Tokens& prompt, const std::vector<Tokens>& candidates) {
    const absl::Status status = Rank(prompt, candidates).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    return std::string(status.message());
  };
  EXPECT_THAT(fault({1}, {}), HasSubstr("nothing to choose from"));
  EXPECT_THAT(fault({}, {{1}}), HasSubstr("the prompt has no tokens"));
  EXPECT_THAT(fault({1}, {{1}, {}}), HasSubstr("choice 2 is empty"));
  EXPECT_THAT(fault({1}, {{1, 40}}), HasSubstr("token 40"));
  ChoiceOptions options;
  options.end_tokens = {40};
  EXPECT_TRUE(absl::IsInvalidArgument(Rank({1}, {{1}}, options).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Rank(Tokens(4096, 1), {{1, 2}}).status()));
}

TEST_F(ConstrainedChoice, TheModelsFaultsAndThePoolsAreReported) {
  pool_ = *KvPool::Create(model_.kv_layout(), 2 * model_.kv_layout().page_bytes());
  EXPECT_TRUE(absl::IsResourceExhausted(Rank(Tokens(130, 1), {{1}}).status()));
  model_.adjust = [](absl::Span<const uint32_t>, absl::Span<float> logits) {
    logits[3] = std::numeric_limits<float>::quiet_NaN();
  };
  EXPECT_TRUE(absl::IsInternal(Rank({1}, {{1}}).status()));
  model_.before_pass = [] { return absl::DataLossError("torn"); };
  EXPECT_TRUE(absl::IsDataLoss(Rank({1}, {{1}}).status()));
}

}  // namespace
}  // namespace cairn::engine
