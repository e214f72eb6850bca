#include "engine/model/cross_encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <vector>

#include "engine/model/open_model.h"
#include "tests/support/encoder_directory.h"

namespace cairn::engine {
namespace {

using cairn::testing::EncoderReference;
using cairn::testing::EncoderReferenceNamed;
using cairn::testing::TempDir;
using ::testing::HasSubstr;

class CrossEncoderTest : public ::testing::TestWithParam<const char*> {
 protected:
  CrossEncoderTest() { cairn::testing::WriteEncoder(reference_, directory_); }

  std::vector<float> Score(std::string_view query, const std::vector<std::string_view>& passages,
                           size_t threads = 1) const {
    CrossEncoderOptions options;
    options.encoder.compute = kernels::ComputeType::kF32;
    options.threads = threads;
    const auto reranker = OpenCrossEncoder(directory_.path(), options);
    EXPECT_TRUE(reranker.ok()) << reranker.status();
    std::vector<float> scores(passages.size());
    const absl::Status status = (*reranker)->Score(query, passages, absl::MakeSpan(scores));
    EXPECT_TRUE(status.ok()) << status;
    return scores;
  }

  // What the model gives for these ids.
  float Direct(const std::vector<uint32_t>& ids, size_t second) const {
    const auto checkpoint = EncoderCheckpoint::Open(directory_.path());
    EncoderOptions options;
    options.compute = kernels::ComputeType::kF32;
    const auto encoder = Encoder::Load(checkpoint->get(), options);
    std::vector<float> state((*encoder)->config().hidden_size);
    const EncoderText text = {.tokens = ids, .second = second};
    EXPECT_TRUE((*encoder)->Run({&text, 1}, EncoderRows::kFirst, state.data()).ok());
    float logit = 0;
    (*encoder)->Classify(state.data(), &logit);
    return logit;
  }

  bool roberta() const { return std::string_view(GetParam()) != "bert_classifier"; }

  EncoderReference reference_ = EncoderReferenceNamed(GetParam());
  TempDir directory_;
};

TEST_P(CrossEncoderTest, ReadsQueryAndPassageAsThePairThatTheFamilyMakesOfThem) {
  const float score = Score("aa ab", {"ba bb bc"})[0];
  if (roberta()) {
    EXPECT_EQ(score, Direct({2, 4, 5, 3, 3, 30, 31, 32, 3}, SIZE_MAX));
  } else {
    EXPECT_EQ(score, Direct({2, 4, 5, 3, 30, 31, 32, 3}, 4));
  }
}

TEST_P(CrossEncoderTest, ScoresDependNeitherOnOrderNorOnThreads) {
  std::vector<std::string> texts;
  for (int i = 0; i < 60; ++i) {
    std::string text;
    for (int w = 0; w <= i * 7 % 40; ++w) text += w % 2 == 0 ? "aa " : i % 3 == 0 ? "ab " : "bc ";
    texts.push_back(text);
  }
  std::vector<std::string_view> passages(texts.begin(), texts.end());
  const std::vector<float> scores = Score("ad ae", passages);
  EXPECT_EQ(Score("ad ae", passages, 3), scores);
  std::vector<std::string_view> reversed(passages.rbegin(), passages.rend());
  const std::vector<float> back = Score("ad ae", reversed, 2);
  EXPECT_EQ(std::vector<float>(back.rbegin(), back.rend()), scores);
  EXPECT_EQ(Score("ad ae", {passages[7]})[0], scores[7]);
}

TEST_P(CrossEncoderTest, LongQueriesAndPassagesAreCut) {
  std::string query, passage;
  for (int i = 0; i < 300; ++i) query += "aa ";
  for (int i = 0; i < 300; ++i) passage += "ab ";
  const float score = Score(query, {passage})[0];
  EXPECT_EQ(Score(query + "ac", {passage + "ac"})[0], score);
  EXPECT_NE(Score(query, {"ab"})[0], score);  // A long query leaves room for the passage.
}

TEST_P(CrossEncoderTest, EmptyTextsAreScoredToo) {
  EXPECT_EQ(Score("", {""}).size(), 1u);
  EXPECT_TRUE(Score("aa", {}).empty());
}

TEST_P(CrossEncoderTest, WeightsThatAreNoNumbersAreErrorsAndNoScores) {
  cairn::testing::WriteDamagedEncoder(reference_, directory_);
  const auto reranker = OpenReranker(directory_.path());
  ASSERT_TRUE(reranker.ok()) << reranker.status();
  std::vector<float> scores(2);
  const absl::Status status = (*reranker)->Score("aa", {"ab", "ac"}, absl::MakeSpan(scores));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("finite"));
}

TEST_P(CrossEncoderTest, IsAskedBetweenBatchesAndLayersWhetherItIsCancelled) {
  const auto reranker = OpenReranker(directory_.path());
  ASSERT_TRUE(reranker.ok()) << reranker.status();
  std::string passage;
  for (int i = 0; i < 20; ++i) passage += "ab ";
  const std::vector<std::string_view> passages(100, passage);  // Four batches at least.
  std::vector<float> scores(passages.size());
  std::atomic<int> asked{0};
  const auto score = [&](int most) {
    asked = 0;
    return (*reranker)->Score("aa", passages, absl::MakeSpan(scores),
                              [&asked, most] { return ++asked > most; });
  };
  ASSERT_TRUE(score(1'000'000).ok());
  const int questions = asked;
  EXPECT_GT(questions, 13 + 4 + 4);  // Texts, batches, and layers of each.
  for (const int most : {0, questions / 2, questions - 1}) {
    const absl::Status status = score(most);
    EXPECT_TRUE(absl::IsCancelled(status)) << "after " << most << ": " << status;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, CrossEncoderTest,
                         ::testing::Values("bert_classifier", "xlm_roberta_classifier"));

TEST(CrossEncoder, OtherModelsAreRefused) {
  const TempDir encoder;
  cairn::testing::WriteEncoder(EncoderReferenceNamed("bert"), encoder);
  absl::Status status = OpenReranker(encoder.path()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("no cross-encoder"));

  EncoderReference three = EncoderReferenceNamed("bert_classifier");
  three.config["id2label"] = {{"0", "a"}, {"1", "b"}, {"2", "c"}};
  for (auto& [name, shape] : three.tensors) {
    if (name.substr(0, 11) == "classifier.") shape[0] = 3;
  }
  const TempDir classifier;
  cairn::testing::WriteEncoder(three, classifier);
  status = OpenReranker(classifier.path()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("3 labels"));
}

}  // namespace
}  // namespace cairn::engine
