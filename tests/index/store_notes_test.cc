// What was noted of collections: kept as long as they are, and no longer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "index/store.h"
#include "index/store_snapshot.h"
#include "tests/support/prepared.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_store.h"

namespace cairn::index {
namespace {

using ::cairn::testing::Prepare;
using ::cairn::testing::Settings;
using ::cairn::testing::TempDir;
using ::cairn::testing::Writable;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class StoreNotes : public ::testing::Test {
 protected:
  void SetUp() override { Reopen(); }

  void Reopen(const std::string& name = "store", bool read_only = false) {
    store_.reset();
    StoreOptions options = Writable();
    options.rows.read_only = read_only;
    options.rows.create_if_missing = !read_only;
    options.now = [this] { return absl::FromUnixMillis(now_ms_); };
    absl::StatusOr<std::unique_ptr<Store>> store = Store::Open(dir_.file(name), options);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }

  void Create(const std::string& name, const CollectionRemarks& remarks = {}) {
    const absl::Status s = store_->Create(name, Settings(), remarks).status();
    ASSERT_TRUE(s.ok()) << s;
  }

  NotesRow Notes(const std::string& name) {
    absl::StatusOr<NotesRow> notes = store_->Notes(name);
    EXPECT_TRUE(notes.ok()) << notes.status();
    return notes.ok() ? *notes : NotesRow();
  }

  CollectionId IdOf(const std::string& name) { return store_->Describe(name)->id; }

  bool HasRow(CollectionId id) {
    std::string value;
    return store_->rows().Get(Family::kDefault, NotesKey(id), nullptr, &value).ok();
  }

  void Put(const std::string& key, const std::string& value) {
    RowBatch batch;
    batch.Put(Family::kDefault, key, value);
    ASSERT_TRUE(store_->rows().Commit(std::move(batch)).ok());
  }

  std::vector<std::string> Problems(const std::string& collection = "") {
    std::vector<std::string> problems;
    VerifyReport report;
    const absl::Status s = store_->Verify(
        {true, collection, nullptr, {}}, [&](const std::string& p) { problems.push_back(p); },
        &report);
    EXPECT_TRUE(s.ok()) << s;
    EXPECT_EQ(report.problems, problems.size());
    return problems;
  }

  TempDir dir_;
  int64_t now_ms_ = 1'700'000'000'123;
  std::unique_ptr<Store> store_;
};

TEST_F(StoreNotes, AreThereFromTheCreationOnAndAfterReopening) {
  Create("c", {"what it is", {{"team", "search"}, {"empty", ""}}});
  now_ms_ += 1000;
  Create("plain");
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(Notes("c"), (NotesRow{1'700'000'000'123,
                                    1'700'000'000'123,
                                    "what it is",
                                    {{"empty", ""}, {"team", "search"}}}));
    EXPECT_EQ(Notes("plain"), (NotesRow{1'700'000'001'123, 1'700'000'001'123, "", {}}));
    EXPECT_THAT(Problems(), IsEmpty());
    Reopen();
  }
  Reopen("store", true);
  EXPECT_EQ(Notes("c").description, "what it is");
  EXPECT_TRUE(absl::IsFailedPrecondition(store_->SetRemarks("c", {})));
}

TEST_F(StoreNotes, AreReplacedWholeAndKeepWhenTheCollectionWasCreated) {
  Create("c", {"old", {{"a", "1"}, {"b", "2"}}});
  now_ms_ = 1'800'000'000'000;
  ASSERT_TRUE(store_->SetRemarks("c", {"new", {{"b", "3"}}}).ok());
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(Notes("c"), (NotesRow{1'700'000'000'123, 1'800'000'000'000, "new", {{"b", "3"}}}));
    Reopen();
  }
  EXPECT_TRUE(absl::IsNotFound(store_->SetRemarks("nobody", {})));
  EXPECT_TRUE(absl::IsNotFound(store_->Notes("nobody").status()));
}

