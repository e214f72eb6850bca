#include "engine/reranking.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/answer/extractive_answer.h"
#include "engine/search.h"
#include "tests/support/fake_collection.h"
#include "tests/support/fake_models.h"

namespace cairn::engine {
namespace {

using ::cairn::testing::FakeEmbedder;
using ::cairn::testing::FakeReranker;
using ::cairn::testing::TextDocument;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class RerankingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    store_ = *index::Store::Open(dir_.file("store"), cairn::testing::FakeStoreOptions());
  }

  void Ingest(const std::vector<InputDocument>& documents) {
    absl::StatusOr<IngestReport> report =
        cairn::testing::IngestInto(store_.get(), "c", embedder_, documents);
    ASSERT_TRUE(report.ok()) << report.status();
  }

  absl::StatusOr<SearchResponse> Search(const SearchRequest& request,
                                        const Reranker* reranker) const {
    const std::shared_ptr<index::Collection> collection = *store_->Find("c");
    const std::unique_ptr<Preparation> preparation =
        *Preparation::Create(collection->settings(), &embedder_);
    return RunSearch({collection.get(), &preparation->analyzer(), &embedder_, reranker}, request);
  }

  static SearchRequest Lexical(const std::string& query) {
    SearchRequest request;
    request.query = query;
    request.mode = SearchMode::kLexical;
    return request;
  }

  static std::vector<std::string> Ids(const SearchResponse& response) {
    std::vector<std::string> ids;
    for (const SearchHit& hit : response.hits) ids.push_back(hit.document_id);
    return ids;
  }

  cairn::testing::TempDir dir_;
  FakeEmbedder embedder_;
  FakeReranker reranker_;
  std::unique_ptr<index::Store> store_;
};

TEST_F(RerankingTest, CandidatesComeInTheRerankersOrderTiesByChunk) {
  Ingest({TextDocument("rare", "zeta zeta zeta"), TextDocument("tie1", "alpha zeta"),
          TextDocument("all", "alpha beta gamma zeta with much else around it to weigh less"),
          TextDocument("tie2", "alpha zeta")});
  const SearchRequest request = Lexical("zeta alpha beta gamma");
  const absl::StatusOr<SearchResponse> found = Search(request, &reranker_);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_THAT(Ids(*found), ElementsAre("all", "tie1", "tie2", "rare"));
  EXPECT_EQ(found->hits[0].rerank.rank, 1u);
  EXPECT_FLOAT_EQ(found->hits[0].rerank.score, -1);
  EXPECT_FLOAT_EQ(found->hits[0].score, -1);
  EXPECT_EQ(found->hits[3].rerank.rank, 4u);
  EXPECT_TRUE(found->hits[3].lexical.known);
  EXPECT_EQ(found->hits[1].text, "alpha zeta");
}

TEST_F(RerankingTest, TheRestFollowsInFusedOrderWithLowerScores) {
  std::vector<InputDocument> documents;
  for (int i = 0; i < 12; ++i) {
    std::string text;
    for (int j = 0; j <= i; ++j) text += "zeta ";
    documents.push_back(TextDocument("d" + std::to_string(i), text + "filler word here"));
  }
  Ingest(documents);
  SearchRequest request = Lexical("zeta");
  const absl::StatusOr<SearchResponse> fused = Search(request, nullptr);
  request.rerank = 3;
  const absl::StatusOr<SearchResponse> found = Search(request, &reranker_);
  ASSERT_TRUE(found.ok() && fused.ok());
  ASSERT_EQ(found->hits.size(), 10u);
  EXPECT_EQ(reranker_.passages(), 3u);
  for (size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(found->hits[i].rerank.rank, i < 3 ? i + 1 : 0);
    EXPECT_FALSE(found->hits[i].text.empty());
    EXPECT_LE(found->hits[i].score, found->hits[i - (i > 0)].score);
  }
  for (size_t i = 3; i < 10; ++i) {
    EXPECT_EQ(found->hits[i].chunk_id, fused->hits[i].chunk_id);
  }
  EXPECT_LT(found->hits[3].score, found->hits[2].score);
}

TEST_F(RerankingTest, MoreCandidatesThanHitsMayChangeTheHits) {
  std::vector<InputDocument> documents;
  for (int i = 0; i < 20; ++i) {
    documents.push_back(TextDocument("d" + std::to_string(i), "zeta zeta zeta"));
  }
  documents.push_back(TextDocument("best", "zeta alpha and a lot of other words that dilute it"));
  Ingest(documents);
  SearchRequest request = Lexical("zeta alpha");
  request.mode = SearchMode::kVector;
  request.k = 2;
  request.rerank = 100;
  absl::StatusOr<SearchResponse> found = Search(request, &reranker_);
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_EQ(found->hits.size(), 2u);
  EXPECT_EQ(found->hits[0].document_id, "best");
  EXPECT_EQ(reranker_.passages(), 21u);
}

