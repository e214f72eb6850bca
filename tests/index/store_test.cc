#include "index/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <random>
#include <thread>

#include "index/verify.h"
#include "tests/support/prepared.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_store.h"

namespace cairn::index {
namespace {

using ::cairn::testing::Prepare;
using ::cairn::testing::Settings;
using ::cairn::testing::TempDir;
using ::cairn::testing::TextVector;
using ::cairn::testing::WordBag;
using ::cairn::testing::Writable;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A store with one collection that can be closed and opened again.
class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override { Reopen(); }

  void Reopen() {
    collection_.reset();
    store_.reset();
    absl::StatusOr<std::unique_ptr<Store>> store = Store::Open(dir_.file("store"), Writable());
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    absl::StatusOr<std::shared_ptr<Collection>> found = store_->Find("c");
    if (absl::IsNotFound(found.status())) found = store_->Create("c", Settings());
    ASSERT_TRUE(found.ok()) << found.status();
    collection_ = *found;
  }

  std::vector<WriteOutcome> Upsert(const std::vector<PreparedDocument>& documents) {
    std::vector<WriteOutcome> outcomes;
    const absl::Status s = collection_->Upsert(documents, &outcomes);
    EXPECT_TRUE(s.ok()) << s;
    return outcomes;
  }

  void Delete(const std::vector<std::string>& ids) {
    std::vector<bool> deleted;
    const absl::Status s = collection_->Delete(ids, &deleted);
    EXPECT_TRUE(s.ok()) << s;
  }

  // Ids of the documents of the best chunks.
  std::vector<std::string> Lexical(const std::string& query, const Filter* filter = nullptr) {
    const TermBag terms = WordBag(query);
    CandidateQuery q;
    q.terms = &terms;
    q.filter = filter;
    const Collection::View view(*collection_);
    absl::StatusOr<Candidates> c = view.Search(q);
    EXPECT_TRUE(c.ok()) << c.status();
    std::vector<std::string> ids;
    for (const ScoredChunk& s : c->lexical) ids.push_back(view.DocumentId(s.document));
    return ids;
  }

  std::vector<std::string> Vector(const std::string& query, size_t k) {
    const std::vector<float> v = TextVector(query);
    CandidateQuery q;
    q.vector = v;
    q.vector_k = k;
    const Collection::View view(*collection_);
    absl::StatusOr<Candidates> c = view.Search(q);
    EXPECT_TRUE(c.ok()) << c.status();
    std::vector<std::string> ids;
    for (const ScoredChunk& s : c->vector) ids.push_back(view.DocumentId(s.document));
    return ids;
  }

  std::vector<std::string> Problems() {
    std::vector<std::string> problems;
    VerifyReport report;
    const absl::Status s = store_->Verify(
        true, [&](const std::string& p) { problems.push_back(p); }, &report);
    EXPECT_TRUE(s.ok()) << s;
    return problems;
  }

  TempDir dir_;
  std::unique_ptr<Store> store_;
  std::shared_ptr<Collection> collection_;
};

TEST_F(StoreTest, WhatIsWrittenIsFoundAtOnceAndAfterReopening) {
  EXPECT_THAT(Upsert({Prepare("a", "red fox\nblue whale"), Prepare("b", "red panda")}),
              ElementsAre(WriteOutcome::kCreated, WriteOutcome::kCreated));
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(Lexical("whale"), ElementsAre("a"));
    EXPECT_THAT(Lexical("panda"), ElementsAre("b"));
    EXPECT_THAT(Vector("red panda", 1), ElementsAre("b"));
    EXPECT_THAT(Problems(), IsEmpty());
    Reopen();
  }
}

