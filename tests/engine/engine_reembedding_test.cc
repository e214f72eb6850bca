// Engine::Reembed through the public interface, with models on disk.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "engine/engine.h"
#include "tests/support/model_directory.h"

namespace cairn {
namespace {

using ::testing::HasSubstr;

class EngineReembeddingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    first_ = cairn::testing::WriteCharacterModel(dir_, "first", 1, 8);
    second_ = cairn::testing::WriteCharacterModel(dir_, "second", 2, 12);
    engine_ = Open(first_);
    std::vector<InputDocument> documents;
    for (int i = 0; i < 1500; ++i) {
      documents.push_back(
          {"d" + std::to_string(i), "", "word" + std::to_string(i % 97), {}, "", "text"});
    }
    ASSERT_TRUE(engine_->IngestDocuments(documents, {}).ok());
  }

  std::unique_ptr<Engine> Open(const std::string& embedder, bool read_only = false) const {
    EngineOptions options;
    options.create_if_missing = true;
    options.min_free_bytes = 0;
    options.read_only = read_only;
    options.embedder = embedder;
    absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Open(dir_.file("store"), options);
    EXPECT_TRUE(engine.ok()) << engine.status();
    return engine.ok() ? *std::move(engine) : nullptr;
  }

  static absl::StatusOr<SearchResponse> Search(const Engine& engine, SearchMode mode) {
    SearchRequest request;
    request.query = "word7";
    request.mode = mode;
    return engine.Search(request);
  }

  absl::StatusOr<ReembedReport> Reembed(const std::string& embedder) {
    ReembedOptions options;
    options.embedder = embedder;
    return engine_->Reembed(options);
  }

  absl::Status ReembedPart(const std::string& embedder) {
    std::atomic<bool> cancel{false};
    ReembedOptions options;
    options.embedder = embedder;
    options.cancel = &cancel;
    options.on_progress = [&](const ReembedProgress& p) {
      EXPECT_EQ(p.total, 1500u);
      cancel = p.documents > 0;
    };
    return engine_->Reembed(options).status();
  }

  cairn::testing::TempDir dir_;
  std::string first_, second_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(EngineReembeddingTest, TheEngineOfTheOldModelSearchesLexicallyAndSaysWhy) {
  const absl::StatusOr<ReembedReport> report = Reembed(second_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->documents, 1500u);
  const absl::Status hybrid = Search(*engine_, SearchMode::kHybrid).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(hybrid));
  EXPECT_THAT(hybrid.message(), HasSubstr("another model"));
  EXPECT_EQ(Search(*engine_, SearchMode::kLexical)->hits.size(), 10u);
  const absl::Status ingest =
      engine_->IngestDocuments({{"x", "", "text", {}, "", "text"}}, {}).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(ingest));
  EXPECT_THAT(ingest.message(), HasSubstr("cairn reembed"));
  EXPECT_THAT(ingest.message(), HasSubstr("12 dimensions"));
  engine_.reset();
  engine_ = Open(second_);
  EXPECT_EQ(Search(*engine_, SearchMode::kHybrid)->hits.size(), 10u);
  EXPECT_TRUE(engine_->IngestDocuments({{"x", "", "text", {}, "", "text"}}, {}).ok());
  EXPECT_FALSE(Reembed(second_)->changed);
  // And back, as the engine's other model.
  EXPECT_TRUE(Reembed(first_)->changed);
  EXPECT_EQ(engine_->Verify(true)->problem_count, 0u);
}

TEST_F(EngineReembeddingTest, OneThatIsNotCompleteIsInTheStatisticsOnly) {
  EXPECT_TRUE(absl::IsCancelled(ReembedPart(second_)));
  for (int i = 0; i < 2; ++i) {
    const absl::StatusOr<StoreInfo> info = engine_->Stats();
    ASSERT_TRUE(info.ok()) << info.status();
    ASSERT_EQ(info->collections.size(), 1u);
    const CollectionInfo& c = info->collections[0];
    EXPECT_EQ(c.documents, 1500u);
    EXPECT_EQ(c.dim, 8u);
    ASSERT_TRUE(c.reembedding.has_value());
    EXPECT_EQ(c.reembedding->model, second_);
    EXPECT_EQ(c.reembedding->dim, 12u);
    EXPECT_GT(c.reembedding->documents, 0u);
    EXPECT_EQ(engine_->ListCollections()->size(), 1u);
    EXPECT_EQ(engine_->Verify(true)->documents, 1500u);
    EXPECT_EQ(engine_->Verify(true)->problem_count, 0u);
    EXPECT_EQ(Search(*engine_, SearchMode::kHybrid)->hits.size(), 10u);
    // Compacting and building anew are of the collection as it is.
    EXPECT_TRUE(engine_->Compact().ok());
    EXPECT_TRUE(engine_->Reindex().ok());
    engine_.reset();
    engine_ = Open(first_);
  }
  ASSERT_TRUE(engine_->AbortReembedding("default").ok());
  EXPECT_FALSE(engine_->Stats()->collections[0].reembedding.has_value());
  EXPECT_TRUE(absl::IsNotFound(engine_->AbortReembedding("default")));
}

TEST_F(EngineReembeddingTest, ACopyOfTheStoreGoesOnWhereItWasToo) {
  EXPECT_TRUE(absl::IsCancelled(ReembedPart(second_)));
  ASSERT_TRUE(engine_->Snapshot(dir_.file("copy")).ok());
  engine_.reset();
  std::filesystem::rename(dir_.file("copy"), dir_.file("store2"));
  std::filesystem::remove_all(dir_.file("store"));
  std::filesystem::rename(dir_.file("store2"), dir_.file("store"));
  engine_ = Open(first_);
  const absl::StatusOr<ReembedReport> report = Reembed(second_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_GT(report->resumed, 0u);
  EXPECT_EQ(report->resumed + report->documents, 1500u);
}

TEST_F(EngineReembeddingTest, WrongUseIsRefused) {
  EXPECT_TRUE(absl::IsNotFound(Reembed(dir_.file("nothing")).status()));
  ReembedOptions options;
  options.embedder = second_;
  options.threads = -1;
  EXPECT_TRUE(absl::IsInvalidArgument(engine_->Reembed(options).status()));
  options.threads = 0;
  options.collection = "none";
  EXPECT_TRUE(absl::IsNotFound(engine_->Reembed(options).status()));
  const std::unique_ptr<Engine> reader = Open(first_, true);
  options.collection = "default";
  EXPECT_TRUE(absl::IsFailedPrecondition(reader->Reembed(options).status()));
  EXPECT_FALSE(engine_->Stats()->collections[0].reembedding.has_value());
}

}  // namespace
}  // namespace cairn
