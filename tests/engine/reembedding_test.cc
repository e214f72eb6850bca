#include "engine/reembedding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <random>
#include <thread>

#include "engine/search.h"
#include "tests/support/fake_collection.h"
#include "tests/support/fake_models.h"

namespace cairn::engine {
namespace {

using ::cairn::testing::FakeEmbedder;
using ::cairn::testing::TextDocument;
using ::testing::HasSubstr;

// What a collection holds of a document, but for chunk ids.
struct Content {
  std::string content_hash;
  std::string text;
  std::vector<std::pair<size_t, size_t>> spans;
  std::vector<float> vectors;  // NaN where there is none; compared as bits.

  bool operator==(const Content& other) const {
    return content_hash == other.content_hash && text == other.text && spans == other.spans &&
           vectors.size() == other.vectors.size() &&
           std::equal(vectors.begin(), vectors.end(), other.vectors.begin(),
                      [](float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); });
  }
};

class ReembeddingTest : public ::testing::Test {
 protected:
  using Contents = std::map<std::string, Content>;

  void SetUp() override { Reopen(); }

  // Segments of a few chunks, so that the background is at work.
  static index::StoreOptions Options() {
    index::StoreOptions options = cairn::testing::FakeStoreOptions();
    options.index.seal_chunks = 40;
    return options;
  }

  void Reopen() {
    store_.reset();
    absl::StatusOr<std::unique_ptr<index::Store>> store =
        index::Store::Open(dir_.file("store"), Options());
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }

  void Ingest(const std::vector<InputDocument>& documents) {
    absl::StatusOr<IngestReport> report =
        cairn::testing::IngestInto(store_.get(), "c", old_, documents);
    ASSERT_TRUE(report.ok()) << report.status();
    for (const InputDocument& d : documents) expected_[d.id] = d;
  }

  void Delete(const std::vector<std::string>& ids) {
    std::vector<bool> deleted;
    const absl::Status s = (*store_->Find("c"))->Delete(ids, &deleted);
    ASSERT_TRUE(s.ok()) << s;
    for (const std::string& id : ids) expected_.erase(id);
  }

  absl::StatusOr<ReembedReport> Reembed(const Embedder& embedder,
                                        const std::atomic<bool>* cancel = nullptr) {
    ReembedOptions options;
    options.collection = "c";
    options.threads = 2;
    options.cancel = cancel;
    return RunReembedding(store_.get(), embedder, embedder.fingerprint(), options);
  }

  // Ends soon after so many documents are done.
  void ReembedPart(const Embedder& embedder, uint64_t documents) {
    std::atomic<bool> cancel{documents == 0};
    ReembedOptions options;
    options.collection = "c";
    options.threads = 2;
    options.cancel = &cancel;
    options.on_progress = [&](const ReembedProgress& p) { cancel = p.documents >= documents; };
    const absl::StatusOr<ReembedReport> report =
        RunReembedding(store_.get(), embedder, embedder.fingerprint(), options);
    ASSERT_TRUE(absl::IsCancelled(report.status())) << report.status();
  }

  static std::vector<InputDocument> Documents(int count, uint32_t seed, size_t words = 30) {
    std::mt19937 random(seed);
    std::vector<InputDocument> documents;
    for (int i = 0; i < count; ++i) {
      std::string text = "seed" + std::to_string(seed);
      for (uint32_t n = random() % words; n > 0; --n) {
        text += random() % 12 == 0 ? ".\n\n" : " ";
        text += "w" + std::to_string(random() % 60);
      }
      documents.push_back(TextDocument("d" + std::to_string(i), text));
    }
    return documents;
  }

  static Contents ContentsOf(index::Store* store, size_t dim) {
    Contents contents;
    const index::CollectionRows rows = (*store->Find("c"))->RowsAt(nullptr);
    const std::vector<std::string> ids_there = *rows.ListDocuments("", 1'000'000, nullptr);
    for (const std::string& id : ids_there) {
      const index::DocumentRow row = *rows.GetDocument(id);
      std::vector<index::ChunkId> ids;
      for (uint32_t i = 0; i < row.chunk_count; ++i) ids.push_back(row.first_chunk + i);
      std::vector<index::ChunkId> found;
      std::vector<index::ChunkRow> chunks;
      EXPECT_TRUE(rows.GetChunks(ids, &found, &chunks).ok());
      EXPECT_EQ(found, ids);
      Content& c = contents[id];
      c.content_hash = row.content_hash;
      c.text = index::DocumentText(row, chunks);
      for (const index::ChunkRow& chunk : chunks) {
        c.spans.emplace_back(chunk.span.begin, chunk.span.end);
      }
      c.vectors.resize(ids.size() * dim);
      const absl::Status s = rows.GetVectors(ids, absl::MakeSpan(c.vectors));
      EXPECT_TRUE(s.ok()) << s;
    }
    return contents;
  }