TEST_F(StoreTest, TheSameContentAgainWritesNothing) {
  Upsert({Prepare("a", "red fox")});
  EXPECT_THAT(Upsert({Prepare("a", "red fox")}), ElementsAre(WriteOutcome::kUnchanged));
  EXPECT_TRUE(collection_->FindCurrent("a", Prepare("a", "red fox").content_hash)->has_value());
  EXPECT_FALSE(collection_->FindCurrent("a", Prepare("a", "red wolf").content_hash)->has_value());
  EXPECT_EQ(collection_->Stats().chunks, 1u);
}

TEST_F(StoreTest, AWriteTellsTheChunksOfEveryDocument) {
  std::vector<WriteOutcome> outcomes;
  std::vector<ChunkRange> chunks;
  const auto upsert = [&](const std::vector<PreparedDocument>& documents) {
    ASSERT_TRUE(collection_->Upsert(documents, &outcomes, &chunks).ok());
    ASSERT_EQ(chunks.size(), documents.size());
    for (size_t i = 0; i < documents.size(); ++i) {
      const std::string& id = documents[i].document.id;
      if (i + 1 < documents.size() && documents[i + 1].document.id == id) continue;
      const DocumentRow row = *collection_->RowsAt(nullptr).GetDocument(id);
      EXPECT_EQ(chunks[i].count, row.chunk_count) << id;
      EXPECT_EQ(chunks[i].first, row.chunk_count == 0 ? 0 : row.first_chunk) << id;
    }
  };
  upsert({Prepare("a", "x\ny"), Prepare("empty", ""), Prepare("b", "z")});
  EXPECT_EQ(chunks[1].count, 0u);
  const ChunkRange a = chunks[0];
  upsert({Prepare("new", "n\nm\no"), Prepare("a", "x\ny"), Prepare("b", "v\nw")});
  EXPECT_THAT(outcomes, ElementsAre(WriteOutcome::kCreated, WriteOutcome::kUnchanged,
                                    WriteOutcome::kReplaced));
  EXPECT_EQ(chunks[1].first, a.first);
  // An id twice: each is told its own.
  upsert({Prepare("c", "one"), Prepare("c", "two\nthree")});
  EXPECT_EQ(chunks[1].first, chunks[0].first + 1);
  const auto current = collection_->FindCurrent("c", Prepare("c", "two\nthree").content_hash);
  ASSERT_TRUE(current.ok() && current->has_value());
  EXPECT_EQ((*current)->first, chunks[1].first);
  EXPECT_EQ((*current)->count, 2u);
}

TEST_F(StoreTest, AReplacedDocumentIsGoneForTheNextQueryAndItsStatisticsToo) {
  Upsert({Prepare("a", "red fox\nred deer"), Prepare("b", "red panda")});
  EXPECT_THAT(Upsert({Prepare("a", "green frog")}), ElementsAre(WriteOutcome::kReplaced));
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(Lexical("fox"), IsEmpty());
    EXPECT_THAT(Lexical("frog"), ElementsAre("a"));
    EXPECT_THAT(Lexical("red"), ElementsAre("b"));
    EXPECT_EQ(collection_->Stats().total_length, 4u);
    EXPECT_THAT(Problems(), IsEmpty());
    Reopen();
  }
}

