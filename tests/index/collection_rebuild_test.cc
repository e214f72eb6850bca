// Compacting and indexing anew, followed and given up by whoever asked for it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/store.h"
#include "tests/support/random_documents.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_store.h"

namespace cairn::index {
namespace {

using ::cairn::testing::RandomDocuments;
using ::cairn::testing::Settings;
using ::cairn::testing::TempDir;
using ::cairn::testing::Writable;
using ::testing::IsEmpty;

class CollectionRebuild : public ::testing::Test {
 protected:
  using Rebuild = absl::Status (Collection::*)(const WorkControl&);
  static constexpr Rebuild kBoth[] = {&Collection::Compact, &Collection::Reindex};

  void SetUp() override {
    StoreOptions options = Writable();
    options.index.seal_chunks = 200;
    options.index.bulk_seal_chunks = 300;
    options.index.vectors.flat_below = 16;
    absl::StatusOr<std::unique_ptr<Store>> store = Store::Open(dir_.file("store"), options);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    absl::StatusOr<std::shared_ptr<Collection>> created = store_->Create("c", Settings());
    ASSERT_TRUE(created.ok()) << created.status();
    collection_ = *created;
    Upsert(600, 1);
    ASSERT_TRUE(collection_->AwaitIdle().ok());
  }

  void Upsert(int count, unsigned seed) {
    std::mt19937 rng(seed);
    std::vector<PreparedDocument> documents;
    for (int i = 0; i < count; ++i) documents.push_back(documents_(absl::StrCat("d", i), rng));
    std::vector<WriteOutcome> outcomes;
    const absl::Status s = collection_->Upsert(documents, &outcomes);
    ASSERT_TRUE(s.ok()) << s;
  }

  std::vector<std::string> Problems() {
    std::vector<std::string> problems;
    VerifyReport report;
    const absl::Status s = store_->Verify(
        true, [&](const std::string& p) { problems.push_back(p); }, &report);
    EXPECT_TRUE(s.ok()) << s;
    return problems;
  }

  std::vector<std::string> Files() {
    std::vector<std::string> names;
    for (const auto& entry :
         std::filesystem::directory_iterator(dir_.file("store") + "/segments")) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  TempDir dir_;
  RandomDocuments documents_;
  std::unique_ptr<Store> store_;
  std::shared_ptr<Collection> collection_;
};

TEST_F(CollectionRebuild, SharesOfTheWorkAscendToItsEnd) {
  Upsert(100, 2);  // So that there is something to compact.
  for (const Rebuild rebuild : kBoth) {
    std::vector<double> shares;
    const WorkControl::Progress progress = [&](double share) { shares.push_back(share); };
    const absl::Status s = ((*collection_).*rebuild)(WorkControl(nullptr, &progress));
    ASSERT_TRUE(s.ok()) << s;
    ASSERT_GT(shares.size(), 2u);
    EXPECT_TRUE(std::is_sorted(shares.begin(), shares.end()));
    EXPECT_GE(shares.front(), 0);
    EXPECT_GT(shares.back(), 0.3);
    EXPECT_LE(shares.back(), 1);
  }
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(CollectionRebuild, GivenUpAnywhereItLeavesTheSegmentsThatThereWere) {
  Upsert(100, 2);  // A tail, and dead chunks.
  ASSERT_TRUE(collection_->AwaitIdle().ok());
  for (const Rebuild rebuild : kBoth) {
    for (const int reports : {0, 1, 2, 3}) {
      std::atomic<bool> cancel{reports == 0};
      int left = reports;
      const WorkControl::Progress progress = [&](double) { cancel = --left <= 0; };
      // A compaction seals the tail first, which nobody misses; its segment may be new.
      const CollectionStats before = collection_->Stats();
      const absl::Status s = ((*collection_).*rebuild)(WorkControl(&cancel, &progress));
      EXPECT_TRUE(absl::IsCancelled(s)) << s;
      const CollectionStats after = collection_->Stats();
      EXPECT_EQ(after.documents, before.documents);
      EXPECT_EQ(after.chunks, before.chunks);
      EXPECT_EQ(after.total_length, before.total_length);
      EXPECT_THAT(Problems(), IsEmpty());
    }
  }
  // Nothing of what was begun is left, and nothing is in the way of another attempt.
  ASSERT_TRUE(collection_->AwaitIdle().ok());
  for (const std::string& name : Files()) EXPECT_TRUE(name.ends_with(".seg")) << name;
  ASSERT_TRUE(collection_->Compact().ok());
  EXPECT_EQ(collection_->Stats().segments, 1u);
  EXPECT_EQ(Files().size(), 1u);
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(CollectionRebuild, WhoWaitsForAnotherOneCanGiveUp) {
  // One reindex stands still in its progress while others wait for it.
  std::atomic<bool> reached{false}, go_on{false};
  const WorkControl::Progress stand = [&](double) {
    reached = true;
    while (!go_on) std::this_thread::yield();
  };
  absl::Status first;
  std::atomic<bool> ended{false};
  std::thread worker([&] {
    first = collection_->Reindex(WorkControl(nullptr, &stand));
    ended = true;
  });
  while (!reached && !ended) std::this_thread::yield();
  EXPECT_TRUE(reached);
  const std::atomic<bool> cancel{true};
  EXPECT_TRUE(absl::IsCancelled(collection_->Compact(cancel)));
  EXPECT_TRUE(absl::IsCancelled(collection_->Reindex(cancel)));
  go_on = true;
  worker.join();
  EXPECT_TRUE(first.ok()) << first;
  EXPECT_TRUE(collection_->Compact().ok());
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(CollectionRebuild, OneThatIsGivenUpLetsWritersAndBuildsGoOn) {
  for (int round = 0; round < 3; ++round) {
    const std::atomic<bool> cancel{true};
    EXPECT_TRUE(absl::IsCancelled(collection_->Compact(cancel)));
    EXPECT_TRUE(absl::IsCancelled(collection_->Reindex(cancel)));
    Upsert(300, 10 + round);
    ASSERT_TRUE(collection_->AwaitIdle().ok());
  }
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(CollectionRebuild, ADropEndsOneWhoseCallerGoesOnWanting) {
  for (const Rebuild rebuild : kBoth) {
    Upsert(100, 2);  // So that there is something to compact.
    std::atomic<bool> reached{false};
    const WorkControl::Progress progress = [&](double) { reached = true; };
    absl::Status s;
    const std::atomic<bool> never{false};
    std::atomic<bool> ended{false};
    std::thread worker([&] {
      s = ((*collection_).*rebuild)(WorkControl(&never, &progress));
      ended = true;
    });
    while (!reached && !ended) std::this_thread::yield();
    EXPECT_TRUE(reached);
    EXPECT_TRUE(store_->Drop("c").ok());
    worker.join();
    EXPECT_TRUE(s.ok() || absl::IsNotFound(s)) << s;
    EXPECT_THAT(Problems(), IsEmpty());
    collection_ = *store_->Create("c", Settings());
    Upsert(600, 1);
    ASSERT_TRUE(collection_->AwaitIdle().ok());
  }
}

}  // namespace
}  // namespace cairn::index
