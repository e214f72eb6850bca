// Readers, writers and deleters at once, checked against what may be seen. Run under
// ThreadSanitizer as well.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <thread>

#include "engine/engine.h"
#include "tests/support/temp_dir.h"

namespace cairn {
namespace {

// Every version of document i consists of the word pair (subject i, version v) only, so a hit shows
// which version it came from; a writer never goes back to an older one.
TEST(Concurrency, SearchesBesideWritersSeeWholeDocumentsAndNeverGoBackInTime) {
  cairn::testing::TempDir dir;
  EngineOptions options;
  options.create_if_missing = true;
  options.min_free_bytes = 0;
  absl::StatusOr<std::unique_ptr<Engine>> opened = Engine::Open(dir.file("store"), options);
  ASSERT_TRUE(opened.ok()) << opened.status();
  Engine& engine = **opened;
  constexpr int kDocuments = 8;
  constexpr int kRounds = 40;
  const auto document = [](int i, int version) {
    InputDocument d;
    d.id = "doc" + std::to_string(i);
    d.title = "edition" + std::to_string(version);
    d.text = "subject" + std::to_string(i) + " version" + std::to_string(version);
    return d;
  };
  IngestOptions ingest;
  ingest.threads = 2;
  ASSERT_TRUE(engine.IngestDocuments({document(0, 0)}, ingest).ok());

  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int w = 0; w < 2; ++w) {
    threads.emplace_back([&, w] {
      for (int round = 1; round <= kRounds; ++round) {
        std::vector<InputDocument> batch;
        for (int i = w; i < kDocuments; i += 2) batch.push_back(document(i, round));
        absl::StatusOr<IngestReport> r = engine.IngestDocuments(batch, ingest);
        EXPECT_TRUE(r.ok()) << r.status();
      }
    });
  }
  threads.emplace_back([&] {
    std::mt19937 rng(1);
    while (!stop) {
      // A document apart, so that the versions above only grow.
      EXPECT_TRUE(engine.IngestDocuments({document(99, static_cast<int>(rng() % 5))}, ingest).ok());
      EXPECT_TRUE(engine.Delete("default", {"doc99"}).ok());
    }
  });
  for (int r = 0; r < 3; ++r) {
    threads.emplace_back([&, r] {
      std::mt19937 rng(static_cast<uint32_t>(r));
      std::vector<int> newest(kDocuments, -1);
      while (!stop) {
        const int i = static_cast<int>(rng() % kDocuments);
        SearchRequest request;
        request.query = "subject" + std::to_string(i);
        request.mode = r == 0 ? SearchMode::kLexical : SearchMode::kHybrid;
        absl::StatusOr<SearchResponse> found = engine.Search(request);
        EXPECT_TRUE(found.ok()) << found.status();
        if (!found.ok()) return;
        for (const SearchHit& hit : found->hits) {
          if (hit.document_id != "doc" + std::to_string(i)) continue;
          const size_t at = hit.text.find(" version");
          ASSERT_NE(at, std::string::npos);
          ASSERT_EQ(hit.text.substr(0, at), request.query);
          const int version = std::stoi(hit.text.substr(at + 8));
          // Title and text are of one version.
          EXPECT_EQ(hit.title, "edition" + std::to_string(version));
          EXPECT_GE(version, newest[i]);
          newest[i] = version;
        }
      }
    });
  }
  threads[0].join();
  threads[1].join();
  stop = true;
  for (size_t t = 2; t < threads.size(); ++t) threads[t].join();
  for (int i = 0; i < kDocuments; ++i) {
    EXPECT_EQ(engine.Get("default", "doc" + std::to_string(i))->text, document(i, kRounds).text);
  }
  EXPECT_TRUE(absl::IsNotFound(engine.Get("default", "doc99").status()));
  EXPECT_EQ(engine.Stats()->collections[0].documents, static_cast<uint64_t>(kDocuments));
  EXPECT_EQ(engine.Verify()->problem_count, 0u);
}

TEST(Concurrency, CollectionsComeAndGoBesideSearches) {
  cairn::testing::TempDir dir;
  EngineOptions options;
  options.create_if_missing = true;
  options.min_free_bytes = 0;
  absl::StatusOr<std::unique_ptr<Engine>> opened = Engine::Open(dir.file("store"), options);
  ASSERT_TRUE(opened.ok()) << opened.status();
  Engine& engine = **opened;
  std::atomic<bool> stop{false};
  std::thread searcher([&] {
    SearchRequest request;
    request.collection = "temporary";
    request.query = "alpha";
    while (!stop) {
      absl::StatusOr<SearchResponse> r = engine.Search(request);
      EXPECT_TRUE(r.ok() || absl::IsNotFound(r.status())) << r.status();
    }
  });
  IngestOptions ingest;
  ingest.collection = "temporary";
  InputDocument d;
  d.id = "a";
  d.text = "alpha beta";
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(engine.IngestDocuments({d}, ingest).ok());
    EXPECT_TRUE(engine.DeleteCollection("temporary").ok());
  }
  stop = true;
  searcher.join();
  EXPECT_EQ(engine.Verify()->problem_count, 0u);
}