  // The store has just what one has into which `expected_` was ingested with this model.
  void ExpectAsIfIngestedWith(const Embedder& embedder) {
    cairn::testing::TempDir dir;
    const auto direct = *index::Store::Open(dir.file("direct"), cairn::testing::FakeStoreOptions());
    std::vector<InputDocument> documents;
    for (const auto& [id, document] : expected_) documents.push_back(document);
    ASSERT_TRUE(cairn::testing::IngestInto(direct.get(), "c", embedder, documents).ok());
    EXPECT_TRUE(ContentsOf(store_.get(), embedder.dim()) ==
                ContentsOf(direct.get(), embedder.dim()));
    for (const char* query : {"w1 w2", "w7", "seed1 w30 w31 w32"}) {
      EXPECT_EQ(Search(store_.get(), embedder, query), Search(direct.get(), embedder, query));
    }
    ExpectSound();
  }

  void ExpectSound() {
    index::VerifyReport report;
    const absl::Status s = store_->Verify(
        true, [](const std::string& problem) { ADD_FAILURE() << problem; }, &report);
    EXPECT_TRUE(s.ok()) << s;
    EXPECT_EQ(report.documents, expected_.size());
  }

  // Scores, and documents where no two have the same one.
  static std::map<std::string, float> Search(index::Store* store, const Embedder& embedder,
                                             const std::string& query) {
    const std::shared_ptr<index::Collection> collection = *store->Find("c");
    const auto preparation = *Preparation::Create(collection->settings(), &embedder);
    SearchRequest request;
    request.collection = "c";
    request.query = query;
    request.k = 1'000'000;
    request.granularity = Granularity::kDocument;
    const absl::StatusOr<SearchResponse> found =
        RunSearch({collection.get(), &preparation->analyzer(), &embedder, nullptr}, request);
    EXPECT_TRUE(found.ok()) << found.status();
    std::map<std::string, float> scores;
    if (!found.ok()) return scores;
    for (const SearchHit& hit : found->hits) {
      scores[hit.document_id] = std::round(hit.score * 1e4f) / 1e4f;
    }
    return scores;
  }

