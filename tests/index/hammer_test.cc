// Many threads write, delete, search and rebuild one collection at once, against models in memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <map>
#include <random>
#include <thread>

#include "absl/strings/match.h"
#include "index/store.h"
#include "tests/support/random_documents.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_store.h"

namespace cairn::index {
namespace {

using testing::Prepare;
using testing::WordBag;

// CAIRN_HAMMER_SECONDS, or a few.
std::chrono::seconds HammerTime() {
  const char* const seconds = std::getenv("CAIRN_HAMMER_SECONDS");
  return std::chrono::seconds(seconds != nullptr ? std::atoi(seconds) : 5);
}

constexpr int kThreads = 8;
constexpr int kDocuments = 60;  // Of each thread.

// One thread's documents: the version of each that is stored, 0 for none. A version has a word of
// its own, so that a search for the word tells what is visible.
class Worker {
 public:
  Worker(Collection* collection, int number)
      : collection_(collection), number_(number), rng_(number + 1), versions_(kDocuments, 0) {}

  void Step() {
    const auto roll = rng_() % 100;
    if (roll < 45) {
      Write();
    } else if (roll < 60) {
      Remove();
    } else if (roll < 90) {
      CheckOne(static_cast<int>(rng_() % kDocuments));
    } else if (roll < 99) {
      SearchAll();
    } else if (number_ == 0) {
      EXPECT_TRUE(collection_->Compact().ok());
    } else if (number_ == 1) {
      EXPECT_TRUE(collection_->Reindex().ok());
    }
  }

  void CheckAll() {
    for (int i = 0; i < kDocuments; ++i) CheckOne(i);
  }
  uint64_t stored() const {
    return static_cast<uint64_t>(
        std::count_if(versions_.begin(), versions_.end(), [](uint64_t v) { return v > 0; }));
  }

 private:
  std::string Id(int i) const { return absl::StrCat("t", number_, "-", i); }
  std::string Word(int i, uint64_t version) const {
    return absl::StrCat("only", number_, "x", i, "v", version);
  }

  void Write() {
    std::vector<PreparedDocument> batch;
    std::vector<int> written;
    for (size_t n = 1 + rng_() % 5; n > 0; --n) {
      const int i = static_cast<int>(rng_() % kDocuments);
      const uint64_t version = ++last_version_;
      versions_[i] = version;
      std::string text = absl::StrCat(Word(i, version), " ", documents_.Words(8, rng_), "\n",
                                      Word(i, version), " ", documents_.Words(3, rng_));
      batch.push_back(Prepare(Id(i), std::move(text)));
      written.push_back(i);
    }
    std::vector<WriteOutcome> outcomes;
    const absl::Status s = collection_->Upsert(batch, &outcomes);
    ASSERT_TRUE(s.ok()) << s;
    for (int i : written) CheckOne(i);
  }

  void Remove() {
    const int i = static_cast<int>(rng_() % kDocuments);
    const bool was_there = versions_[i] > 0;
    const uint64_t version = versions_[i];
    std::vector<bool> deleted;
    const absl::Status s = collection_->Delete({Id(i)}, &deleted);
    ASSERT_TRUE(s.ok()) << s;
    EXPECT_EQ(deleted[0], was_there);
    versions_[i] = 0;
    if (was_there) ExpectFound(Word(i, version), 0, "");
    CheckOne(i);
  }

  // Its own writes are seen by the next search, whatever the others do.
  void CheckOne(int i) {
    const uint64_t version = versions_[i];
    if (version > 0) ExpectFound(Word(i, version), 2, Id(i));
  }

  void ExpectFound(const std::string& word, size_t chunks, const std::string& id) {
    const TermBag terms = WordBag(word);
    CandidateQuery query;
    query.terms = &terms;
    const Collection::View view(*collection_);
    absl::StatusOr<Candidates> found = view.Search(query);
    ASSERT_TRUE(found.ok()) << found.status();
    ASSERT_EQ(found->lexical.size(), chunks) << word;
    for (const ScoredChunk& c : found->lexical) ASSERT_EQ(view.DocumentId(c.document), id);
  }