// Streams into one collection, some given up on the way, beside searches that are given up too.
TEST(Concurrency, StreamsBesideEachOtherReportWhatTheyStored) {
  cairn::testing::TempDir dir;
  EngineOptions options;
  options.create_if_missing = true;
  options.min_free_bytes = 0;
  absl::StatusOr<std::unique_ptr<Engine>> opened = Engine::Open(dir.file("store"), options);
  ASSERT_TRUE(opened.ok()) << opened.status();
  Engine& engine = **opened;
  ASSERT_TRUE(engine.IngestDocuments({}, {}).ok());
  constexpr int kStreams = 3;
  constexpr int kRounds = 6;
  constexpr int kDocuments = 60;
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  std::vector<std::vector<std::string>> stored(kStreams);
  for (int t = 0; t < kStreams; ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < kRounds; ++round) {
        IngestOptions ingest;
        ingest.threads = 2;
        ingest.background = t == 0;
        std::atomic<int> reported{0};
        const bool given_up = round % 2 == 1;
        if (given_up) ingest.is_cancelled = [&] { return reported >= kDocuments / 4; };
        uint64_t sequence = 0;
        ingest.on_outcome = [&](const IngestOutcome& outcome) {
          EXPECT_EQ(outcome.sequence, ++sequence);
          if (outcome.sequence % 10 == 0) {
            EXPECT_EQ(outcome.kind, IngestOutcome::Kind::kRefused);
          } else {
            EXPECT_EQ(outcome.kind, IngestOutcome::Kind::kCreated);
            stored[t].push_back(outcome.document_id);
          }
          ++reported;
        };
        int given = 0;
        const auto next = [&]() -> absl::StatusOr<std::optional<InputDocument>> {
          // One that is to be given up has no end of its own.
          if (!given_up && given == kDocuments) return std::nullopt;
          InputDocument d;
          if (++given % 10 != 0) {
            d.id =
                "s" + std::to_string(t) + "r" + std::to_string(round) + "d" + std::to_string(given);
          }
          d.text = "some words of stream" + std::to_string(t);
          return d;
        };
        const absl::Status s = engine.IngestStream(next, ingest).status();
        EXPECT_EQ(absl::IsCancelled(s), given_up) << s;
        if (!given_up) {
          EXPECT_EQ(reported, kDocuments);
        }
      }
    });
  }
  for (int r = 0; r < 2; ++r) {
    threads.emplace_back([&, r] {
      std::atomic<int> asked{0};
      while (!stop) {
        SearchRequest request;
        request.query = "words";
        if (r == 0) request.is_cancelled = [&] { return ++asked % 5 == 0; };
        const absl::Status s = engine.Search(request).status();
        EXPECT_TRUE(s.ok() || (r == 0 && absl::IsCancelled(s))) << s;
      }
    });
  }
  for (int t = 0; t < kStreams; ++t) threads[t].join();
  stop = true;
  for (size_t t = kStreams; t < threads.size(); ++t) threads[t].join();
  std::vector<std::string> all;
  for (const std::vector<std::string>& ids : stored) all.insert(all.end(), ids.begin(), ids.end());
  std::sort(all.begin(), all.end());
  EXPECT_EQ(*engine.List("default", "", 1'000'000, ""), all);
  EXPECT_EQ(engine.Verify()->problem_count, 0u);
}

}  // namespace
}  // namespace cairn