  cairn::testing::TempDir dir_;
  const FakeEmbedder old_{16, 1};
  FakeEmbedder new_{24, 2};
  std::unique_ptr<index::Store> store_;
  std::map<std::string, InputDocument> expected_;
};

TEST_F(ReembeddingTest, AfterItTheCollectionIsTheOtherModelsWithTheSameChunkIds) {
  Ingest(Documents(150, 1));
  const index::CollectionId before = (*store_->Describe("c")).id;
  const index::ChunkId first = (*store_->Find("c"))->RowsAt(nullptr).GetDocument("d9")->first_chunk;
  const absl::StatusOr<ReembedReport> report = Reembed(new_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->changed);
  EXPECT_EQ(report->documents, 150u);
  EXPECT_EQ(new_.texts(), report->chunks);
  for (int i = 0; i < 2; ++i) {
    ExpectAsIfIngestedWith(new_);
    const index::CollectionRow row = *store_->Describe("c");
    EXPECT_NE(row.id, before);
    EXPECT_EQ(row.settings.embedder_fingerprint, "fake-2");
    EXPECT_EQ(row.settings.dim, 24u);
    EXPECT_EQ((*store_->Find("c"))->RowsAt(nullptr).GetDocument("d9")->first_chunk, first);
    EXPECT_TRUE(absl::IsNotFound(store_->DescribeReembedding("c").status()));
    EXPECT_EQ(store_->List()->size(), 1u);
    Reopen();
  }
  // It takes documents as any collection does.
  ASSERT_TRUE(cairn::testing::IngestInto(store_.get(), "c", new_, Documents(20, 3)).ok());
  for (const InputDocument& d : Documents(20, 3)) expected_[d.id] = d;
  ExpectAsIfIngestedWith(new_);
}

TEST_F(ReembeddingTest, TheModelThatItHasIsNothingToDo) {
  Ingest(Documents(5, 1));
  const size_t calls = old_.calls();
  const absl::StatusOr<ReembedReport> report = Reembed(old_);
  ASSERT_TRUE(report.ok());
  EXPECT_FALSE(report->changed);
  EXPECT_EQ(old_.calls(), calls);
  EXPECT_TRUE(absl::IsNotFound(RunReembedding(store_.get(), new_, "m", {}).status()));
}

TEST_F(ReembeddingTest, AnEmptyCollectionIsReembeddedToo) {
  Ingest({});
  ASSERT_TRUE(Reembed(new_).ok());
  ExpectAsIfIngestedWith(new_);
}

TEST_F(ReembeddingTest, AStoppedOneLeavesAllAsItWasAndGoesOnWithoutEmbeddingAgain) {
  Ingest(Documents(2000, 1, 6));
  const auto before = Search(store_.get(), old_, "w1 w2");
  ReembedPart(new_, 700);
  EXPECT_EQ(Search(store_.get(), old_, "w1 w2"), before);
  EXPECT_EQ(store_->List()->size(), 1u);
  ExpectSound();
  const size_t embedded = new_.texts();
  Reopen();
  EXPECT_EQ(Search(store_.get(), old_, "w1 w2"), before);
  const absl::StatusOr<ReembedReport> report = Reembed(new_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_GE(report->resumed, 700u);
  EXPECT_EQ(report->resumed + report->documents, 2000u);
  EXPECT_EQ(new_.texts() - embedded, report->chunks);
  ExpectAsIfIngestedWith(new_);
}

TEST_F(ReembeddingTest, WhatChangesBetweenTwoRunsIsCaughtUpWith) {
  std::vector<InputDocument> documents = Documents(1500, 1, 6);
  Ingest(documents);
  ReembedPart(new_, 600);
  // Of what is done and what is not: deleted, replaced, and the same again under other chunk ids.
  Delete({"d1", "d2", "d3", "d1400"});
  Ingest({TextDocument("d4", "other words now"), TextDocument("d1401", "other words too"),
          documents[2], documents[1400], TextDocument("new", "quite new")});
  Reopen();
  ASSERT_TRUE(Reembed(new_).ok());
  ExpectAsIfIngestedWith(new_);
}

TEST_F(ReembeddingTest, AnotherModelMeanwhileIsRefusedUntilTheFirstIsGivenUp) {
  Ingest(Documents(600, 1, 6));
  ReembedPart(new_, 100);
  const FakeEmbedder third(16, 3);
  for (int i = 0; i < 2; ++i) {
    const absl::Status refused = Reembed(third).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
    EXPECT_THAT(refused.message(), HasSubstr("fake-2"));
    EXPECT_THAT(refused.message(), HasSubstr("fake-3"));
    const absl::Status same = Reembed(old_).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(same)) << same;
    EXPECT_THAT(same.message(), HasSubstr("fake-2"));
    Reopen();
  }
  ASSERT_TRUE(store_->AbandonReembedding("c").ok());
  EXPECT_TRUE(absl::IsNotFound(store_->AbandonReembedding("c")));
  ExpectSound();
  Reopen();
  ExpectAsIfIngestedWith(old_);
  ASSERT_TRUE(Reembed(third).ok());
  ExpectAsIfIngestedWith(third);
}

TEST_F(ReembeddingTest, GivenUpOrDroppedItLeavesNothingBehind) {
  for (const bool reopen : {false, true}) {
    Ingest(Documents(400, 1, 6));
    ReembedPart(new_, 300);
    if (reopen) Reopen();
    ASSERT_TRUE(store_->Drop("c").ok());
    expected_.clear();
    ExpectSound();
    EXPECT_TRUE(absl::IsNotFound(store_->DescribeReembedding("c").status()));
    Reopen();
    const std::string segments = dir_.file("store/segments");
    EXPECT_TRUE(!std::filesystem::exists(segments) || std::filesystem::is_empty(segments));
  }
}

TEST_F(ReembeddingTest, DocumentsWithoutChunksComeAlong) {
  Ingest(Documents(10, 1));
  const auto write = [&](const std::string& id, const std::string& title) {
    index::PreparedDocument blank;
    blank.document.id = id;
    blank.document.title = title;
    blank.document.text = " \n";
    blank.content_hash = index::ContentHash(blank.document);
    std::vector<index::WriteOutcome> outcomes;
    ASSERT_TRUE((*store_->Find("c"))->Upsert({&blank, 1}, &outcomes).ok());
  };
  write("blank", "");
  write("d3", "");
  ReembedPart(new_, 1);
  // Where there is something under its id already; and one that changes.
  write("d4", "");
  write("blank", "now with a title");
  ASSERT_TRUE(Reembed(new_).ok());
  const index::CollectionRows rows = (*store_->Find("c"))->RowsAt(nullptr);
  for (const char* id : {"blank", "d3", "d4"}) {
    const absl::StatusOr<index::DocumentRow> row = rows.GetDocument(id);
    ASSERT_TRUE(row.ok()) << row.status();
    EXPECT_EQ(row->chunk_count, 0u);
    EXPECT_EQ(row->trailing, " \n");
  }
  EXPECT_EQ(rows.GetDocument("blank")->title, "now with a title");
  expected_["blank"] = {};
  ExpectSound();
}

TEST_F(ReembeddingTest, AModelThatFailsLeavesTheCollectionAndNamesTheDocument) {
  std::vector<InputDocument> documents = Documents(2200, 1, 6);
  documents[2000].text += " poison";
  Ingest(documents);
  new_.poison = "poison";
  const absl::Status s = Reembed(new_).status();
  EXPECT_TRUE(absl::IsInternal(s)) << s;
  EXPECT_THAT(s.message(), HasSubstr("document d2000: poisoned"));
  ExpectAsIfIngestedWith(old_);
  new_.poison.clear();
  const absl::StatusOr<ReembedReport> report = Reembed(new_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_GT(report->resumed, 0u);
  ExpectAsIfIngestedWith(new_);
}

TEST_F(ReembeddingTest, ADamagedCollectionIsNotReplacedByAnIncompleteOne) {
  Ingest(Documents(50, 1));
  const index::CollectionRow row = *store_->Describe("c");
  const index::DocumentRow damaged = *(*store_->Find("c"))->RowsAt(nullptr).GetDocument("d20");
  index::RowBatch batch;
  for (uint32_t i = 0; i < damaged.chunk_count; ++i) {
    batch.Delete(index::Family::kChunks, index::ChunkKey(row.id, damaged.first_chunk + i));
  }
  ASSERT_TRUE(store_->rows().Commit(std::move(batch)).ok());
  const absl::Status s = Reembed(new_).status();
  EXPECT_TRUE(absl::IsDataLoss(s)) << s;
  EXPECT_EQ((*store_->Describe("c")).id, row.id);
}

TEST_F(ReembeddingTest, WhoeverHoldsTheOldCollectionMaySearchItButNotWrite) {
  Ingest(Documents(30, 1));
  const std::shared_ptr<index::Collection> old = *store_->Find("c");
  ASSERT_TRUE(Reembed(new_).ok());
  std::vector<bool> deleted;
  const absl::Status s = old->Delete({"d1"}, &deleted);
  EXPECT_TRUE(absl::IsFailedPrecondition(s)) << s;
  EXPECT_THAT(s.message(), HasSubstr("re-embedded with another model"));
  const auto preparation = *Preparation::Create(old->settings(), &old_);
  SearchRequest request;
  request.query = "w1";
  const absl::StatusOr<SearchResponse> found =
      RunSearch({old.get(), &preparation->analyzer(), &old_, nullptr}, request);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_FALSE(found->hits.empty());
  EXPECT_FALSE(found->hits[0].text.empty());
  Reopen();  // Nor is it in the way of the store's end.
}

TEST_F(ReembeddingTest, RandomStopsAndChangesEndAsIfIngestedWithTheNewModel) {
  for (uint32_t seed = 1; seed <= 6; ++seed) {
    std::filesystem::remove_all(dir_.file("store"));
    store_.reset();
    expected_.clear();
    Reopen();
    std::mt19937 random(seed);
    Ingest(Documents(300, seed, 20));
    for (int step = 0; step < 8; ++step) {
      std::vector<InputDocument> some;
      for (uint32_t n = random() % 60; n > 0; --n) {
        InputDocument d = Documents(1, random() % 50, 20)[0];
        d.id = "d" + std::to_string(random() % 500);
        some.push_back(std::move(d));
      }
      Ingest(some);
      std::vector<std::string> gone;
      for (uint32_t n = random() % 30; n > 0; --n) {
        gone.push_back("d" + std::to_string(random() % 500));
      }
      Delete(gone);
      if (random() % 2 == 0) Reopen();
      const absl::StatusOr<index::ReembeddingRow> begun = store_->DescribeReembedding("c");
      const uint64_t done =
          begun.ok() ? *index::CollectionRows(&store_->rows(), begun->collection.id, nullptr)
                            .CountDocuments()
                     : 0;
      if (done < expected_.size() / 2) ReembedPart(new_, random() % (expected_.size() / 2));
    }
    ASSERT_TRUE(Reembed(new_).ok());
    ASSERT_NO_FATAL_FAILURE(ExpectAsIfIngestedWith(new_));
  }
}

TEST_F(ReembeddingTest, WritersAndSearchersBesideItLoseNothing) {
  Ingest(Documents(800, 1, 12));
  new_.delay = std::chrono::microseconds(400);
  std::atomic<bool> stop{false};
  std::map<std::string, InputDocument> written = expected_;
  absl::Status refused;
  std::thread writer([&] {
    std::mt19937 random(5);
    while (!stop && refused.ok()) {
      std::vector<InputDocument> some =
          Documents(1 + static_cast<int>(random() % 8), random() % 99);
      for (InputDocument& d : some) d.id = "d" + std::to_string(random() % 600);
      std::map<std::string, InputDocument> durable;
      IngestOptions options;
      options.on_durable = [&](const std::string& id) {
        for (const InputDocument& d : some) {
          if (d.id == id) written[id] = d;
        }
      };
      refused = cairn::testing::IngestInto(store_.get(), "c", old_, some, options).status();
      if (!refused.ok() || random() % 3 > 0) continue;
      const absl::StatusOr<std::shared_ptr<index::Collection>> c = store_->Find("c");
      const std::string id = "d" + std::to_string(random() % 600);
      std::vector<bool> deleted;
      if (c.ok()) refused = (*c)->Delete({id}, &deleted);
      if (refused.ok()) written.erase(id);
    }
  });
  std::thread searcher([&] {
    while (!stop) {
      const std::shared_ptr<index::Collection> c = *store_->Find("c");
      const bool old = c->settings().embedder_fingerprint == old_.fingerprint();
      const Embedder& embedder = old ? old_ : new_;
      const auto preparation = *Preparation::Create(c->settings(), &embedder);
      SearchRequest request;
      request.query = "w1 w2 w3 w4 w5 w6";
      const absl::StatusOr<SearchResponse> found =
          RunSearch({c.get(), &preparation->analyzer(), &embedder, nullptr}, request);
      ASSERT_TRUE(found.ok()) << found.status();
      ASSERT_EQ(found->hits.size(), 10u);
    }
  });
  const absl::StatusOr<ReembedReport> report = Reembed(new_);
  EXPECT_TRUE(report.ok()) << report.status();
  stop = true;
  writer.join();
  searcher.join();
  // Ended by the change of models at the latest, with a reason.
  EXPECT_TRUE(refused.ok() || absl::IsFailedPrecondition(refused)) << refused;
  expected_ = written;
  ExpectAsIfIngestedWith(new_);
}

TEST_F(ReembeddingTest, OnlyOneIsAtWorkOnACollection) {
  Ingest(Documents(20, 1));
  const auto first = *store_->Reembed("c", "fake-2", 24, "m");
  EXPECT_TRUE(absl::IsFailedPrecondition(store_->Reembed("c", "fake-2", 24, "m").status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(store_->AbandonReembedding("c")));
  EXPECT_TRUE(absl::IsFailedPrecondition(store_->Drop("c")));
  EXPECT_TRUE((*store_->Find("c")) != nullptr);
}

}  // namespace
}  // namespace cairn::engine
