#include "engine/model_calls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "tests/support/fake_models.h"
#include "tests/support/temp_dir.h"

namespace cairn::engine {
namespace {

using ::cairn::testing::FakeEmbedder;
using ::cairn::testing::FakeReranker;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(EmbedTexts, GivesEachTextTheModelsVector) {
  const FakeEmbedder embedder;
  const std::vector<std::string> texts = {"red fox", "", "blue whale"};
  const auto vectors = EmbedTexts(embedder, texts, TextUse::kPassage);
  ASSERT_TRUE(vectors.ok()) << vectors.status();
  ASSERT_EQ(vectors->size(), 3u);
  std::vector<float> expected(embedder.dim());
  ASSERT_TRUE(embedder.Embed(TextKind::kPassage, {"blue whale"}, absl::MakeSpan(expected)).ok());
  EXPECT_EQ((*vectors)[2], expected);
  EXPECT_EQ((*vectors)[1], std::vector<float>(embedder.dim(), 0.0f));
  EXPECT_THAT(*EmbedTexts(embedder, {}, TextUse::kQuery), IsEmpty());
}

TEST(EmbedTexts, TextsThatNoModelReadsAreNamed) {
  const FakeEmbedder embedder;
  absl::Status s = EmbedTexts(embedder, {"fine", "caf\xe9"}, TextUse::kQuery).status();
  EXPECT_TRUE(absl::IsInvalidArgument(s));
  EXPECT_THAT(std::string(s.message()), HasSubstr("text 1 is not valid UTF-8"));
  const std::string large((size_t{1} << 20) + 1, 'x');
  s = EmbedTexts(embedder, {large}, TextUse::kQuery).status();
  EXPECT_TRUE(absl::IsInvalidArgument(s));
  EXPECT_THAT(std::string(s.message()), HasSubstr("text 0 has 1048577 bytes"));
}

TEST(ScorePassages, ScoresEachPassage) {
  const FakeReranker reranker;
  const auto scores = ScorePassages(reranker, "red fox", {"a red fox", "a whale"}, nullptr);
  ASSERT_TRUE(scores.ok()) << scores.status();
  EXPECT_THAT(*scores, ElementsAre(-3, -5));
  EXPECT_THAT(*ScorePassages(reranker, "red fox", {}, nullptr), IsEmpty());
}

TEST(ScorePassages, FaultsOfTextsAndModelsAreErrors) {
  const FakeReranker reranker;
  EXPECT_TRUE(absl::IsInvalidArgument(ScorePassages(reranker, "\xff", {"a"}, nullptr).status()));
  EXPECT_TRUE(
      absl::IsInvalidArgument(ScorePassages(reranker, "a", {"b", "\xff"}, nullptr).status()));
  EXPECT_TRUE(absl::IsInternal(ScorePassages(reranker, "a", {"not-a-number"}, nullptr).status()));
}

TEST(ScorePassages, EndsWhenItIsCancelled) {
  const FakeReranker reranker;
  std::atomic<int> asked{0};
  const absl::Status s =
      ScorePassages(reranker, "a", {"b", "c", "d"}, [&] { return ++asked > 1; }).status();
  EXPECT_TRUE(absl::IsCancelled(s)) << s;
  EXPECT_EQ(asked, 2);
}

TEST(EngineModels, TellWhatTheyAre) {
  cairn::testing::TempDir dir;
  EngineOptions options;
  options.create_if_missing = true;
  options.min_free_bytes = 0;
  absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Open(dir.file("store"), options);
  ASSERT_TRUE(engine.ok()) << engine.status();
  EXPECT_FALSE((*engine)->has_reranker());
  EXPECT_FALSE((*engine)->has_generator());
  EXPECT_FALSE((*engine)->embedder_fingerprint().empty());
  const auto vectors = (*engine)->Embed({"a red fox"}, TextUse::kQuery);
  ASSERT_TRUE(vectors.ok()) << vectors.status();
  ASSERT_EQ((*vectors)[0].size(), (*engine)->embedder_dim());
  float norm2 = 0;
  for (const float x : (*vectors)[0]) norm2 += x * x;
  EXPECT_NEAR(norm2, 1, 1e-4);
  const absl::Status s = (*engine)->Rerank("a", {"b"}).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(s)) << s;
}

}  // namespace
}  // namespace cairn::engine