TEST_F(RerankingTest, OfADocumentTheChunkThatTheRerankerLikesBestStandsForIt) {
  // BM25 prefers the chunk of nothing but zeta, the reranker the other one.
  const std::string chatter = " one two three four five six seven eight nine ten eleven twelve";
  Ingest({TextDocument("a", "zeta zeta zeta zeta zeta.\n\nzeta alpha" + chatter + ".\n"),
          TextDocument("b", "zeta unrelated"), TextDocument("c", "alpha other")});
  SearchRequest request = Lexical("zeta alpha");
  request.granularity = Granularity::kDocument;
  request.k = 3;
  const absl::StatusOr<SearchResponse> found = Search(request, &reranker_);
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_EQ(found->hits.size(), 3u);
  EXPECT_EQ(found->hits[0].document_id, "a");
  EXPECT_THAT(found->hits[0].text, HasSubstr("alpha"));
  std::set<std::string> distinct;
  for (const SearchHit& hit : found->hits) distinct.insert(hit.document_id);
  EXPECT_EQ(distinct.size(), 3u);
}

TEST_F(RerankingTest, DocumentsBeyondTheRerankedFillTheListUp) {
  std::vector<InputDocument> documents;
  for (int i = 0; i < 30; ++i) {
    documents.push_back(TextDocument("d" + std::to_string(i), "zeta word" + std::to_string(i)));
  }
  Ingest(documents);
  SearchRequest request = Lexical("zeta");
  request.granularity = Granularity::kDocument;
  request.k = 25;
  request.rerank = 5;
  const absl::StatusOr<SearchResponse> found = Search(request, &reranker_);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->hits.size(), 25u);
}

TEST_F(RerankingTest, TheRerankerReadsTitlesToo) {
  Ingest({TextDocument("plain", "zeta"), TextDocument("titled", "zeta", "alpha beta")});
  const absl::StatusOr<SearchResponse> found = Search(Lexical("zeta alpha beta"), &reranker_);
  ASSERT_TRUE(found.ok());
  EXPECT_FLOAT_EQ(found->hits[0].rerank.score, -2);
}

TEST_F(RerankingTest, ZeroAndNoRerankerLeaveTheFusedOrder) {
  Ingest({TextDocument("a", "zeta")});
  SearchRequest request = Lexical("zeta");
  request.rerank = 0;
  absl::StatusOr<SearchResponse> found = Search(request, &reranker_);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(reranker_.calls(), 0u);
  EXPECT_EQ(found->hits[0].rerank.rank, 0u);
  request.rerank = 10;
  EXPECT_TRUE(absl::IsFailedPrecondition(Search(request, nullptr).status()));
  request.rerank = kMaxRerank + 1;
  EXPECT_TRUE(absl::IsInvalidArgument(Search(request, &reranker_).status()));
}

TEST_F(RerankingTest, WithoutTextsThereAreNone) {
  Ingest({TextDocument("a", "zeta", "title")});
  SearchRequest request = Lexical("zeta");
  request.with_text = false;
  const absl::StatusOr<SearchResponse> found = Search(request, &reranker_);
  ASSERT_TRUE(found.ok());
  ASSERT_EQ(found->hits.size(), 1u);
  EXPECT_EQ(found->hits[0].rerank.rank, 1u);
  EXPECT_EQ(found->hits[0].text, "");
  EXPECT_EQ(found->hits[0].title, "");
}

TEST_F(RerankingTest, AScoreThatIsNoNumberIsAnError) {
  Ingest({TextDocument("a", "zeta not-a-number")});
  EXPECT_TRUE(absl::IsInternal(Search(Lexical("zeta"), &reranker_).status()));
}

TEST_F(RerankingTest, AnswersPreferSentencesOfTheBestRerankedPassage) {
  Ingest({TextDocument("a", "The zeta river is long and wide today."),
          TextDocument("b", "The zeta river flows from alpha to beta always.")});
  const std::shared_ptr<index::Collection> collection = *store_->Find("c");
  const std::unique_ptr<Preparation> preparation =
      *Preparation::Create(collection->settings(), &embedder_);
  AskRequest request;
  request.question = "zeta alpha beta";
  const absl::StatusOr<AskResponse> answer = AnswerExtractively(
      {collection.get(), &preparation->analyzer(), &embedder_, &reranker_}, request);
  ASSERT_TRUE(answer.ok()) << answer.status();
  ASSERT_FALSE(answer->sentences.empty());
  EXPECT_EQ(answer->passages[0].document_id, "b");
  EXPECT_EQ(answer->sentences[0].citations[0].document_id, "b");
  for (const AnswerSentence& s : answer->sentences) EXPECT_LT(std::abs(s.score), 10);
}

}  // namespace
}  // namespace cairn::engine