TEST_F(StoreNotes, GoWithTheCollectionAndAreNotInheritedByTheNextOfItsName) {
  Create("c", {"first", {}});
  const CollectionId id = IdOf("c");
  EXPECT_TRUE(HasRow(id));
  ASSERT_TRUE(store_->Drop("c").ok());
  EXPECT_FALSE(HasRow(id));
  Create("c");
  EXPECT_EQ(Notes("c").description, "");
  // One that is not in memory.
  ASSERT_TRUE(store_->SetRemarks("c", {"second", {}}).ok());
  const CollectionId second = IdOf("c");
  Reopen();
  ASSERT_TRUE(store_->Drop("c").ok());
  EXPECT_FALSE(HasRow(second));
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(StoreNotes, StayWhenAnotherModelsVectorsTakeTheCollectionsPlace) {
  Create("c", {"kept", {{"a", "1"}}});
  const NotesRow before = Notes("c");
  const CollectionId old = IdOf("c");
  now_ms_ += 5000;
  {
    absl::StatusOr<std::unique_ptr<Reembedding>> r =
        store_->Reembed("c", "other", cairn::testing::kTestDim, "a model");
    ASSERT_TRUE(r.ok()) << r.status();
    EXPECT_THAT(Problems(), IsEmpty());
    const Collection::WritePause pause(&(*r)->source());
    ASSERT_TRUE((*r)->Commit().ok());
  }
  EXPECT_NE(IdOf("c"), old);
  EXPECT_FALSE(HasRow(old));
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(Notes("c"), before);
    EXPECT_THAT(Problems(), IsEmpty());
    Reopen();
  }
}

TEST_F(StoreNotes, DamagedOnesAreNotLostWhenTheVectorsAreReplaced) {
  Create("c", {"kept", {}});
  Put(NotesKey(IdOf("c")), "nonsense");
  absl::StatusOr<std::unique_ptr<Reembedding>> r =
      store_->Reembed("c", "other", cairn::testing::kTestDim, "a model");
  ASSERT_TRUE(r.ok()) << r.status();
  const Collection::WritePause pause(&(*r)->source());
  EXPECT_TRUE(absl::IsDataLoss((*r)->Commit()));
}

TEST_F(StoreNotes, OfACollectionOfAProgramWithoutThemAreEmptyUntilSomebodyMakesSome) {
  Create("c");
  RowBatch batch;
  batch.Delete(Family::kDefault, NotesKey(IdOf("c")));
  ASSERT_TRUE(store_->rows().Commit(std::move(batch)).ok());
  Reopen();
  EXPECT_EQ(Notes("c"), NotesRow());
  EXPECT_THAT(Problems(), IsEmpty());
  now_ms_ = 5;
  ASSERT_TRUE(store_->SetRemarks("c", {"now", {}}).ok());
  EXPECT_EQ(Notes("c"), (NotesRow{0, 5, "now", {}}));
}