  // Whatever a search returns is in the rows of its snapshot, with the text it was found by.
  void SearchAll() {
    const std::string word = documents_.Words(1, rng_);
    const TermBag terms = WordBag(word);
    const std::vector<float> vector = testing::TextVector(word);
    CandidateQuery query;
    query.terms = &terms;
    query.vector = vector;
    query.lexical_k = query.vector_k = 20;
    query.cosines_of_lexical = true;
    std::shared_ptr<const RowSnapshot> snapshot;
    std::vector<ChunkId> lexical, all;
    {
      const Collection::View view(*collection_);
      snapshot = view.snapshot();
      absl::StatusOr<Candidates> found = view.Search(query);
      ASSERT_TRUE(found.ok()) << found.status();
      for (const ScoredChunk& c : found->lexical) lexical.push_back(c.chunk);
      all = lexical;
      for (const ScoredChunk& c : found->vector) all.push_back(c.chunk);
    }
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    std::vector<ChunkId> stored;
    std::vector<ChunkRow> rows;
    ASSERT_TRUE(collection_->RowsAt(snapshot.get()).GetChunks(all, &stored, &rows).ok());
    ASSERT_EQ(stored, all);
    for (size_t i = 0; i < rows.size(); ++i) {
      if (std::find(lexical.begin(), lexical.end(), stored[i]) == lexical.end()) continue;
      ASSERT_TRUE(
          absl::StrContains(absl::StrCat(" ", rows[i].text, " "), absl::StrCat(" ", word, " ")));
    }
  }

  Collection* const collection_;
  const int number_;
  std::mt19937 rng_;
  testing::RandomDocuments documents_;
  std::vector<uint64_t> versions_;
  uint64_t last_version_ = 0;
};

TEST(Hammer, EveryThreadSeesItsOwnWritesAndNothingIsLost) {
  testing::TempDir dir;
  StoreOptions options = testing::Writable();
  options.index.seal_chunks = 150;
  options.index.vectors.flat_below = 100;
  options.index.merge_factor = 3;
  options.query_threads = 4;
  CollectionSettings settings = testing::Settings();
  // The encoding whose codes are made in a pass of their own.
  settings.vector_encoding = VectorEncoding::kBfloat16;
  std::vector<std::unique_ptr<Worker>> workers;
  {
    absl::StatusOr<std::unique_ptr<Store>> store = Store::Open(dir.file("s"), options);
    ASSERT_TRUE(store.ok()) << store.status();
    absl::StatusOr<std::shared_ptr<Collection>> c = (*store)->Create("c", settings);
    ASSERT_TRUE(c.ok()) << c.status();
    const auto end = std::chrono::steady_clock::now() + HammerTime();
    // A busy machine may need longer until segments were built.
    const auto latest = end + std::chrono::minutes(2);
    const auto built = [&c] { return (*c)->Stats().epoch > 2; };
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      workers.push_back(std::make_unique<Worker>(c->get(), t));
      threads.emplace_back([worker = workers.back().get(), end, latest, built] {
        while (!::testing::Test::HasFailure()) {
          const auto now = std::chrono::steady_clock::now();
          if (now >= latest || (now >= end && built())) break;
          worker->Step();
        }
      });
    }
    for (std::thread& t : threads) t.join();
    uint64_t stored = 0;
    for (const auto& worker : workers) {
      worker->CheckAll();
      stored += worker->stored();
    }
    EXPECT_EQ((*c)->Stats().documents, stored);
    EXPECT_TRUE(built()) << "segments were built meanwhile";
  }
  // And again from disk.
  absl::StatusOr<std::unique_ptr<Store>> store = Store::Open(dir.file("s"), options);
  ASSERT_TRUE(store.ok()) << store.status();
  absl::StatusOr<std::shared_ptr<Collection>> c = (*store)->Find("c");
  ASSERT_TRUE(c.ok()) << c.status();
  uint64_t stored = 0;
  for (const auto& worker : workers) stored += worker->stored();
  EXPECT_EQ((*c)->Stats().documents, stored);
  VerifyReport report;
  ASSERT_TRUE((*store)
                  ->Verify(
                      true, [](const std::string& p) { ADD_FAILURE() << p; }, &report)
                  .ok());
}

}  // namespace
}  // namespace cairn::index
