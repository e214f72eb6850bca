// Rows by way of table files: the same as by way of the log.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "index/row_store.h"
#include "tests/support/numbered_batches.h"
#include "tests/support/row_stores.h"
#include "tests/support/temp_dir.h"
#include "tests/support/unprivileged.h"

namespace cairn::index {
namespace {

namespace fs = std::filesystem;
using ::cairn::testing::AllRows;
using ::cairn::testing::CommitNumbered;
using ::cairn::testing::CountNumbered;
using ::cairn::testing::FilesIn;
using ::cairn::testing::FileSizeLimit;
using ::cairn::testing::NumberedBatch;
using ::cairn::testing::Open;
using ::cairn::testing::Reading;
using ::cairn::testing::Rows;
using ::cairn::testing::TempDir;
using ::cairn::testing::Unprivileged;
using ::cairn::testing::Writing;
using ::testing::IsEmpty;

// Few keys, so that operations meet; now and then a long value or an empty key.
RowBatch RandomBatch(std::mt19937* random) {
  const auto pick = [&](uint32_t n) { return static_cast<uint32_t>((*random)() % n); };
  const auto key = [&](Family family) {
    // The default family has rows that a store cannot be without.
    const std::string prefix = family == Family::kDefault ? "v" : "";
    if (pick(100) == 0) return prefix;
    return prefix + static_cast<char>('a' + pick(26)) + std::to_string(pick(9));
  };
  RowBatch batch;
  const uint32_t operations = pick(60);
  const uint32_t families = 1 + pick(kFamilyCount);
  for (uint32_t i = 0; i < operations; ++i) {
    const auto family = static_cast<Family>(pick(families));
    const std::string k = key(family);
    switch (pick(8)) {
      case 0:
        batch.DeleteRange(family, k, key(family));  // Often empty or reversed.
        break;
      case 1:
      case 2:
        batch.Delete(family, k);
        break;
      default:
        batch.Put(family, k, std::to_string((*random)()) + std::string(pick(500), 'v'));
    }
  }
  return batch;
}

RowBatch Copy(const RowBatch& batch) {
  RowBatch copy;
  for (const RowBatch::Operation& op : batch.operations()) {
    switch (op.kind) {
      case RowBatch::Operation::Kind::kPut:
        copy.Put(op.family, op.key, op.value);
        break;
      case RowBatch::Operation::Kind::kDelete:
        copy.Delete(op.family, op.key);
        break;
      case RowBatch::Operation::Kind::kDeleteRange:
        copy.DeleteRange(op.family, op.key, op.value);
        break;
    }
  }
  return copy;
}

TEST(CommitSorted, EqualsCommitOnRandomBatches) {
  for (uint32_t seed = 0; seed < 8; ++seed) {
    TempDir dir;
    std::mt19937 random(seed);
    std::unique_ptr<RowStore> plain = Open(dir.file("plain"), Writing());
    std::unique_ptr<RowStore> sorted = Open(dir.file("sorted"), Writing());
    ASSERT_NE(sorted, nullptr);
    std::shared_ptr<const RowSnapshot> snapshot;
    std::vector<Rows> rows_then;
    for (int i = 0; i < 40; ++i) {
      const RowBatch batch = RandomBatch(&random);
      ASSERT_TRUE(plain->Commit(Copy(batch)).ok());
      const bool by_file = random() % 3 != 0;
      const absl::Status s =
          by_file ? sorted->CommitSorted(Copy(batch)) : sorted->Commit(Copy(batch));
      ASSERT_TRUE(s.ok()) << s;
      ASSERT_EQ(AllRows(*sorted), AllRows(*plain)) << "seed " << seed << ", batch " << i;
      if (snapshot != nullptr) {
        ASSERT_EQ(AllRows(*sorted, snapshot.get()), rows_then) << i;
      }
      if (random() % 8 == 0) {
        snapshot = sorted->TakeSnapshot();
        rows_then = AllRows(*sorted);
      }
      if (random() % 16 == 0) {
        snapshot.reset();
        sorted.reset();
        sorted = Open(dir.file("sorted"), Writing());
        ASSERT_NE(sorted, nullptr);
      }
      if (random() % 16 == 0) {
        ASSERT_TRUE(sorted->CompactAll().ok());
      }
    }
    EXPECT_TRUE(sorted->VerifyFiles().ok());
    EXPECT_THAT(FilesIn(dir.file("sorted/ingest")), IsEmpty());
  }
}

TEST(CommitSorted, TheLastOperationOnAKeyCounts) {
  TempDir dir;
  std::unique_ptr<RowStore> store = Open(dir.file("s"), Writing());
  RowBatch before;
  for (const char* key : {"a", "b", "c", "d", "e"}) before.Put(Family::kTerms, key, "old");
  ASSERT_TRUE(store->Commit(std::move(before)).ok());
  RowBatch batch;
  batch.Put(Family::kTerms, "e", "1");
  batch.Put(Family::kTerms, "a", "1");
  batch.Put(Family::kTerms, "a", "2");
  batch.Put(Family::kTerms, "b", "1");
  batch.Delete(Family::kTerms, "b");
  batch.Put(Family::kTerms, "c", "gone");
  batch.DeleteRange(Family::kTerms, "c", "e");
  batch.Put(Family::kTerms, "d", "back");
  ASSERT_TRUE(store->CommitSorted(std::move(batch)).ok());
  EXPECT_EQ(AllRows(*store, Family::kTerms, nullptr),
            (Rows{{"a", "2"}, {"d", "back"}, {"e", "1"}}));
}

TEST(CommitSorted, AnEmptyBatchChangesNothing) {
  TempDir dir;
  std::unique_ptr<RowStore> store = Open(dir.file("s"), Writing());
  ASSERT_TRUE(store->Commit(NumberedBatch(0)).ok());
  EXPECT_TRUE(store->CommitSorted(RowBatch()).ok());
  EXPECT_EQ(*CountNumbered(*store), 1u);
}

TEST(CommitSorted, SnapshotsShowABatchWholeOrNotAtAll) {
  TempDir dir;
  std::unique_ptr<RowStore> store = Open(dir.file("s"), Writing());
  constexpr std::array kFamilies = {Family::kChunks, Family::kVectors, Family::kForward};
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (int i = 0; i < 120; ++i) {
      RowBatch batch;
      for (Family f : kFamilies) {
        // Rows that replace others become visible in another way than rows above all others.
        if (i % 3 == 0) batch.Put(f, "always", std::to_string(i));
        batch.Put(f, "row " + std::to_string(1000 + i), "new");
      }
      EXPECT_TRUE(store->CommitSorted(std::move(batch)).ok());
    }
    stop = true;
  });
  std::mt19937 random(3);
  while (!stop) {
    // Now and then no snapshot is there when a batch comes.
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
    const std::shared_ptr<const RowSnapshot> snapshot = store->TakeSnapshot();
    const auto count = [&](Family f) { return AllRows(*store, f, snapshot.get()).size(); };
    const size_t rows = count(Family::kChunks);
    for (int again = 0; again < 10; ++again) {
      for (Family f : kFamilies) EXPECT_EQ(count(f), rows);
    }
  }
  writer.join();
}

