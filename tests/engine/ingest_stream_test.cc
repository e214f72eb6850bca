// Documents from a source that may wait, and what becomes of each.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <cmath>
#include <deque>
#include <filesystem>
#include <set>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "engine/engine.h"
#include "tests/support/temp_dir.h"

namespace cairn {
namespace {

using ::cairn::testing::TempDir;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Kind = IngestOutcome::Kind;

class IngestStreamTest : public ::testing::Test {
 protected:
  void SetUp() override {
    EngineOptions options;
    options.create_if_missing = true;
    options.min_free_bytes = 0;
    absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Open(dir_.file("store"), options);
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
    options_.threads = 2;
    options_.on_outcome = [this](const IngestOutcome& outcome) {
      absl::MutexLock lock(&mutex_);
      outcomes_.push_back(outcome);
    };
  }

  static InputDocument Document(std::string id, std::string text = "some text") {
    InputDocument d;
    d.id = std::move(id);
    d.text = std::move(text);
    return d;
  }

  // Gives the documents one after the other.
  static DocumentSource SourceOf(std::vector<InputDocument> documents) {
    const auto left =
        std::make_shared<std::deque<InputDocument>>(documents.begin(), documents.end());
    return [left]() -> absl::StatusOr<std::optional<InputDocument>> {
      if (left->empty()) return std::nullopt;
      InputDocument document = std::move(left->front());
      left->pop_front();
      return document;
    };
  }

  absl::StatusOr<IngestReport> Ingest(std::vector<InputDocument> documents) {
    return engine_->IngestStream(SourceOf(std::move(documents)), options_);
  }