TEST_F(StoreNotes, DamageIsNamedCostsNothingElseAndIsWrittenOver) {
  Create("c", {"text", {}});
  Create("d");
  const std::string key = NotesKey(IdOf("c"));
  std::string row;
  ASSERT_TRUE(store_->rows().Get(Family::kDefault, key, nullptr, &row).ok());
  for (size_t i = 0; i < row.size(); ++i) {
    std::string bad = row;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    Put(key, bad);
    EXPECT_FALSE(store_->Notes("c").ok()) << i;
    EXPECT_THAT(Problems(), ElementsAre(HasSubstr("collection c: notes: "))) << i;
    EXPECT_THAT(Problems("c"), ElementsAre(HasSubstr("collection c: notes: "))) << i;
    EXPECT_THAT(Problems("d"), IsEmpty());
  }
  // Another collection's row under this key.
  std::string other;
  ASSERT_TRUE(store_->rows().Get(Family::kDefault, NotesKey(IdOf("d")), nullptr, &other).ok());
  Put(key, other);
  EXPECT_TRUE(absl::IsDataLoss(store_->Notes("c").status()));
  std::vector<WriteOutcome> outcomes;
  EXPECT_TRUE((*store_->Find("c"))->Upsert({{Prepare("a", "red fox")}}, &outcomes).ok());
  ASSERT_TRUE(store_->SetRemarks("c", {"again", {}}).ok());
  EXPECT_EQ(Notes("c").description, "again");
  EXPECT_EQ(Notes("c").created_ms, 0);
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(StoreNotes, WhatAnotherProgramLeftBehindIsNamedAndDeletedAtTheNextOpening) {
  Create("c", {"text", {}});
  const std::string key = NotesKey(4000);
  Put(key, Encode(key, NotesRow{1, 1, "of one that is gone", {}}));
  EXPECT_THAT(Problems(), ElementsAre(HasSubstr("notes of 1 collections that are gone")));
  Reopen("store", true);
  EXPECT_TRUE(HasRow(4000));
  Reopen();
  EXPECT_FALSE(HasRow(4000));
  EXPECT_THAT(Problems(), IsEmpty());
  EXPECT_EQ(Notes("c").description, "text");
}

TEST_F(StoreNotes, AreNotDeletedWhereACollectionCannotBeRead) {
  Create("c", {"text", {}});
  const CollectionId id = IdOf("c");
  std::string row;
  ASSERT_TRUE(store_->rows().Get(Family::kDefault, CollectionNameKey("c"), nullptr, &row).ok());
  Put(CollectionNameKey("c"), "nonsense");
  Reopen();
  EXPECT_TRUE(HasRow(id));
  Put(CollectionNameKey("c"), row);
  EXPECT_EQ(Notes("c").description, "text");
}

TEST_F(StoreNotes, ASnapshotCarriesThem) {
  Create("c", {"text", {{"a", "b"}}});
  const NotesRow before = Notes("c");
  ASSERT_TRUE(store_->Snapshot(dir_.file("copy")).ok());
  ASSERT_TRUE(store_->SetRemarks("c", {"later", {}}).ok());
  Reopen("copy");
  EXPECT_EQ(Notes("c"), before);
  store_.reset();
  ASSERT_TRUE(RestoreStore(dir_.file("copy"), dir_.file("restored")).ok());
  Reopen("restored");
  EXPECT_EQ(Notes("c"), before);
}

TEST_F(StoreNotes, BelongToOneCollectionWhoeverChangesThemWhileOthersDropAndCreateIt) {
  std::atomic<bool> stop{false};
  std::thread owner([&] {
    while (!stop) {
      const absl::Status s = store_->SetRemarks("c", {"owned", {{"a", "b"}}});
      EXPECT_TRUE(s.ok() || absl::IsNotFound(s)) << s;
    }
  });
  std::thread reader([&] {
    while (!stop) {
      absl::StatusOr<NotesRow> notes = store_->Notes("c");
      EXPECT_TRUE(notes.ok() || absl::IsNotFound(notes.status())) << notes.status();
      // Whole: both or none.
      if (notes.ok()) {
        EXPECT_EQ(notes->description.empty(), notes->labels.empty());
      }
      EXPECT_TRUE(store_->List().ok());
    }
  });
  for (int i = 0; i < 50; ++i) {
    Create("c");
    EXPECT_TRUE(store_->Drop("c").ok());
  }
  stop = true;
  owner.join();
  reader.join();
  EXPECT_THAT(Problems(), IsEmpty());
  Create("c");
  EXPECT_EQ(Notes("c").description, "");
}

TEST_F(StoreNotes, ListingGoesByPrefixAndPage) {
  for (const char* name : {"b", "a.x", "a.y", "a", "ab", "z"}) Create(name);
  const auto list = [&](std::string_view prefix, std::string_view after, size_t limit) {
    absl::StatusOr<std::vector<std::string>> names = store_->List(prefix, after, limit);
    EXPECT_TRUE(names.ok()) << names.status();
    return names.ok() ? *names : std::vector<std::string>{};
  };
  EXPECT_THAT(*store_->List(), ElementsAre("a", "a.x", "a.y", "ab", "b", "z"));
  EXPECT_THAT(list("", "", 2), ElementsAre("a", "a.x"));
  EXPECT_THAT(list("", "a.x", 2), ElementsAre("a.y", "ab"));
  EXPECT_THAT(list("", "z", 2), IsEmpty());
  EXPECT_THAT(list("a.", "", 9), ElementsAre("a.x", "a.y"));
  EXPECT_THAT(list("a.", "a.x", 9), ElementsAre("a.y"));
  EXPECT_THAT(list("a.", "a", 9), ElementsAre("a.x", "a.y"));
  EXPECT_THAT(list("a", "b", 9), IsEmpty());
  EXPECT_THAT(list("b", "a", 9), ElementsAre("b"));
  EXPECT_THAT(list("", "", 0), IsEmpty());
  EXPECT_THAT(list("\xff", "", 9), IsEmpty());
  EXPECT_THAT(list("", "\xff\xff", 9), IsEmpty());
  EXPECT_THAT(list("", std::string_view("a\0", 2), 1), ElementsAre("a.x"));
}

}  // namespace
}  // namespace cairn::index
