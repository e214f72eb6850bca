#include "engine/kv/reuse_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "engine/kv/chunk_kv_buffer.h"
#include "engine/kv/selection.h"

namespace cairn::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Rows = std::vector<uint32_t>;

constexpr KvShape kShape = {.layers = 8, .kv_heads = 1, .head_dim = 2};

// Two chunks of ten rows behind three rows of text, one between them, two of the question.
class ReusePolicyTest : public ::testing::Test {
 protected:
  BlendShape Shape(absl::Span<const float> attention = {}) const {
    return {
        .layers = 8, .rows = 26, .kv_width = 2, .chunks = chunks_, .question_attention = attention};
  }
  std::unique_ptr<ReusePolicy> Make(const ReuseOptions& options) {
    auto policy = MakeReusePolicy(options);
    EXPECT_TRUE(policy.ok()) << policy.status();
    return *std::move(policy);
  }
  // A view in which row i of `rows` deviates by keys[i] in its key and values[i] in its value.
  Rows Narrow(ReusePolicy* policy, size_t layer, const Rows& rows, const std::vector<float>& keys,
              const std::vector<float>& values) {
    std::vector<float> k, v;
    const std::vector<float> zeros(rows.size() * 2);
    for (size_t i = 0; i < rows.size(); ++i) {
      k.insert(k.end(), {keys[i], 0});
      v.insert(v.end(), {0, values[i]});
    }
    return policy->Narrow({.layer = layer,
                           .rows = rows,
                           .keys = k,
                           .values = v,
                           .cached_keys = zeros,
                           .cached_values = zeros,
                           .question_attention = {}});
  }

  ChunkKvBuffer first_{KvEncoding::kF32, kShape, 10, 0};
  ChunkKvBuffer second_{KvEncoding::kF32, kShape, 10, 0};
  std::vector<BlendChunk> chunks_ = {{3, 13, 100, &first_}, {14, 24, 200, &second_}};
};

TEST_F(ReusePolicyTest, FullTakesAllRowsOfChunksAndRepositionNone) {
  EXPECT_THAT(Make({.method = ReuseMethod::kFull})->Begin(Shape()), SizeIs(20));
  EXPECT_THAT(Make({.method = ReuseMethod::kReposition})->Begin(Shape()), IsEmpty());
}

TEST_F(ReusePolicyTest, FirstTokensAreThoseOfEachChunk) {
  EXPECT_THAT(Make({.method = ReuseMethod::kFirstTokens, .first_tokens = 2})->Begin(Shape()),
              ElementsAre(3, 4, 14, 15));
  EXPECT_THAT(Make({.method = ReuseMethod::kFirstTokens, .first_tokens = 99})->Begin(Shape()),
              SizeIs(20));
}

TEST_F(ReusePolicyTest, CacheBlendKeepsWhatDeviatesMostInItsCheckLayer) {
  auto policy = Make({.method = ReuseMethod::kCacheBlend, .share = 0.1, .check_layer = 2});
  const Rows rows = policy->Begin(Shape());
  EXPECT_THAT(rows, SizeIs(20));
  EXPECT_FALSE(policy->WantsKeysAndValues(1));
  EXPECT_TRUE(policy->WantsKeysAndValues(2));
  EXPECT_FALSE(policy->WantsKeysAndValues(3));
  std::vector<float> keys(20), values(20);
  keys[4] = 3;                 // 9
  values[15] = -2;             // 4
  keys[7] = values[7] = 2.5f;  // 12.5
  EXPECT_THAT(Narrow(policy.get(), 2, rows, keys, values), ElementsAre(rows[4], rows[7]));
}

TEST_F(ReusePolicyTest, CacheBlendGoesByKeysOrValuesAlone) {
  std::vector<float> keys(20), values(20);
  keys[4] = 3;
  values[15] = 9;
  auto by_keys = Make({.share = 0.05, .by_values = false});
  auto by_values = Make({.share = 0.05, .by_keys = false});
  const Rows rows = by_keys->Begin(Shape());
  by_values->Begin(Shape());
  EXPECT_THAT(Narrow(by_keys.get(), 1, rows, keys, values), ElementsAre(rows[4]));
  EXPECT_THAT(Narrow(by_values.get(), 1, rows, keys, values), ElementsAre(rows[15]));
}

TEST_F(ReusePolicyTest, GradualFilteringNarrowsLayerByLayerToTheShare) {
  auto policy = Make({.share = 0.2, .gradual_layers = 2});
  Rows rows = policy->Begin(Shape());
  std::vector<size_t> counts;
  for (size_t layer = 1; layer <= 3; ++layer) {
    EXPECT_TRUE(policy->WantsKeysAndValues(layer));
    std::vector<float> keys(rows.size(), 1.f), values(rows.size());
    rows = Narrow(policy.get(), layer, rows, keys, values);
    counts.push_back(rows.size());
  }
  EXPECT_THAT(counts, ElementsAre(6, 5, 4));
  EXPECT_FALSE(policy->WantsKeysAndValues(4));
}

TEST_F(ReusePolicyTest, ARowThatIsNoNumberIsComputed) {
  auto policy = Make({.share = 0.05});
  const Rows rows = policy->Begin(Shape());
  std::vector<float> keys(20, 5.f), values(20);
  keys[11] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(Narrow(policy.get(), 1, rows, keys, values), ElementsAre(rows[11]));
}