  std::vector<std::string> Stored() const {
    absl::StatusOr<std::vector<std::string>> ids = engine_->List("default", "", 100'000, "");
    return ids.ok() ? *ids : std::vector<std::string>{};
  }

  std::vector<IngestOutcome> TakeOutcomes() {
    absl::MutexLock lock(&mutex_);
    return std::exchange(outcomes_, {});
  }

  static std::vector<Kind> Kinds(const std::vector<IngestOutcome>& outcomes) {
    std::vector<Kind> kinds;
    for (const IngestOutcome& o : outcomes) kinds.push_back(o.kind);
    return kinds;
  }

  // Every document has one outcome, in order; those stored are in the store with these chunks.
  void ExpectSound(const std::vector<IngestOutcome>& outcomes) const {
    for (size_t i = 0; i < outcomes.size(); ++i) EXPECT_EQ(outcomes[i].sequence, i + 1);
    for (const IngestOutcome& o : outcomes) {
      EXPECT_EQ(o.kind == Kind::kRefused, !o.reason.empty()) << o.document_id;
      if (o.kind != Kind::kRefused) continue;
      EXPECT_EQ(o.first_chunk, 0u);
      EXPECT_EQ(o.chunk_count, 0u);
    }
  }
  void ExpectChunksOf(const IngestOutcome& o) const {
    absl::StatusOr<StoredDocument> stored = engine_->Get("default", o.document_id);
    ASSERT_TRUE(stored.ok()) << stored.status();
    ASSERT_EQ(stored->chunks.size(), o.chunk_count);
    ASSERT_GT(o.chunk_count, 0u);
    EXPECT_EQ(stored->chunks.front().id, o.first_chunk);
    EXPECT_EQ(stored->chunks.back().id, o.first_chunk + o.chunk_count - 1);
  }

  TempDir dir_;
  std::unique_ptr<Engine> engine_;
  IngestOptions options_;
  mutable absl::Mutex mutex_;
  std::vector<IngestOutcome> outcomes_ ABSL_GUARDED_BY(mutex_);
};

TEST_F(IngestStreamTest, EveryDocumentHasOneOutcomeInOrderWithItsChunks) {
  std::string several = "# One\n\n";
  for (int i = 0; i < 300; ++i) several += "A sentence about dogs and foxes. ";
  several += "\n\n# Two\n\nAnother.";
  InputDocument markdown = Document("several", several);
  markdown.format = "markdown";
  ASSERT_TRUE(Ingest({Document("same"), Document("old"), markdown}).ok());
  EXPECT_THAT(Kinds(TakeOutcomes()), ElementsAre(Kind::kCreated, Kind::kCreated, Kind::kCreated));

  InputDocument html = Document("page", "<title>Foxes</title><p>They are red.");
  html.format = "html";
  absl::StatusOr<IngestReport> report =
      Ingest({Document("same"), markdown, Document("old", "another text"), html});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->created, 1u);
  EXPECT_EQ(report->replaced, 1u);
  EXPECT_EQ(report->unchanged, 2u);
  EXPECT_EQ(report->issues, 0u);
  const std::vector<IngestOutcome> outcomes = TakeOutcomes();
  EXPECT_THAT(Kinds(outcomes),
              ElementsAre(Kind::kUnchanged, Kind::kUnchanged, Kind::kReplaced, Kind::kCreated));
  ExpectSound(outcomes);
  for (const IngestOutcome& o : outcomes) ExpectChunksOf(o);
  EXPECT_GT(outcomes[1].chunk_count, 1u);
  EXPECT_EQ(outcomes[3].document_id, "page");
}

TEST_F(IngestStreamTest, RefusedDocumentsWaitForTheirTurnAndSayWhy) {
  std::vector<InputDocument> documents;
  const auto add = [&](const char* id) -> InputDocument& {
    documents.push_back(Document(id));
    return documents.back();
  };
  add("first");
  add("");
  add("control\ncharacter");
  add("bytes").text = "caf\xe9";
  add("empty").text = "";
  add("blank").text = " \n ";
  add("large").text = std::string(5000, 'x');
  add("number").metadata["score"] = std::nan("");
  add("title").title = std::string(5000, 't');
  add("format").format = "pdf";
  add("several").format = "jsonl";
  add("last");
  options_.max_document_bytes = 4000;
  uint64_t issues = 0;
  options_.on_issue = [&](const IngestIssue&) { ++issues; };
  absl::StatusOr<IngestReport> report = Ingest(documents);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->created, 2u);
  EXPECT_EQ(report->issues, 10u);
  EXPECT_EQ(issues, 10u);
  const std::vector<IngestOutcome> outcomes = TakeOutcomes();
  ASSERT_EQ(outcomes.size(), documents.size());
  ExpectSound(outcomes);
  for (size_t i = 0; i < outcomes.size(); ++i) {
    EXPECT_EQ(outcomes[i].document_id, documents[i].id);
    EXPECT_EQ(outcomes[i].kind == Kind::kCreated, i == 0 || i + 1 == outcomes.size());
  }
  EXPECT_THAT(outcomes[1].reason, HasSubstr("id is empty"));
  EXPECT_THAT(outcomes[3].reason, HasSubstr("UTF-8"));
  EXPECT_THAT(outcomes[4].reason, HasSubstr("empty"));
  EXPECT_THAT(outcomes[6].reason, HasSubstr("larger than 4000 bytes"));
  EXPECT_THAT(outcomes[7].reason, HasSubstr("\"score\""));
  EXPECT_THAT(outcomes[9].reason, HasSubstr("\"pdf\""));
  EXPECT_THAT(Stored(), ElementsAre("first", "last"));
}

TEST_F(IngestStreamTest, OfDuplicatesInOneStreamEachHasItsOutcomeAndTheLastStays) {
  ASSERT_TRUE(Ingest({Document("a", "one")}).ok());
  TakeOutcomes();
  absl::StatusOr<IngestReport> report =
      Ingest({Document("a", "two"), Document("a", "one"), Document("b"), Document("b")});
  ASSERT_TRUE(report.ok()) << report.status();
  const std::vector<IngestOutcome> outcomes = TakeOutcomes();
  EXPECT_THAT(Kinds(outcomes),
              ElementsAre(Kind::kReplaced, Kind::kReplaced, Kind::kCreated, Kind::kUnchanged));
  ExpectSound(outcomes);
  ExpectChunksOf(outcomes[1]);
  ExpectChunksOf(outcomes[3]);
  EXPECT_EQ(outcomes[2].first_chunk, outcomes[3].first_chunk);
  EXPECT_EQ(engine_->Get("default", "a")->text, "one");
}

// The source waits for the outcome of what it gave before: no document waits for a later one.
TEST_F(IngestStreamTest, WhatWasHandedOverIsDurableAndReportedWhileTheSourceWaits) {
  for (const bool bulk : {false, true}) {
    options_.bulk = bulk;
    uint64_t given = 0;
    const auto next = [&]() -> absl::StatusOr<std::optional<InputDocument>> {
      {
        absl::MutexLock lock(&mutex_);
        const auto reported = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
          return outcomes_.size() == given;
        };
        mutex_.Await(absl::Condition(&reported));
        EXPECT_EQ(outcomes_.empty() ? 0 : outcomes_.back().sequence, given);
      }
      if (given == 6) return std::nullopt;
      ++given;
      if (given == 3) return Document("");  // Refused; waits for nothing either.
      return Document("d" + std::to_string(given), "text of bulk " + std::to_string(bulk));
    };
    absl::StatusOr<IngestReport> report = engine_->IngestStream(next, options_);
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_EQ(report->created + report->replaced, 5u);
    TakeOutcomes();
  }
}

TEST_F(IngestStreamTest, AnErrorOfTheSourceIsReturnedAndWhatIsStoredHasBeenReported) {
  int given = 0;
  const auto next = [&]() -> absl::StatusOr<std::optional<InputDocument>> {
    if (given == 500) return absl::UnavailableError("the line is dead");
    return Document("d" + std::to_string(1000 + given++), std::string(2000, 'x'));
  };
  IngestReport report;
  options_.report = &report;
  const absl::Status s = engine_->IngestStream(next, options_).status();
  EXPECT_TRUE(absl::IsUnavailable(s));
  EXPECT_THAT(std::string(s.message()), HasSubstr("the line is dead"));
  const std::vector<IngestOutcome> outcomes = TakeOutcomes();
  ExpectSound(outcomes);
  std::vector<std::string> reported;
  for (const IngestOutcome& o : outcomes) reported.push_back(o.document_id);
  EXPECT_EQ(Stored(), reported);
  EXPECT_EQ(report.created, reported.size());
}

