// Collections and their documents as somebody far away manages them: notes, pages, long work.
#include "engine/collections.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "engine/engine.h"
#include "tests/support/temp_dir.h"

namespace cairn {
namespace {

using ::cairn::testing::TempDir;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(CheckNotes, TakesWhatIsWithinTheLimits) {
  CollectionNotes notes;
  EXPECT_TRUE(engine::CheckNotes(notes).ok());
  notes.description = std::string(4096, 'x');
  for (int i = 0; i < 63; ++i) notes.labels["l" + std::to_string(i)] = std::string(255, 'v');
  notes.labels[std::string(63, 'a')] = "Größe";
  EXPECT_TRUE(engine::CheckNotes(notes).ok());
  EXPECT_TRUE(engine::CheckNotes({"zwei\nZeilen", {{"a_b.c-9", ""}}}).ok());
}

TEST(CheckNotes, NamesWhatBreaksALimit) {
  const auto why = [](const CollectionNotes& notes) {
    const absl::Status s = engine::CheckNotes(notes);
    EXPECT_TRUE(absl::IsInvalidArgument(s)) << s;
    return std::string(s.message());
  };
  EXPECT_THAT(why({std::string(4097, 'x'), {}}), HasSubstr("4097 bytes"));
  EXPECT_THAT(why({"\xff", {}}), HasSubstr("the description is not valid UTF-8"));
  EXPECT_THAT(why({std::string("a\0b", 3), {}}), HasSubstr("NUL"));
  for (const std::string& name :
       {std::string(), std::string("A"), std::string("a b"), std::string("ä"),
        std::string("a\0", 2), std::string("a/b"), std::string(64, 'a')}) {
    EXPECT_THAT(why({"", {{name, "v"}}}), HasSubstr("bad label name")) << name;
  }
  EXPECT_THAT(why({"", {{"a", std::string(256, 'v')}}}), HasSubstr("label \"a\" has 256 bytes"));
  EXPECT_THAT(why({"", {{"a", "\xc3"}}}), HasSubstr("label \"a\" is not valid UTF-8"));
  CollectionNotes many;
  for (int i = 0; i < 65; ++i) many.labels["l" + std::to_string(i)];
  EXPECT_THAT(why(many), HasSubstr("65 labels"));
}

class CollectionsTest : public ::testing::Test {
 protected:
  void SetUp() override { Reopen(); }

  void Reopen() {
    engine_.reset();
    EngineOptions options;
    options.create_if_missing = true;
    options.min_free_bytes = 0;
    absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Open(dir_.file("store"), options);
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
  }

  void Ingest(const std::string& collection, const std::vector<InputDocument>& documents) {
    IngestOptions options;
    options.collection = collection;
    const absl::Status s = engine_->IngestDocuments(documents, options).status();
    ASSERT_TRUE(s.ok()) << s;
  }

  static InputDocument Document(const std::string& id, const std::string& text,
                                const Metadata& metadata = {}) {
    return {id, "Title of " + id, text, metadata, "uri:" + id, "text"};
  }

  // So many documents in a collection, of a few chunks.
  void Fill(const std::string& collection, int count) {
    std::vector<InputDocument> documents;
    for (int i = 0; i < count; ++i) {
      documents.push_back(
          Document("d" + std::to_string(i), "Text number " + std::to_string(i % 31) + "."));
    }
    Ingest(collection, documents);
  }