TEST(CommitSorted, SeveralWritersAtOnceLoseNothing) {
  TempDir dir;
  std::unique_ptr<RowStore> store = Open(dir.file("s"), Writing());
  constexpr int kWriters = 4, kBatches = 25;
  std::vector<std::thread> writers;
  for (int w = 0; w < kWriters; ++w) {
    writers.emplace_back([&store, w] {
      for (int i = 0; i < kBatches; ++i) {
        RowBatch batch;
        const std::string key = std::to_string(i) + "/" + std::to_string(w);
        batch.Put(Family::kChunks, key, "row");
        batch.Put(Family::kDocuments, key, "row");
        // Only one goes by way of the log: of several RocksDB writes one in another's thread, and
        // ThreadSanitizer does not see how it orders that.
        EXPECT_TRUE(w == 0 ? store->Commit(std::move(batch)).ok()
                           : store->CommitSorted(std::move(batch)).ok());
      }
    });
  }
  for (std::thread& w : writers) w.join();
  EXPECT_EQ(AllRows(*store, Family::kChunks, nullptr).size(), size_t{kWriters * kBatches});
  EXPECT_EQ(AllRows(*store, Family::kDocuments, nullptr).size(), size_t{kWriters * kBatches});
}

TEST(CommitSorted, WritesNeverIntoATableThatACrashLeftUnderTwoNames) {
  TempDir dir;
  std::unique_ptr<RowStore> store = Open(dir.file("s"), Writing());
  ASSERT_TRUE(store->CommitSorted(NumberedBatch(0)).ok());
  // As after a crash between the two steps of moving a file, under every name that may come next.
  const auto leave = [&] {
    fs::path table;
    for (const auto& entry : fs::directory_iterator(dir.file("s/db"))) {
      if (entry.path().extension() == ".sst") table = entry.path();
    }
    for (int number = 0; number < 5; ++number) {
      for (size_t f = 0; f < kFamilyCount; ++f) {
        const std::string name = std::to_string(number) + "-" + std::to_string(f) + ".sst";
        fs::create_directories(dir.file("s/ingest"));
        fs::create_hard_link(table, dir.file("s/ingest/" + name));
      }
    }
  };
  leave();
  ASSERT_TRUE(store->CommitSorted(NumberedBatch(1)).ok());
  EXPECT_TRUE(store->VerifyFiles().ok());
  store.reset();
  fs::remove_all(dir.file("s/ingest"));
  leave();
  store = Open(dir.file("s"), Writing());
  ASSERT_NE(store, nullptr);
  EXPECT_THAT(FilesIn(dir.file("s/ingest")), IsEmpty());
  ASSERT_TRUE(store->CommitSorted(NumberedBatch(2)).ok());
  EXPECT_TRUE(store->VerifyFiles().ok());
  EXPECT_EQ(*CountNumbered(*store), 3u);
}