TEST_F(IngestStreamTest, ACancelledOneEndsThoughItsSourceNeverWould) {
  std::atomic<int> asked{0};
  options_.is_cancelled = [&] { return ++asked > 3; };
  int given = 0;
  const auto next = [&]() -> absl::StatusOr<std::optional<InputDocument>> {
    return Document("d" + std::to_string(1'000'000 + given++), std::string(2000, 'x'));
  };
  const absl::Status s = engine_->IngestStream(next, options_).status();
  EXPECT_TRUE(absl::IsCancelled(s)) << s;
  EXPECT_EQ(asked, 4);  // Not again after its answer.
  const std::vector<IngestOutcome> outcomes = TakeOutcomes();
  ExpectSound(outcomes);
  std::vector<std::string> reported;
  for (const IngestOutcome& o : outcomes) reported.push_back(o.document_id);
  EXPECT_EQ(Stored(), reported);
}

TEST_F(IngestStreamTest, OneThatIsNotCancelledIsNotDisturbedByTheQuestion) {
  std::atomic<int> asked{0};
  options_.is_cancelled = [&] {
    ++asked;
    return false;
  };
  bool first = true;
  const auto next = [&]() -> absl::StatusOr<std::optional<InputDocument>> {
    if (!std::exchange(first, false)) return std::nullopt;
    while (asked < 3) {
      std::this_thread::yield();
    }
    return Document("a");
  };
  absl::StatusOr<IngestReport> report = engine_->IngestStream(next, options_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->created, 1u);
}

TEST_F(IngestStreamTest, StrictEndsWithTheFirstRefusedDocumentAndKeepsThoseBefore) {
  options_.strict = true;
  int given = 0;
  const auto next = [&]() -> absl::StatusOr<std::optional<InputDocument>> {
    ++given;
    return Document(given == 3 ? "" : "d" + std::to_string(given));
  };
  const absl::Status s = engine_->IngestStream(next, options_).status();
  EXPECT_TRUE(absl::IsInvalidArgument(s)) << s;
  EXPECT_THAT(std::string(s.message()), HasSubstr("2 documents are stored"));
  EXPECT_EQ(given, 3);
  const std::vector<IngestOutcome> outcomes = TakeOutcomes();
  EXPECT_THAT(Kinds(outcomes), ElementsAre(Kind::kCreated, Kind::kCreated, Kind::kRefused));
  ExpectSound(outcomes);
}

TEST_F(IngestStreamTest, StrictRefusesADuplicateOfTheStream) {
  options_.strict = true;
  const absl::Status s = Ingest({Document("a", "one"), Document("a", "two")}).status();
  EXPECT_TRUE(absl::IsInvalidArgument(s)) << s;
  const std::vector<IngestOutcome> outcomes = TakeOutcomes();
  EXPECT_THAT(Kinds(outcomes), ElementsAre(Kind::kCreated, Kind::kRefused));
  EXPECT_THAT(outcomes[1].reason, HasSubstr("duplicate"));
  EXPECT_EQ(outcomes[1].document_id, "a");
  EXPECT_EQ(engine_->Get("default", "a")->text, "one");
}

TEST_F(IngestStreamTest, AnEmptyStreamMakesTheCollection) {
  absl::StatusOr<IngestReport> report = Ingest({});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->created, 0u);
  EXPECT_THAT(*engine_->ListCollections(), ElementsAre("default"));
  EXPECT_THAT(TakeOutcomes(), IsEmpty());
}

// Niceness of the process's threads.
std::multiset<int> Niceness() {
  std::multiset<int> all;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    errno = 0;
    const int nice = getpriority(PRIO_PROCESS, std::stoi(entry.path().filename()));
    if (errno == 0) all.insert(nice);
  }
  return all;
}

TEST_F(IngestStreamTest, WorkersInTheBackgroundGiveWay) {
  const int own = getpriority(PRIO_PROCESS, 0);
  if (own >= 19) GTEST_SKIP() << "nothing gives way to this process";
  options_.threads = 1;
  size_t nicer[2] = {0, 0};  // Threads; the store has some of its own.
  for (const bool background : {false, true}) {
    options_.background = background;
    int given = 0;
    const auto next = [&]() -> absl::StatusOr<std::optional<InputDocument>> {
      if (given++ == 0) return Document("a", background ? "one" : "two");
      // A worker is at work for sure when the first document is stored.
      absl::MutexLock lock(&mutex_);
      const auto reported = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return !outcomes_.empty(); };
      mutex_.Await(absl::Condition(&reported));
      for (const int nice : Niceness()) nicer[background ? 1 : 0] += nice > own ? 1 : 0;
      return std::nullopt;
    };
    ASSERT_TRUE(engine_->IngestStream(next, options_).ok());
    TakeOutcomes();
  }
  EXPECT_EQ(nicer[1], nicer[0] + 1);
}

}  // namespace
}  // namespace cairn