TEST_F(StoreTest, ADeletedDocumentIsGoneForTheNextQuery) {
  Upsert({Prepare("a", "red fox"), Prepare("b", "red panda")});
  std::vector<bool> deleted;
  const std::vector<std::string> ids = {"a", "nobody", "a"};
  ASSERT_TRUE(collection_->Delete(ids, &deleted).ok());
  EXPECT_THAT(deleted, ElementsAre(true, false, false));
  EXPECT_THAT(Lexical("red"), ElementsAre("b"));
  EXPECT_THAT(Vector("red fox", 5), ElementsAre("b"));
  EXPECT_TRUE(absl::IsNotFound(collection_->RowsAt(nullptr).GetDocument("a").status()));
  Reopen();
  EXPECT_THAT(Lexical("red"), ElementsAre("b"));
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(StoreTest, OfTwoDocumentsWithOneIdInABatchTheLaterStays) {
  EXPECT_THAT(Upsert({Prepare("a", "one"), Prepare("b", "two"), Prepare("a", "three")}),
              ElementsAre(WriteOutcome::kCreated, WriteOutcome::kCreated, WriteOutcome::kReplaced));
  EXPECT_THAT(Lexical("one"), IsEmpty());
  EXPECT_THAT(Lexical("three"), ElementsAre("a"));
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(StoreTest, ChunkIdsAreNeverUsedAgain) {
  Upsert({Prepare("a", "x\ny")});
  const ChunkId first = collection_->RowsAt(nullptr).GetDocument("a")->first_chunk;
  Delete({"a"});
  Reopen();
  Upsert({Prepare("a", "x\ny")});
  EXPECT_GT(collection_->RowsAt(nullptr).GetDocument("a")->first_chunk, first + 1);
}

TEST_F(StoreTest, ABadVectorIsRefusedBeforeAnythingIsWritten) {
  for (float bad : {std::nanf(""), INFINITY, 0.5f}) {
    std::vector<PreparedDocument> docs = {Prepare("good", "fine"), Prepare("bad", "broken")};
    docs[1].chunks[0].vector[0] = bad;
    std::vector<WriteOutcome> outcomes;
    EXPECT_TRUE(absl::IsInvalidArgument(collection_->Upsert(docs, &outcomes)));
    EXPECT_THAT(Lexical("fine"), IsEmpty());
  }
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(StoreTest, AChunkWithoutAVectorIsFoundByItsWordsOnly) {
  std::vector<PreparedDocument> docs = {Prepare("a", "alpha"), Prepare("b", "beta"),
                                        Prepare("c", "gamma")};
  docs[1].chunks[0].vector.clear();
  Upsert(docs);
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(Lexical("beta"), ElementsAre("b"));
    EXPECT_THAT(Vector("beta", 9), ::testing::UnorderedElementsAre("a", "c"));
    Reopen();
  }
}

TEST_F(StoreTest, FiltersRestrictBothSearches) {
  Upsert({Prepare("a", "red fox", {{"year", int64_t{2001}}}),
          Prepare("b", "red fox", {{"year", int64_t{2010}}}), Prepare("c", "red fox")});
  absl::StatusOr<Filter> filter = Filter::Parse("year >= 2005");
  ASSERT_TRUE(filter.ok());
  EXPECT_THAT(Lexical("fox", &*filter), ElementsAre("b"));
  EXPECT_THAT(*collection_->RowsAt(nullptr).ListDocuments("", 10, &*filter), ElementsAre("b"));
}

TEST_F(StoreTest, ListingGoesPageByPageInOrder) {
  Upsert({Prepare("b", "x"), Prepare("a", "x"), Prepare("c", "x"), Prepare("aa", "x")});
  EXPECT_THAT(*collection_->RowsAt(nullptr).ListDocuments("", 2, nullptr), ElementsAre("a", "aa"));
  EXPECT_THAT(*collection_->RowsAt(nullptr).ListDocuments("aa", 9, nullptr), ElementsAre("b", "c"));
  EXPECT_THAT(*collection_->RowsAt(nullptr).ListDocuments("", 0, nullptr), IsEmpty());
}

TEST_F(StoreTest, APageOfRowsSaysWhereTheNextBegins) {
  for (int i = 0; i < 10; ++i) {
    Upsert({Prepare(absl::StrCat("d", i), "some text",
                    {{"even", chunking::MetadataValue(i % 2 == 0)}})});
  }
  const CollectionRows rows = collection_->RowsAt(nullptr);
  const absl::StatusOr<Filter> even = Filter::Parse("even = true");
  const absl::StatusOr<Filter> none = Filter::Parse("even = 7");
  const auto ids = [](const DocumentRows& page) {
    std::vector<std::string> list;
    for (const auto& [id, row] : page.documents) list.push_back(id);
    return list;
  };
  absl::StatusOr<DocumentRows> page = rows.ReadDocuments("", 3);
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_THAT(ids(*page), ElementsAre("d0", "d1", "d2"));
  EXPECT_EQ(page->next_after, "d2");
  EXPECT_FALSE(page->complete);
  // To the last document exactly: complete all the same.
  page = rows.ReadDocuments("d6", 3);
  EXPECT_THAT(ids(*page), ElementsAre("d7", "d8", "d9"));
  EXPECT_TRUE(page->complete);
  page = rows.ReadDocuments("", 2, &*even);
  EXPECT_THAT(ids(*page), ElementsAre("d0", "d2"));
  EXPECT_EQ(page->next_after, "d2");
  // The scan is bounded, whatever matches.
  page = rows.ReadDocuments("", 10, &*none, 4);
  EXPECT_THAT(ids(*page), IsEmpty());
  EXPECT_EQ(page->next_after, "d3");
  EXPECT_FALSE(page->complete);
  page = rows.ReadDocuments("d5", 10, &*none, 4);
  EXPECT_EQ(page->next_after, "d9");
  EXPECT_TRUE(page->complete);
  // Nothing to be read, and nothing wanted.
  page = rows.ReadDocuments("d9", 10);
  EXPECT_THAT(ids(*page), IsEmpty());
  EXPECT_TRUE(page->complete);
  EXPECT_EQ(page->next_after, "d9");
  page = rows.ReadDocuments("d4", 0);
  EXPECT_THAT(ids(*page), IsEmpty());
  EXPECT_FALSE(page->complete);
  EXPECT_EQ(page->next_after, "d4");
}

TEST_F(StoreTest, VerifyingOneCollectionLooksAtNoOther) {
  Upsert({Prepare("a", "red fox")});
  ASSERT_TRUE(store_->Create("d", Settings()).ok());
  RowBatch batch;
  batch.Delete(
      Family::kChunks,
      ChunkKey(collection_->id(), collection_->RowsAt(nullptr).GetDocument("a")->first_chunk));
  batch.Put(Family::kDocuments, DocumentKey(77, "lost"), "x");
  ASSERT_TRUE(store_->rows().Commit(std::move(batch)).ok());
  const auto problems = [&](const std::string& collection) {
    std::vector<std::string> found;
    VerifyReport report;
    const absl::Status s = store_->Verify(
        {true, collection, nullptr, {}}, [&](const std::string& p) { found.push_back(p); },
        &report);
    EXPECT_TRUE(s.ok()) << s;
    EXPECT_EQ(report.collections, collection.empty() ? 2u : 1u);
    return found;
  };
  EXPECT_THAT(problems("d"), IsEmpty());
  EXPECT_THAT(problems("c"), ElementsAre(HasSubstr("is missing")));
  EXPECT_EQ(problems("").size(), 2u);
  VerifyReport report;
  EXPECT_TRUE(absl::IsNotFound(store_->Verify(
      {true, "nobody", nullptr, {}}, [](const std::string&) {}, &report)));
}

TEST_F(StoreTest, AVerificationCanBeGivenUpAtEveryStage) {
  std::vector<PreparedDocument> documents;
  for (int i = 0; i < 200; ++i) documents.push_back(Prepare(absl::StrCat("d", i), "red fox"));
  Upsert(documents);
  ASSERT_TRUE(collection_->Compact().ok());
  Reopen();  // Rows are in table files now.
  std::vector<std::string> stages;
  VerifyReport report;
  const auto fail = [](const std::string& p) { ADD_FAILURE() << p; };
  const StageProgress follow = [&](std::string_view stage, uint64_t done, uint64_t total) {
    if (total > 0) {
      EXPECT_LE(done, total);
    }
    if (stages.empty() || stages.back() != stage) stages.emplace_back(stage);
  };
  ASSERT_TRUE(store_->Verify({true, "", nullptr, follow}, fail, &report).ok());
  EXPECT_THAT(stages, ElementsAre("tables", "rows", "segments"));
  for (const std::string& stage : stages) {
    std::atomic<bool> cancel{false};
    const StageProgress stop = [&](std::string_view now, uint64_t, uint64_t) {
      if (now == stage) cancel = true;
    };
    EXPECT_TRUE(absl::IsCancelled(store_->Verify({true, "", &cancel, stop}, fail, &report)))
        << stage;
  }
  const std::atomic<bool> cancel{true};
  EXPECT_TRUE(absl::IsCancelled(store_->Verify({true, "", &cancel, {}}, fail, &report)));
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(StoreTest, CompactingTheRowsCanBeFollowedAndGivenUp) {
  std::vector<PreparedDocument> documents;
  for (int i = 0; i < 200; ++i) documents.push_back(Prepare(absl::StrCat("d", i), "red fox"));
  Upsert(documents);
  std::vector<double> shares;
  std::atomic<bool> cancel{false};
  const WorkControl::Progress follow = [&](double share) { shares.push_back(share); };
  ASSERT_TRUE(store_->rows().CompactAll(&cancel, follow).ok());
  EXPECT_EQ(shares.size(), kFamilyCount);
  EXPECT_TRUE(std::is_sorted(shares.begin(), shares.end()));
  const WorkControl::Progress stop = [&](double) { cancel = true; };
  EXPECT_TRUE(absl::IsCancelled(store_->rows().CompactAll(&cancel, stop)));
  EXPECT_THAT(Problems(), IsEmpty());
  Upsert({Prepare("more", "red fox")});
  EXPECT_TRUE(store_->rows().CompactAll().ok());
}

TEST_F(StoreTest, CollectionsDoNotSeeEachOther) {
  absl::StatusOr<std::shared_ptr<Collection>> other = store_->Create("d", Settings());
  ASSERT_TRUE(other.ok());
  Upsert({Prepare("a", "red fox")});
  std::vector<WriteOutcome> outcomes;
  ASSERT_TRUE((*other)->Upsert({Prepare("a", "blue whale")}, &outcomes).ok());
  EXPECT_THAT(Lexical("whale"), IsEmpty());
  EXPECT_THAT(*store_->List(), ElementsAre("c", "d"));
  ASSERT_TRUE(store_->Drop("d").ok());
  EXPECT_TRUE(absl::IsFailedPrecondition((*other)->Upsert({Prepare("z", "late")}, &outcomes)));
  EXPECT_TRUE(absl::IsNotFound(store_->Find("d").status()));
  EXPECT_THAT(Lexical("fox"), ElementsAre("a"));
  EXPECT_THAT(Problems(), IsEmpty());
  // A new collection of the same name is empty.
  other = store_->Create("d", Settings());
  ASSERT_TRUE(other.ok());
  EXPECT_EQ((*other)->Stats().documents, 0u);
}

TEST_F(StoreTest, BadCollectionNamesAreRefused) {
  for (const char* name : {"", ".", "../x", "a/b", "a b", "\xc3\xa9"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(store_->Create(name, Settings()).status())) << name;
  }
  EXPECT_TRUE(absl::IsAlreadyExists(store_->Create("c", Settings()).status()));
}

TEST_F(StoreTest, ASecondWriterIsTurnedAwayAndAReaderIsNot) {
  Upsert({Prepare("a", "red fox")});
  const absl::Status s = Store::Open(dir_.file("store"), Writable()).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(s));
  EXPECT_THAT(std::string(s.message()), HasSubstr("another process"));
  StoreOptions reading;
  reading.rows.read_only = true;
  absl::StatusOr<std::unique_ptr<Store>> reader = Store::Open(dir_.file("store"), reading);
  ASSERT_TRUE(reader.ok()) << reader.status();
  absl::StatusOr<std::shared_ptr<Collection>> c = (*reader)->Find("c");
  ASSERT_TRUE(c.ok());
  EXPECT_EQ((*c)->Stats().documents, 1u);
  std::vector<WriteOutcome> outcomes;
  EXPECT_TRUE(absl::IsFailedPrecondition((*c)->Upsert({Prepare("b", "y")}, &outcomes)));
}

TEST_F(StoreTest, WritingStopsBeforeTheDiskIsFull) {
  Upsert({Prepare("a", "red fox")});
  collection_.reset();
  store_.reset();
  StoreOptions o = Writable();
  o.rows.min_free_bytes = uint64_t{1} << 62;
  absl::StatusOr<std::unique_ptr<Store>> store = Store::Open(dir_.file("store"), o);
  ASSERT_TRUE(store.ok());
  absl::StatusOr<std::shared_ptr<Collection>> c = (*store)->Find("c");
  ASSERT_TRUE(c.ok());
  std::vector<WriteOutcome> outcomes;
  EXPECT_TRUE(absl::IsResourceExhausted((*c)->Upsert({Prepare("b", "y")}, &outcomes)));
  EXPECT_EQ((*c)->Stats().documents, 1u);
}

// RocksDB asked to create what is missing would start an empty database and delete the tables.

TEST_F(StoreTest, AStoreWithAMissingFileIsRefusedAndNothingInItDeleted) {
  Upsert({Prepare("a", "red fox")});
  collection_.reset();
  store_.reset();
  const std::filesystem::path db = dir_.file("store/db");
  const std::filesystem::path aside = dir_.file("aside");
  const auto files = [&] {
    std::map<std::string, uintmax_t> sizes;
    for (const auto& e : std::filesystem::directory_iterator(db)) {
      const std::string name = e.path().filename().string();
      if (name.rfind("LOG", 0) != 0) sizes[name] = e.file_size();
    }
    return sizes;
  };
  const auto before = files();
  std::filesystem::rename(db / "CURRENT", aside);
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(absl::IsDataLoss(Store::Open(dir_.file("store"), Writable()).status()));
    EXPECT_FALSE(Store::Open(dir_.file("store"), StoreOptions()).ok());
  }
  std::filesystem::rename(aside, db / "CURRENT");
  EXPECT_EQ(files(), before);

  std::filesystem::rename(db, aside);
  EXPECT_TRUE(absl::IsDataLoss(Store::Open(dir_.file("store"), Writable()).status()));
  EXPECT_FALSE(std::filesystem::exists(db));
  std::filesystem::rename(aside, db);

  std::filesystem::rename(dir_.file("store/FORMAT"), aside);
  EXPECT_TRUE(absl::IsDataLoss(Store::Open(dir_.file("store"), Writable()).status()));
  std::filesystem::rename(aside, dir_.file("store/FORMAT"));

  // Another store's database under this FORMAT.
  ASSERT_TRUE(Store::Open(dir_.file("other"), Writable()).ok());
  std::filesystem::rename(db, aside);
  std::filesystem::copy(dir_.file("other/db"), db);
  EXPECT_TRUE(absl::IsDataLoss(Store::Open(dir_.file("store"), Writable()).status()));
  std::filesystem::remove_all(db);
  std::filesystem::rename(aside, db);

  Reopen();
  EXPECT_THAT(Lexical("fox"), ElementsAre("a"));
}

TEST_F(StoreTest, AFailedDropLeavesTheCollectionWritable) {
  Upsert({Prepare("a", "red fox")});
  collection_.reset();
  store_.reset();
  StoreOptions o = Writable();
  o.rows.min_free_bytes = uint64_t{1} << 62;
  absl::StatusOr<std::unique_ptr<Store>> store = Store::Open(dir_.file("store"), o);
  ASSERT_TRUE(store.ok());
  absl::StatusOr<std::shared_ptr<Collection>> c = (*store)->Find("c");
  ASSERT_TRUE(c.ok());
  EXPECT_TRUE(absl::IsResourceExhausted((*store)->Drop("c")));
  std::vector<WriteOutcome> outcomes;
  EXPECT_TRUE(absl::IsResourceExhausted((*c)->Upsert({Prepare("b", "y")}, &outcomes)));
  EXPECT_TRUE((*store)->Find("c").ok());
}

TEST_F(StoreTest, DeletesGoOnWhereWritesStopForLackOfSpace) {
  Upsert({Prepare("a", "red fox")});
  collection_.reset();
  store_.reset();
  const auto free = std::filesystem::space(dir_.path()).available;
  StoreOptions o = Writable();
  o.rows.min_free_bytes = free * 2;
  absl::StatusOr<std::unique_ptr<Store>> store = Store::Open(dir_.file("store"), o);
  ASSERT_TRUE(store.ok());
  absl::StatusOr<std::shared_ptr<Collection>> c = (*store)->Find("c");
  ASSERT_TRUE(c.ok());
  std::vector<WriteOutcome> outcomes;
  EXPECT_TRUE(absl::IsResourceExhausted((*c)->Upsert({Prepare("b", "y")}, &outcomes)));
  std::vector<bool> deleted;
  EXPECT_TRUE((*c)->Delete({"a"}, &deleted).ok());
}

// A flush between a reader's look at the manifest and its look at the logs must not hide rows.

TEST_F(StoreTest, AViewReadsTheRowsItsIndexHas) {
  Upsert({Prepare("a", "version 0")});
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (int i = 1; !stop; ++i) Upsert({Prepare("a", "version " + std::to_string(i))});
  });
  const TermBag terms = WordBag("version");
  CandidateQuery q;
  q.terms = &terms;
  for (int i = 0; i < 300; ++i) {
    std::shared_ptr<const RowSnapshot> snapshot;
    ChunkId chunk;
    {
      const Collection::View view(*collection_);
      absl::StatusOr<Candidates> found = view.Search(q);
      ASSERT_TRUE(found.ok());
      ASSERT_EQ(found->lexical.size(), 1u);
      chunk = found->lexical[0].chunk;
      snapshot = view.snapshot();
    }
    std::vector<ChunkId> ids;
    std::vector<ChunkRow> rows;
    ASSERT_TRUE(collection_->RowsAt(snapshot.get()).GetChunks({chunk}, &ids, &rows).ok());
    ASSERT_EQ(rows.size(), 1u);
    ASSERT_EQ(collection_->RowsAt(snapshot.get()).GetDocument("a")->first_chunk, chunk);
    if (i % 30 == 0) {
      ASSERT_THAT(Problems(), IsEmpty());
    }
  }
  stop = true;
  writer.join();
}

