#include "engine/generation/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <vector>

namespace cairn::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> Logarithms(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p)) + 3);
  return logits;
}

std::vector<float> RandomLogits(size_t count, uint32_t seed) {
  std::mt19937 rng(seed);
  std::vector<float> logits(count);
  for (float& l : logits) l = static_cast<float>(rng() % 10000) / 500 - 10;
  return logits;
}

// How often each token comes in `draws` draws.
std::map<uint32_t, int> Draws(const SamplingOptions& options, const std::vector<float>& logits,
                              int draws, const std::vector<uint32_t>& history = {}) {
  Sampler sampler(options);
  std::map<uint32_t, int> counts;
  for (int i = 0; i < draws; ++i) ++counts[sampler.Sample(logits, history)->id];
  return counts;
}

std::set<uint32_t> Support(const SamplingOptions& options, const std::vector<float>& logits) {
  std::set<uint32_t> tokens;
  for (const auto& [id, count] : Draws(options, logits, 3000)) tokens.insert(id);
  return tokens;
}

TEST(Sampler, GreedyTakesTheLargestAndTheFirstOfEquals) {
  for (const size_t size : {1, 2, 15, 16, 17, 1023, 1024, 1025, 5000}) {
    std::vector<float> logits = RandomLogits(size, static_cast<uint32_t>(size));
    const auto largest = std::max_element(logits.begin(), logits.end()) - logits.begin();
    EXPECT_EQ(*LargestLogit(logits), static_cast<uint32_t>(largest)) << size;
    for (const size_t at : {size_t{0}, size / 2, size - 1}) {
      std::vector<float> peak = logits;
      peak[at] = 99;
      peak[size - 1] = 99;
      EXPECT_EQ(Sampler({}).Sample(peak, {})->id, at) << size;
    }
  }
}

TEST(Sampler, DamagedLogitsAreAnErrorWhereverTheyAre) {
  for (const float temperature : {0.0f, 1.0f}) {
    SamplingOptions options;
    options.temperature = temperature;
    for (const size_t at : {0, 15, 16, 1024, 1499}) {
      for (const float bad : {kNan, kInfinity}) {
        std::vector<float> logits = RandomLogits(1500, 1);
        logits[at] = bad;
        EXPECT_TRUE(absl::IsInternal(Sampler(options).Sample(logits, {}).status())) << at;
      }
    }
    const std::vector<float> nothing(40, -kInfinity);
    EXPECT_TRUE(absl::IsInternal(Sampler(options).Sample(nothing, {}).status()));
  }
}

TEST(Sampler, TokensOfProbabilityZeroAreNeverDrawn) {
  SamplingOptions options;
  options.temperature = 5;
  std::vector<float> logits(50, -kInfinity);
  logits[7] = logits[31] = 0;
  EXPECT_EQ(Support(options, logits), (std::set<uint32_t>{7, 31}));
  options.top_k = 10;
  EXPECT_EQ(Support(options, logits), (std::set<uint32_t>{7, 31}));
}

TEST(Sampler, DrawsFollowTheModelsDistribution) {
  SamplingOptions options;
  options.temperature = 1;
  const auto counts = Draws(options, Logarithms({0.5, 0.3, 0.15, 0.05}), 40000);
  EXPECT_NEAR(counts.at(0), 20000, 500);
  EXPECT_NEAR(counts.at(1), 12000, 500);
  EXPECT_NEAR(counts.at(2), 6000, 400);
  EXPECT_NEAR(counts.at(3), 2000, 250);
}

TEST(Sampler, TemperatureSharpensAndFlattens) {
  SamplingOptions options;
  options.temperature = 0.5;  // Squares probabilities: 0.64 and 0.04 become 16 : 1.
  EXPECT_NEAR(Draws(options, Logarithms({0.8, 0.2}), 17000).at(1), 1000, 150);
  options.temperature = 2;  // Roots: 2 : 1.
  EXPECT_NEAR(Draws(options, Logarithms({0.8, 0.2}), 30000).at(1), 10000, 400);
  options.temperature = 1e-30f;
  EXPECT_EQ(Support(options, Logarithms({0.3, 0.4, 0.3})), (std::set<uint32_t>{1}));
}

TEST(Sampler, TopKKeepsTheMostLikely) {
  SamplingOptions options;
  options.temperature = 3;
  options.top_k = 2;
  EXPECT_EQ(Support(options, Logarithms({0.1, 0.4, 0.2, 0.3})), (std::set<uint32_t>{1, 3}));
  options.top_k = 1;
  EXPECT_EQ(Support(options, Logarithms({0.1, 0.4, 0.2, 0.3})), (std::set<uint32_t>{1}));
  options.top_k = 100;
  EXPECT_EQ(Support(options, Logarithms({0.1, 0.4, 0.2, 0.3})).size(), 4u);
  // The smaller id among equals.
  options.top_k = 3;
  EXPECT_EQ(Support(options, std::vector<float>(100, 1.0f)), (std::set<uint32_t>{0, 1, 2}));
}

