// Searches and answers that their callers give up.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "engine/answer/extractive_answer.h"
#include "engine/search.h"
#include "tests/support/fake_collection.h"
#include "tests/support/fake_models.h"

namespace cairn::engine {
namespace {

using ::cairn::testing::FakeEmbedder;
using ::cairn::testing::FakeReranker;
using ::cairn::testing::TextDocument;

class SearchCancellationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    store_ = *index::Store::Open(dir_.file("store"), cairn::testing::FakeStoreOptions());
    std::vector<InputDocument> documents;
    for (int i = 0; i < 300; ++i) {
      documents.push_back(
          TextDocument("d" + std::to_string(i), "zeta of number " + std::to_string(i)));
      documents.back().metadata["number"] = int64_t{i};
    }
    absl::StatusOr<IngestReport> report =
        cairn::testing::IngestInto(store_.get(), "c", embedder_, documents);
    ASSERT_TRUE(report.ok()) << report.status();
    collection_ = *store_->Find("c");
    preparation_ = *Preparation::Create(collection_->settings(), &embedder_);
  }

  SearchContext Context() const {
    return {collection_.get(), &preparation_->analyzer(), &embedder_, &reranker_};
  }

  cairn::testing::TempDir dir_;
  FakeEmbedder embedder_;
  FakeReranker reranker_;
  std::unique_ptr<index::Store> store_;
  std::shared_ptr<index::Collection> collection_;
  std::unique_ptr<Preparation> preparation_;
};

// Asks `run` with an is_cancelled that says so from the n-th question on, for every n.
template <typename Run>
void ExpectCancelledWhenever(Run run) {
  std::atomic<int> asked{0};
  ASSERT_TRUE(run([&] {
                ++asked;
                return false;
              }).ok());
  const int questions = asked;
  ASSERT_GT(questions, 1);
  for (int n = 1; n <= questions; ++n) {
    asked = 0;
    const absl::Status s = run([&] { return ++asked >= n; }).status();
    EXPECT_TRUE(absl::IsCancelled(s)) << "at question " << n << " of " << questions << ": " << s;
    EXPECT_EQ(asked, n) << "asked again after it said yes";
  }
}

TEST_F(SearchCancellationTest, ASearchEndsAtWhicheverQuestionItIsCancelled) {
  for (const SearchMode mode : {SearchMode::kHybrid, SearchMode::kLexical, SearchMode::kVector}) {
    for (const bool exact : {false, true}) {
      for (const char* const filter : {"", "number < 200"}) {
        SearchRequest request;
        request.query = "zeta number 7";
        request.mode = mode;
        request.exact = exact;
        request.filter = filter;
        request.rerank = 50;
        ExpectCancelledWhenever([&](std::function<bool()> is_cancelled) {
          request.is_cancelled = std::move(is_cancelled);
          return RunSearch(Context(), request);
        });
      }
    }
  }
}

TEST_F(SearchCancellationTest, SegmentsAreSearchedNoFurtherEither) {
  ASSERT_TRUE(collection_->Compact().ok());
  ASSERT_EQ(collection_->Stats().segments, 1u);
  SearchRequest request;
  request.query = "zeta number 7";
  request.exact = true;
  int filters = 0;
  ExpectCancelledWhenever([&](std::function<bool()> is_cancelled) {
    // Never the same: what a filter matched before is remembered.
    request.filter = "number < " + std::to_string(100'000 - ++filters);
    request.is_cancelled = std::move(is_cancelled);
    return RunSearch(Context(), request);
  });
  // What a cancelled search left behind is right for the next one.
  request.is_cancelled = nullptr;
  EXPECT_EQ(RunSearch(Context(), request)->hits.size(), request.k);
}

TEST_F(SearchCancellationTest, TheQuestionChangesNothing) {
  SearchRequest request;
  request.query = "zeta number 7";
  const absl::StatusOr<SearchResponse> before = RunSearch(Context(), request);
  request.is_cancelled = [] { return false; };
  const absl::StatusOr<SearchResponse> after = RunSearch(Context(), request);
  ASSERT_TRUE(before.ok() && after.ok());
  ASSERT_EQ(before->hits.size(), after->hits.size());
  for (size_t i = 0; i < before->hits.size(); ++i) {
    EXPECT_EQ(before->hits[i].chunk_id, after->hits[i].chunk_id);
    EXPECT_EQ(before->hits[i].score, after->hits[i].score);
  }
}

TEST_F(SearchCancellationTest, AnExtractiveAnswerEndsWithCancelled) {
  AskRequest request;
  request.question = "zeta number 7";
  request.sentences = 2;
  std::atomic<int> asked{0};
  request.is_cancelled = [&] { return ++asked > 2; };
  EXPECT_TRUE(absl::IsCancelled(AnswerExtractively(Context(), request).status()));
  // While its sentences are weighed, too: the last question is not the search's.
  asked = 0;
  request.is_cancelled = [&] {
    ++asked;
    return false;
  };
  SearchRequest search;
  search.query = request.question;
  search.k = request.passages;
  search.is_cancelled = request.is_cancelled;
  ASSERT_TRUE(RunSearch(Context(), search).ok());
  const int of_search = asked;
  asked = 0;
  request.is_cancelled = [&] { return ++asked > of_search; };
  EXPECT_TRUE(absl::IsCancelled(AnswerExtractively(Context(), request).status()));
}

}  // namespace
}  // namespace cairn::engine