// Damage that no checksum of RocksDB's sees, because it goes through RocksDB.

TEST_F(StoreTest, VerifyNamesMissingStrayAndForeignRows) {
  Upsert({Prepare("a", "red fox\nblue whale"), Prepare("b", "red panda")});
  const DocumentRow a = *collection_->RowsAt(nullptr).GetDocument("a");
  const CollectionId id = collection_->id();
  const auto damage = [&](auto change) {
    RowBatch batch;
    change(&batch);
    EXPECT_TRUE(store_->rows().Commit(std::move(batch)).ok());
  };
  std::string chunk0, forward0, vector0;
  const std::string key0 = ChunkKey(id, a.first_chunk);
  ASSERT_TRUE(store_->rows().Get(Family::kChunks, key0, nullptr, &chunk0).ok());
  ASSERT_TRUE(store_->rows().Get(Family::kForward, key0, nullptr, &forward0).ok());

  damage([&](RowBatch* b) { b->Delete(Family::kChunks, key0); });
  EXPECT_THAT(Problems(), ::testing::Contains(HasSubstr("is missing")));
  // Another chunk's bytes under this key.
  std::string chunk1;
  ASSERT_TRUE(
      store_->rows().Get(Family::kChunks, ChunkKey(id, a.first_chunk + 1), nullptr, &chunk1).ok());
  damage([&](RowBatch* b) { b->Put(Family::kChunks, key0, chunk1); });
  EXPECT_THAT(Problems(), ElementsAre(HasSubstr("checksum")));
  // A well-formed row with other text.
  ChunkRow row = *DecodeChunk(key0, chunk0);
  row.text[0] = 'R';
  damage([&](RowBatch* b) { b->Put(Family::kChunks, key0, Encode(key0, row)); });
  EXPECT_THAT(Problems(), ElementsAre(HasSubstr("do not spell")));
  damage([&](RowBatch* b) { b->Put(Family::kChunks, key0, chunk0); });
  EXPECT_THAT(Problems(), IsEmpty());

  damage([&](RowBatch* b) { b->Delete(Family::kForward, key0); });
  EXPECT_THAT(Problems(), ElementsAre(HasSubstr("is missing")));
  damage([&](RowBatch* b) { b->Put(Family::kForward, key0, forward0); });
  const std::string stray = ChunkKey(id, 4000);
  damage([&](RowBatch* b) {
    b->Put(Family::kVectors, stray, EncodeVector(stray, TextVector("x")));
    b->Put(Family::kTerms, TermKey(id, "fox"), EncodeTerm(TermKey(id, "fox"), 0));
    b->Put(Family::kDocuments, DocumentKey(77, "lost"), "x");
  });
  const std::vector<std::string> problems = Problems();
  EXPECT_THAT(problems, ::testing::Contains(HasSubstr("belongs to no document")));
  EXPECT_THAT(problems, ::testing::Contains(HasSubstr("belong to no collection")));
  EXPECT_THAT(problems, ::testing::Contains(HasSubstr("two terms")));
  // And a damaged collection does not load as if nothing were wrong.
  collection_.reset();
  store_.reset();
  absl::StatusOr<std::unique_ptr<Store>> store = Store::Open(dir_.file("store"), Writable());
  ASSERT_TRUE(store.ok());
  EXPECT_TRUE(absl::IsDataLoss((*store)->Find("c").status()));
}