  TempDir dir_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(CollectionsTest, ACreatedOneIsDescribedAsItWasAskedFor) {
  const int64_t before = absl::ToUnixMillis(absl::Now());
  CollectionOptions options;
  options.chunk_tokens = 100;
  options.vector_index = "flat";
  absl::StatusOr<CollectionInfo> made =
      engine_->CreateCollection("c", options, {"what it is", {{"team", "search"}}});
  const int64_t after = absl::ToUnixMillis(absl::Now());
  ASSERT_TRUE(made.ok()) << made.status();
  for (int i = 0; i < 2; ++i) {
    absl::StatusOr<CollectionInfo> c = engine_->DescribeCollection("c");
    ASSERT_TRUE(c.ok()) << c.status();
    EXPECT_EQ(c->name, "c");
    EXPECT_EQ(c->chunk_tokens, 100u);
    EXPECT_EQ(c->vector_index, "flat");
    EXPECT_EQ(c->documents, 0u);
    EXPECT_EQ(c->notes.description, "what it is");
    EXPECT_EQ(c->notes.labels, (std::map<std::string, std::string>{{"team", "search"}}));
    EXPECT_GE(c->create_time_ms, before);
    EXPECT_LE(c->create_time_ms, after);
    EXPECT_EQ(c->update_time_ms, c->create_time_ms);
    EXPECT_EQ(c->create_time_ms, made->create_time_ms);
    absl::StatusOr<StoreInfo> stats = engine_->Stats();
    ASSERT_THAT(stats->collections, SizeIs(1));
    EXPECT_EQ(stats->collections[0].notes.description, "what it is");
    EXPECT_EQ(stats->collections[0].create_time_ms, made->create_time_ms);
    Reopen();
  }
  EXPECT_TRUE(absl::IsAlreadyExists(engine_->CreateCollection("c", {}, {}).status()));
  EXPECT_EQ(engine_->DescribeCollection("c")->chunk_tokens, 100u);
}

TEST_F(CollectionsTest, WhatCannotBeCreatedLeavesNothing) {
  CollectionOptions bad;
  bad.chunker = "no such";
  EXPECT_TRUE(absl::IsInvalidArgument(engine_->CreateCollection("c", bad, {}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(engine_->CreateCollection("c/d", {}, {}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(engine_->CreateCollection("../c", {}, {}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(engine_->CreateCollection("", {}, {}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(engine_->CreateCollection("c", {}, {"\xff", {}}).status()));
  EXPECT_THAT(*engine_->ListCollections(), IsEmpty());
  EXPECT_TRUE(absl::IsNotFound(engine_->DescribeCollection("c").status()));
  EXPECT_TRUE(absl::IsNotFound(engine_->SetCollectionNotes("c", {})));
}

TEST_F(CollectionsTest, NotesAreReplacedWholeOrNotAtAll) {
  ASSERT_TRUE(engine_->CreateCollection("c", {}, {"old", {{"a", "1"}}}).ok());
  const int64_t created = engine_->DescribeCollection("c")->create_time_ms;
  EXPECT_TRUE(absl::IsInvalidArgument(engine_->SetCollectionNotes("c", {"", {{"BAD", ""}}})));
  EXPECT_EQ(engine_->DescribeCollection("c")->notes.description, "old");
  ASSERT_TRUE(engine_->SetCollectionNotes("c", {"", {{"b", "2"}}}).ok());
  for (int i = 0; i < 2; ++i) {
    absl::StatusOr<CollectionInfo> c = engine_->DescribeCollection("c");
    EXPECT_EQ(c->notes.description, "");
    EXPECT_EQ(c->notes.labels, (std::map<std::string, std::string>{{"b", "2"}}));
    EXPECT_EQ(c->create_time_ms, created);
    EXPECT_GE(c->update_time_ms, created);
    Reopen();
  }
}

TEST_F(CollectionsTest, AnIngestionsCollectionHasTimesAndEmptyNotes) {
  Ingest("made", {Document("a", "Some text.")});
  absl::StatusOr<CollectionInfo> c = engine_->DescribeCollection("made");
  ASSERT_TRUE(c.ok()) << c.status();
  EXPECT_EQ(c->notes.description, "");
  EXPECT_THAT(c->notes.labels, IsEmpty());
  EXPECT_GT(c->create_time_ms, 0);
  EXPECT_EQ(c->documents, 1u);
  ASSERT_TRUE(engine_->CreateCollection("made.too", {}, {}).ok());
  EXPECT_THAT(*engine_->ListCollections("made", "made", 10), ElementsAre("made.too"));
  EXPECT_THAT(*engine_->ListCollections("", "", 1), ElementsAre("made"));
  ASSERT_TRUE(engine_->DeleteCollection("made").ok());
  EXPECT_THAT(*engine_->ListCollections(), ElementsAre("made.too"));
  EXPECT_EQ(engine_->Verify(true)->problem_count, 0u);
}

TEST_F(CollectionsTest, DocumentsAreListedPageByPageWithWhatTheirRowsSay) {
  std::vector<InputDocument> documents;
  for (int i = 0; i < 9; ++i) {
    documents.push_back(Document("d" + std::to_string(i), "One sentence.", {{"n", int64_t{i}}}));
  }
  Ingest("c", documents);
  absl::StatusOr<DocumentPage> page = engine_->ListDocuments("c", "", 4, "");
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_THAT(page->documents, SizeIs(4));
  for (const DocumentSummary& d : page->documents) {
    absl::StatusOr<StoredDocument> stored = engine_->Get("c", d.id);
    ASSERT_TRUE(stored.ok()) << stored.status();
    EXPECT_EQ(d.title, stored->title);
    EXPECT_EQ(d.title, "Title of " + d.id);
    EXPECT_EQ(d.source_uri, "uri:" + d.id);
    EXPECT_EQ(d.media_type, stored->media_type);
    EXPECT_EQ(d.metadata, stored->metadata);
    EXPECT_EQ(d.text_bytes, stored->text.size());
    EXPECT_EQ(d.chunk_count, stored->chunks.size());
    EXPECT_EQ(d.first_chunk, stored->chunks.front().id);
  }
  // A filter walked in small steps finds what one walk finds.
  std::vector<std::string> found;
  std::string after;
  int steps = 0;
  for (bool complete = false; !complete; ++steps) {
    page = engine_->ListDocuments("c", after, 10, "n >= 5", 2);
    ASSERT_TRUE(page.ok()) << page.status();
    for (const DocumentSummary& d : page->documents) found.push_back(d.id);
    EXPECT_GT(page->next_after, after);
    after = page->next_after;
    complete = page->complete;
    ASSERT_LT(steps, 6);
  }
  EXPECT_EQ(steps, 5);
  EXPECT_EQ(found, *engine_->List("c", "", 10, "n >= 5"));
  EXPECT_THAT(found, ElementsAre("d5", "d6", "d7", "d8"));
}

TEST_F(CollectionsTest, AListThatCannotBeMadeSaysWhy) {
  Ingest("c", {Document("a", "Text.")});
  EXPECT_TRUE(absl::IsNotFound(engine_->ListDocuments("nobody", "", 4, "").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(engine_->ListDocuments("c", "", 4, "n >").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(engine_->ListDocuments("c", "", 4, "", 0).status()));
  EXPECT_TRUE(engine_->ListDocuments("c", std::string(5000, '\xff'), 4, "")->complete);
}

TEST_F(CollectionsTest, MaintenanceOfOneLeavesTheOthersSegments) {
  Fill("a", 50);
  Fill("b", 50);
  EXPECT_EQ(engine_->DescribeCollection("a")->segments, 0u);
  MaintenanceOptions only;
  only.collection = "a";
  std::vector<MaintenanceProgress> seen;
  only.on_progress = [&](const MaintenanceProgress& p) { seen.push_back(p); };
  ASSERT_TRUE(engine_->Compact(only).ok());
  EXPECT_EQ(engine_->DescribeCollection("a")->segments, 1u);
  EXPECT_EQ(engine_->DescribeCollection("b")->segments, 0u);
  ASSERT_FALSE(seen.empty());
  for (const MaintenanceProgress& p : seen) {
    EXPECT_EQ(p.stage, "segments");
    EXPECT_EQ(p.total, 50u);
    EXPECT_LE(p.done, p.total);
  }
  EXPECT_EQ(seen.back().done, 50u);
  ASSERT_TRUE(engine_->Reindex(only).ok());
  EXPECT_EQ(engine_->DescribeCollection("b")->segments, 0u);
  EXPECT_EQ(engine_->Verify(true, only)->collections, 1u);
  EXPECT_EQ(engine_->Verify(true, only)->documents, 50u);
  only.collection = "nobody";
  EXPECT_TRUE(absl::IsNotFound(engine_->Compact(only)));
  EXPECT_TRUE(absl::IsNotFound(engine_->Reindex(only)));
  EXPECT_TRUE(absl::IsNotFound(engine_->Verify(false, only).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(engine_->Snapshot(dir_.file("copy"), only)));
  EXPECT_FALSE(std::filesystem::exists(dir_.file("copy")));
}

TEST_F(CollectionsTest, LongWorkTellsItsStagesAndEndsWhereItIsCancelled) {
  Fill("a", 300);
  Fill("b", 300);
  ASSERT_TRUE(engine_->Compact().ok());
  Reopen();  // Rows are in table files now.
  const auto run = [&](int which, const MaintenanceOptions& options) {
    switch (which) {
      case 0:
        return engine_->Verify(true, options).status();
      case 1:
        return engine_->Reindex(options);
      case 2:
        return engine_->Compact(options);
      default:
        return engine_->Snapshot(dir_.file("copy"), options);
    }
  };
  const std::vector<std::vector<std::string>> stages = {
      {"tables", "rows", "segments"}, {"segments"}, {"segments", "tables"}, {"rows", "segments"}};
  for (size_t which = 0; which < stages.size(); ++which) {
    std::map<std::string, uint64_t> done;
    std::vector<std::string> seen;
    MaintenanceOptions options;
    options.on_progress = [&](const MaintenanceProgress& p) {
      if (p.total > 0) {
        EXPECT_LE(p.done, p.total);
      }
      if (seen.empty() || seen.back() != p.stage) seen.push_back(p.stage);
      EXPECT_GE(p.done, done[p.stage]) << p.stage;
      done[p.stage] = p.done;
    };
    const absl::Status s = run(which, options);
    ASSERT_TRUE(s.ok()) << s;
    // Verification goes from collection to collection.
    seen.resize(std::min(seen.size(), stages[which].size()));
    EXPECT_EQ(seen, stages[which]);
    std::filesystem::remove_all(dir_.file("copy"));
    for (const std::string& stage : stages[which]) {
      std::atomic<bool> cancel{false};
      options.cancel = &cancel;
      options.on_progress = [&](const MaintenanceProgress& p) {
        if (p.stage == stage) cancel = true;
      };
      const absl::Status stopped = run(which, options);
      EXPECT_TRUE(absl::IsCancelled(stopped)) << which << " " << stage << " " << stopped;
      EXPECT_FALSE(std::filesystem::exists(dir_.file("copy")));
      EXPECT_FALSE(std::filesystem::exists(dir_.file("copy.partial")));
      EXPECT_EQ(engine_->Verify(true)->problem_count, 0u);
    }
  }
}

}  // namespace
}  // namespace cairn