TEST(CommitSorted, AFileThatCannotBeWrittenLeavesTheStoreAsItWas) {
  TempDir dir;
  std::unique_ptr<RowStore> store = Open(dir.file("s"), Writing());
  ASSERT_TRUE(CommitNumbered(*store, 0).ok());
  RowBatch batch = NumberedBatch(1);
  batch.Put(Family::kVectors, "vector", std::string(4 << 20, 'v'));
  {
    const FileSizeLimit limit(1 << 20);
    EXPECT_FALSE(store->CommitSorted(std::move(batch)).ok());
  }
  EXPECT_THAT(FilesIn(dir.file("s/ingest")), IsEmpty());
  EXPECT_EQ(*CountNumbered(*store), 1u);
  for (uint64_t i = 1; i < 7; ++i) ASSERT_TRUE(CommitNumbered(*store, i).ok());
  EXPECT_EQ(*CountNumbered(*store), 7u);
}

TEST(CommitSorted, FilesThatCannotBeTakenInLeaveTheStoreAsItWas) {
  TempDir dir;
  std::unique_ptr<RowStore> store = Open(dir.file("s"), Writing());
  ASSERT_TRUE(store->CommitSorted(NumberedBatch(0)).ok());
  for (const char* path : {"", "s", "s/ingest"})
    ASSERT_EQ(::chmod(dir.file(path).c_str(), 0777), 0);
  ASSERT_EQ(::chmod(dir.file("s/db").c_str(), 0555), 0);
  {
    const Unprivileged unprivileged;
    if (!unprivileged.ok()) GTEST_SKIP() << "needs to act as another user";
    EXPECT_FALSE(store->CommitSorted(NumberedBatch(1)).ok());
  }
  ASSERT_EQ(::chmod(dir.file("s/db").c_str(), 0755), 0);
  EXPECT_THAT(FilesIn(dir.file("s/ingest")), IsEmpty());
  EXPECT_EQ(*CountNumbered(*store), 1u);
  for (uint64_t i = 1; i < 7; ++i) {
    const absl::Status s = CommitNumbered(*store, i);
    ASSERT_TRUE(s.ok()) << s;
  }
  EXPECT_EQ(*CountNumbered(*store), 7u);
}

TEST(CommitSorted, RefusesWhatCommitRefuses) {
  TempDir dir;
  RowStoreOptions greedy = Writing();
  ASSERT_TRUE(Open(dir.file("s"), greedy)->CommitSorted(NumberedBatch(0)).ok());
  EXPECT_TRUE(
      absl::IsFailedPrecondition(Open(dir.file("s"), Reading())->CommitSorted(NumberedBatch(1))));
  greedy.min_free_bytes = uint64_t{1} << 60;
  std::unique_ptr<RowStore> store = Open(dir.file("s"), greedy);
  EXPECT_TRUE(absl::IsResourceExhausted(store->CommitSorted(NumberedBatch(1))));
  EXPECT_TRUE(absl::IsResourceExhausted(store->CompactAll()));
  EXPECT_EQ(*CountNumbered(*store), 1u);
}

}  // namespace
}  // namespace cairn::index