// Random upserts, deletes and reopenings against a plain map.

TEST_F(StoreTest, FollowsAModelThroughRandomHistory) {
  std::mt19937 rng(7);
  std::map<std::string, std::string> model;
  const auto word = [&] { return "w" + std::to_string(rng() % 12); };
  for (int step = 0; step < 300; ++step) {
    const std::string id = "d" + std::to_string(rng() % 15);
    switch (rng() % 8) {
      case 0:
        Delete({id});
        model.erase(id);
        break;
      case 1:
        if (step % 10 == 0) Reopen();
        break;
      default: {
        std::vector<PreparedDocument> batch;
        for (size_t n = 1 + rng() % 3; n > 0; --n) {
          const std::string target = "d" + std::to_string(rng() % 15);
          std::string text;
          for (size_t lines = rng() % 3 + 1; lines > 0; --lines) {
            text += word() + " " + word() + " " + word() + "\n";
          }
          batch.push_back(Prepare(target, text));
          model[target] = text;
        }
        Upsert(batch);
      }
    }
    const std::string probe = word();
    std::vector<std::string> expected;
    for (const auto& [d, text] : model) {
      std::istringstream lines(text);
      for (std::string line; std::getline(lines, line);) {
        const std::string padded = " " + line + " ";
        if (padded.find(" " + probe + " ") != std::string::npos) expected.push_back(d);
      }
    }
    std::vector<std::string> found = Lexical(probe);
    std::sort(found.begin(), found.end());
    ASSERT_EQ(found, expected) << "step " << step;
    ASSERT_EQ(collection_->Stats().documents, model.size());
  }
  EXPECT_THAT(Problems(), IsEmpty());
}

// A process killed after its acknowledgement loses nothing.

}  // namespace
}  // namespace cairn::index