TEST(Sampler, TopPKeepsTheFewestThatHoldEnough) {
  SamplingOptions options;
  options.temperature = 3;
  options.top_p = 0.65f;
  EXPECT_EQ(Support(options, Logarithms({0.1, 0.4, 0.2, 0.3})), (std::set<uint32_t>{1, 3}));
  options.top_p = 0.75f;
  EXPECT_EQ(Support(options, Logarithms({0.1, 0.4, 0.2, 0.3})), (std::set<uint32_t>{1, 2, 3}));
  options.top_p = 1e-6f;
  EXPECT_EQ(Support(options, Logarithms({0.1, 0.4, 0.2, 0.3})), (std::set<uint32_t>{1}));
}

TEST(Sampler, TopPTakesTheSmallestIdsAmongEquals) {
  SamplingOptions options;
  options.temperature = 1;
  options.top_p = 0.5f;
  const std::vector<float> flat(600, 0.0f);
  const auto counts = Draws(options, flat, 6000);
  EXPECT_EQ(counts.size(), 300u);
  EXPECT_EQ(counts.rbegin()->first, 299u);
}

// Against the definition, on distributions from sharp to flat.
TEST(Sampler, TopPKeepsJustWhatTheDefinitionSays) {
  for (uint32_t seed = 0; seed < 30; ++seed) {
    std::vector<float> logits = RandomLogits(60, seed);
    for (float& l : logits) l *= static_cast<float>(seed % 6 + 1) / 10;
    logits[seed] = -kInfinity;
    SamplingOptions options;
    options.temperature = 50;  // Whatever is kept gets drawn.
    options.top_p = 0.2f + static_cast<float>(seed) / 40;
    std::vector<uint32_t> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](uint32_t a, uint32_t b) { return logits[a] > logits[b]; });
    double total = 0, sum = 0;
    for (const float l : logits) total += std::exp(static_cast<double>(l));
    std::set<uint32_t> expected;
    for (const uint32_t id : order) {
      if (sum >= options.top_p * total) break;
      sum += std::exp(static_cast<double>(logits[id]));
      expected.insert(id);
    }
    EXPECT_EQ(Support(options, logits), expected) << seed;
  }
}

TEST(Sampler, MinPKeepsWhatIsLikelyEnough) {
  SamplingOptions options;
  options.temperature = 3;
  options.min_p = 0.6f;
  EXPECT_EQ(Support(options, Logarithms({0.1, 0.4, 0.2, 0.3})), (std::set<uint32_t>{1, 3}));
  options.min_p = 1;
  EXPECT_EQ(Support(options, Logarithms({0.1, 0.4, 0.4, 0.1})), (std::set<uint32_t>{1, 2}));
}

TEST(Sampler, StepsApplyInTheDocumentedOrder) {
  // top-k first: of the two left, 4/7 is enough for top-p 0.55, which 0.4 of all is not.
  SamplingOptions options;
  options.temperature = 3;
  options.top_k = 2;
  options.top_p = 0.55f;
  const std::vector<float> logits = Logarithms({0.1, 0.4, 0.2, 0.3});
  EXPECT_EQ(Support(options, logits), (std::set<uint32_t>{1}));
  options.top_k = 0;
  EXPECT_EQ(Support(options, logits), (std::set<uint32_t>{1, 3}));
  // The temperature changes neither top-p's nor min-p's choice.
  options.temperature = 100;
  EXPECT_EQ(Support(options, logits), (std::set<uint32_t>{1, 3}));
  options.top_p = 0.75f;
  options.min_p = 0.6f;
  EXPECT_EQ(Support(options, logits), (std::set<uint32_t>{1, 3}));
}

TEST(Sampler, RepetitionsArePunishedOnceAndWithinTheWindow) {
  SamplingOptions options;
  options.repetition_penalty = 2;
  std::vector<float> logits = {4, 3, -1, -1.5f};
  EXPECT_EQ(Sampler(options).Sample(logits, {})->id, 0u);
  EXPECT_EQ(Sampler(options).Sample(logits, {0u})->id, 1u);
  const std::vector<uint32_t> twice = {0, 0, 1, 1};
  EXPECT_EQ(Sampler(options).Sample(logits, twice)->id, 0u);  // 2 and 1.5, not 1 and 0.75.
  logits = {-1, -1.5f};
  EXPECT_EQ(Sampler(options).Sample(logits, {0u})->id, 1u);  // Negative ones get smaller.
  options.penalty_window = 1;
  EXPECT_EQ(Sampler(options).Sample(logits, {0u, 1u})->id, 0u);
  options.penalty_window = 0;
  EXPECT_EQ(Sampler(options).Sample(logits, {0u})->id, 0u);
  options.penalty_window = 64;
  EXPECT_TRUE(Sampler(options).Sample(logits, {77u}).ok());  // Not a token of this model's.
}