TEST_F(ReusePolicyTest, QuestionAttentionTakesWhatTheQuestionLooksAt) {
  auto policy = Make({.method = ReuseMethod::kQuestionAttention, .share = 0.1});
  EXPECT_THAT(policy->question_layers(8), ElementsAre(2, 3, 4, 5));
  EXPECT_THAT(policy->question_layers(1), ElementsAre(0));
  std::vector<float> attention(26, 0.01f);
  attention[2] = 9;  // Text, which is computed anyway.
  attention[20] = 1;
  attention[5] = 2;
  EXPECT_THAT(policy->Begin(Shape(attention)), ElementsAre(5, 20));
}

TEST_F(ReusePolicyTest, RandomRowsAreTheSameForASeedAndSpread) {
  const ReuseOptions options = {.method = ReuseMethod::kRandom, .share = 0.5, .seed = 7};
  const Rows rows = Make(options)->Begin(Shape());
  EXPECT_THAT(rows, SizeIs(10));
  EXPECT_EQ(rows, Make(options)->Begin(Shape()));
  ReuseOptions other = options;
  other.seed = 8;
  EXPECT_NE(rows, Make(other)->Begin(Shape()));
}

TEST_F(ReusePolicyTest, GivenScoresDecide) {
  ReuseOptions options = {.method = ReuseMethod::kGiven, .share = 0.1};
  options.scores.resize(26);
  options.scores[13] = 100;  // Text.
  options.scores[23] = 2;
  options.scores[3] = 1;
  EXPECT_THAT(Make(options)->Begin(Shape()), ElementsAre(3, 23));
}

TEST_F(ReusePolicyTest, CacheCraftTakesTheTokensThatLookedBackMost) {
  ChunkAttention attention;
  attention.before = {{999, 10, 5.f}};  // Is not here any more.
  attention.intra = 1;
  attention.token_inter.resize(10);
  attention.token_inter[6] = 3;
  attention.token_inter[2] = 2;
  second_.SetAttention(attention);
  ChunkAttention alone;  // Had nothing before it.
  alone.intra = 1;
  alone.token_inter.resize(10);
  first_.SetAttention(alone);
  // The overhead is the context impact, .9933, times alpha .2: two tokens of ten.
  auto policy = Make({.method = ReuseMethod::kCacheCraft, .share = 1, .alpha = 0.2});
  EXPECT_THAT(policy->Begin(Shape()), ElementsAre(16, 20));
}

TEST_F(ReusePolicyTest, CacheCraftStopsWhereTheQuestionDoesNotLook) {
  auto policy = Make({.method = ReuseMethod::kCacheCraft, .share = 1, .early_stop = 0.5});
  const Rows rows = policy->Begin(Shape());  // No statistics: everything.
  EXPECT_THAT(rows, SizeIs(20));
  EXPECT_TRUE(policy->WantsQuestion(4));
  EXPECT_FALSE(policy->WantsQuestion(3));
  std::vector<float> attention(26, 0.001f);
  attention[15] = 1;
  const Rows kept = policy->Narrow({.layer = 4,
                                    .rows = rows,
                                    .keys = {},
                                    .values = {},
                                    .cached_keys = {},
                                    .cached_values = {},
                                    .question_attention = attention});
  EXPECT_THAT(kept, SizeIs(10));
  EXPECT_EQ(kept.front(), 14u);
}

TEST_F(ReusePolicyTest, OffsetsAreSharedOutByDeviation) {
  auto policy = Make({.share = 0.1, .offset = true});
  const Rows rows = policy->Begin(Shape());
  std::vector<float> keys(20, 0.f), values(20);
  keys[0] = keys[1] = 4;
  keys[2] = 1;
  Narrow(policy.get(), 1, rows, keys, values);
  EXPECT_TRUE(policy->corrects_offset());
  EXPECT_FLOAT_EQ(policy->OffsetShare(rows[2]), 0.25f);
  EXPECT_FLOAT_EQ(policy->OffsetShare(rows[9]), 0);
}

TEST(ReusePolicy, OptionsThatMakeNoSenseAreRefused) {
  EXPECT_FALSE(MakeReusePolicy({.share = 1.5}).ok());
  EXPECT_FALSE(MakeReusePolicy({.share = std::numeric_limits<double>::quiet_NaN()}).ok());
  EXPECT_FALSE(MakeReusePolicy({.by_keys = false, .by_values = false}).ok());
  EXPECT_FALSE(MakeReusePolicy({.method = ReuseMethod::kCacheCraft, .alpha = -1}).ok());
}

TEST(ReusePolicy, NamesAreReadBack) {
  for (int m = 0; m <= static_cast<int>(ReuseMethod::kGiven); ++m) {
    const auto method = static_cast<ReuseMethod>(m);
    EXPECT_EQ(ParseReuseMethod(ReuseMethodName(method)), method);
  }
  EXPECT_FALSE(ParseReuseMethod("magic").has_value());
}

TEST(Selection, TiesGoToTheEarlierRow) {
  const Rows rows = {4, 5, 6, 7};
  const float scores[] = {1, 1, 1, 1};
  EXPECT_THAT(HighestRows(rows, scores, 2), ElementsAre(4, 5));
  EXPECT_THAT(HighestRows(rows, scores, 9), SizeIs(4));
}

TEST(Selection, ASmallShareIsAtLeastOneRow) {
  EXPECT_EQ(CountOf(0.001, 10), 1u);
  EXPECT_EQ(CountOf(0, 10), 0u);
  EXPECT_EQ(CountOf(1, 10), 10u);
}

}  // namespace
}  // namespace cairn::engine