TEST(Sampler, TheSeedDecides) {
  SamplingOptions options;
  options.temperature = 1;
  options.seed = 42;
  const std::vector<float> logits = RandomLogits(300, 9);
  Sampler a(options), b(options);
  options.seed = 43;
  Sampler c(options);
  std::vector<uint32_t> of_a, of_b, of_c;
  for (int i = 0; i < 50; ++i) {
    of_a.push_back(a.Sample(logits, {})->id);
    of_b.push_back(b.Sample(logits, {})->id);
    of_c.push_back(c.Sample(logits, {})->id);
  }
  EXPECT_EQ(of_a, of_b);
  EXPECT_NE(of_a, of_c);
}

// The same on every machine: xoshiro256** seeded with 1 through SplitMix64, drawn from 1,000
// equally likely tokens, so that each token is the generator's number times 1,000.
TEST(Sampler, TheSeedMeansTheSameOnEveryMachine) {
  SamplingOptions options;
  options.temperature = 0.7f;
  options.seed = 1;
  Sampler sampler(options);
  const std::vector<float> equal(1000, 2.5f);
  std::vector<uint32_t> ids;
  for (int i = 0; i < 8; ++i) ids.push_back(sampler.Sample(equal, {})->id);
  EXPECT_THAT(ids, ElementsAre(702, 520, 574, 391, 697, 143, 71, 381));
}

TEST(Sampler, LogprobsAreTheModelsOwn) {
  SamplingOptions options;
  options.temperature = 10;
  options.repetition_penalty = 5;
  const std::vector<double> p = {0.1, 0.4, 0.2, 0.3};
  Sampler sampler(options);
  const absl::StatusOr<SampledToken> token = sampler.Sample(Logarithms(p), {1u}, 2);
  ASSERT_TRUE(token.ok());
  EXPECT_NEAR(*token->logprob, std::log(p[token->id]), 1e-5);
  ASSERT_EQ(token->top.size(), 2u);
  EXPECT_EQ(token->top[0].id, 1u);
  EXPECT_NEAR(token->top[0].logprob, std::log(0.4), 1e-5);
  EXPECT_EQ(token->top[1].id, 3u);
  EXPECT_EQ(sampler.Sample(Logarithms(p), {}, 0)->top.size(), 0u);
  EXPECT_EQ(sampler.Sample(Logarithms(p), {}, 99)->top.size(), 4u);
  EXPECT_FALSE(sampler.Sample(Logarithms(p), {})->logprob.has_value());
}

TEST(Sampler, LogSumExpHasTheAccuracyOfDouble) {
  for (const float shift : {0.0f, 80.0f, -700.0f}) {
    std::vector<float> logits = RandomLogits(5003, 4);
    logits[17] = -kInfinity;
    long double sum = 0;
    for (float& l : logits) l += shift;
    for (const float l : logits) sum += std::exp(static_cast<long double>(l) - shift);
    const double expected = static_cast<double>(std::log(sum)) + shift;
    EXPECT_NEAR(LogSumExp(logits), expected, 1e-12 * std::max(1.0, std::abs(expected)));
  }
}

TEST(Sampler, RefusesOptionsOutOfRange) {
  const auto fault = [](auto change) {
    SamplingOptions options;
    change(&options);
    const absl::Status status = CheckSamplingOptions(options);
    EXPECT_TRUE(absl::IsInvalidArgument(status));
    return std::string(status.message());
  };
  EXPECT_TRUE(CheckSamplingOptions({}).ok());
  for (const float bad : {0.0f, -1.0f, 1.5f, kNan}) {
    EXPECT_THAT(fault([&](SamplingOptions* o) { o->top_p = bad; }), HasSubstr("top-p"));
  }
  for (const float bad : {-0.1f, 1.5f, kNan}) {
    EXPECT_THAT(fault([&](SamplingOptions* o) { o->min_p = bad; }), HasSubstr("min-p"));
  }
  for (const float bad : {-0.1f, kInfinity, kNan}) {
    EXPECT_THAT(fault([&](SamplingOptions* o) { o->temperature = bad; }), HasSubstr("temperature"));
  }
  for (const float bad : {0.0f, -1.0f, kInfinity, kNan}) {
    EXPECT_THAT(fault([&](SamplingOptions* o) { o->repetition_penalty = bad; }),
                HasSubstr("repetition penalty"));
  }
}

}  // namespace
}  // namespace cairn::engine
