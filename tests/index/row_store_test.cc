// Batches, checkpoints, formats, and what a killed process leaves.
#include "index/row_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/db.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "index/store_files.h"
#include "tests/support/numbered_batches.h"
#include "tests/support/process.h"
#include "tests/support/row_stores.h"
#include "tests/support/temp_dir.h"

namespace cairn::index {
namespace {

namespace fs = std::filesystem;
using ::cairn::testing::AllRows;
using ::cairn::testing::CommitNumbered;
using ::cairn::testing::CountNumbered;
using ::cairn::testing::Get;
using ::cairn::testing::Open;
using ::cairn::testing::Process;
using ::cairn::testing::ProcessOptions;
using ::cairn::testing::ProcessResult;
using ::cairn::testing::ReadFile;
using ::cairn::testing::Reading;
using ::cairn::testing::TempDir;
using ::cairn::testing::Writing;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(RowBatch, KeepsWhatWasAddedWhenItMoves) {
  RowBatch batch;
  std::vector<std::string> values;
  for (size_t i = 0; i < 2000; ++i) {
    values.push_back(std::string(i, static_cast<char>('a' + i % 26)));
    batch.Put(Family::kChunks, std::to_string(i), values.back());
  }
  RowBatch moved = std::move(batch);
  EXPECT_EQ(batch.bytes(), 0u);
  EXPECT_TRUE(batch.operations().empty());
  batch.Delete(Family::kChunks, "after");
  EXPECT_EQ(batch.operations()[0].key, "after");
  EXPECT_TRUE(batch.frees_space());
  EXPECT_FALSE(moved.frees_space());
  ASSERT_EQ(moved.operations().size(), values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_EQ(moved.operations()[i].key, std::to_string(i));
    EXPECT_EQ(moved.operations()[i].value, values[i]);
  }
}

TEST(Durability, BatchesAreWholeAfterAKillAtAnyMoment) {
  TempDir dir;
  std::mt19937 random(7);
  uint64_t acknowledged = 0;
  for (int kill = 0; kill < 12; ++kill) {
    ProcessOptions options;
    options.argv = {CAIRN_ROW_STORE_CHILD, "commit", dir.file("s")};
    Process child(options);
    // In the first milliseconds of its work, or after some batches, of which each third is sorted.
    if (kill % 4 != 0) {
      const uint64_t last = acknowledged + random() % 12;
      ASSERT_TRUE(child.WaitForOutput(std::to_string(last) + "\n")) << child.Wait().err;
    }
    child.RunFor(std::chrono::microseconds(random() % 30'000));
    child.Signal(SIGKILL);
    const ProcessResult result = child.Wait();
    ASSERT_EQ(result.signal, SIGKILL) << result.err;
    const size_t end = result.out.rfind('\n');  // A line cut off in the middle was not printed.
    if (end != std::string::npos) {
      const size_t begin = end == 0 ? 0 : result.out.rfind('\n', end - 1) + 1;
      acknowledged = std::stoull(result.out.substr(begin)) + 1;
    }
    std::unique_ptr<RowStore> store = Open(dir.file("s"), Writing());
    ASSERT_NE(store, nullptr);
    const absl::StatusOr<uint64_t> count = CountNumbered(*store);
    ASSERT_TRUE(count.ok()) << count.status();
    EXPECT_GE(*count, acknowledged);
    EXPECT_LE(*count, acknowledged + 1);
    EXPECT_TRUE(store->VerifyFiles().ok());
    acknowledged = *count;
  }
}

TEST(Checkpoint, IsAStoreOfThatMoment) {
  TempDir dir;
  std::unique_ptr<RowStore> store = Open(dir.file("s"), Writing());
  for (uint64_t i = 0; i < 5; ++i) ASSERT_TRUE(CommitNumbered(*store, i).ok());
  fs::create_directory(dir.file("copy"));
  ASSERT_TRUE(store->Checkpoint(dir.file("copy/db")).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(store->Checkpoint(dir.file("copy/db"))));
  EXPECT_FALSE(store->Checkpoint(dir.file("none/db")).ok());
  ASSERT_TRUE(CommitNumbered(*store, 5).ok());
  fs::copy(dir.file("s/FORMAT"), dir.file("copy/FORMAT"));
  EXPECT_EQ(*CountNumbered(*Open(dir.file("copy"), Reading())), 5u);
  EXPECT_EQ(*CountNumbered(*Open(dir.file("copy"), Writing())), 5u);
  EXPECT_EQ(*CountNumbered(*store), 6u);
}

TEST(CompactAll, GivesBackTheSpaceOfWhatWasDeleted) {
  TempDir dir;
  RowStoreOptions options = Writing();
  options.background_bytes_per_second = 64 << 20;
  std::unique_ptr<RowStore> store = Open(dir.file("s"), options);
  std::mt19937 random(1);
  const auto fill = [&](bool sorted) {
    RowBatch batch;
    for (int i = 0; i < 1000; ++i) {
      std::string value(1000, 0);
      for (char& c : value) c = static_cast<char>(random());
      batch.Put(Family::kVectors, "v" + std::to_string(i), value);
    }
    return sorted ? store->CommitSorted(std::move(batch)) : store->Commit(std::move(batch));
  };
  ASSERT_TRUE(fill(true).ok());
  ASSERT_TRUE(fill(false).ok());
  ASSERT_TRUE(fill(true).ok());
  ASSERT_TRUE(store->CompactAll().ok());
  EXPECT_LT(store->DiskBytes(), 1'200'000u);
  EXPECT_GT(store->DiskBytes(), 1'000'000u);
  RowBatch drop;
  drop.DeleteRange(Family::kVectors, "v", "w");
  ASSERT_TRUE(store->CommitSorted(std::move(drop)).ok());
  ASSERT_TRUE(store->CompactAll().ok());
  EXPECT_LT(store->DiskBytes(), 100'000u);
  EXPECT_THAT(AllRows(*store, Family::kVectors, nullptr), IsEmpty());
}

std::vector<std::string> FamilyNames(const std::string& store) {
  std::vector<std::string> names;
  EXPECT_TRUE(rocksdb::DB::ListColumnFamilies(rocksdb::DBOptions(), store + "/db", &names).ok());
  return names;
}

void DropFamily(const std::string& store, const std::string& family) {
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  for (const std::string& name : FamilyNames(store)) descriptors.push_back({name, {}});
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  ASSERT_TRUE(
      rocksdb::DB::Open(rocksdb::DBOptions(), store + "/db", descriptors, &handles, &db).ok());
  for (rocksdb::ColumnFamilyHandle* handle : handles) {
    if (handle->GetName() == family) {
      EXPECT_TRUE(db->DropColumnFamily(handle).ok());
    }
    db->DestroyColumnFamilyHandle(handle);
  }
  delete db;
}

class OlderFormat : public ::testing::Test {
 protected:
  // A store as format 1 had it, with one row.
  void SetUp() override {
    std::unique_ptr<RowStore> store = Open(store_, Writing());
    RowBatch batch;
    batch.Put(Family::kForward, "old", "row");
    ASSERT_TRUE(store->Commit(std::move(batch)).ok());
    uuid_ = store->uuid();
    store.reset();
    DropFamily(store_, "tombstones");
    SayFormat1();
  }
  void SayFormat1() { dir_.Write("s/FORMAT", EncodeFormat({1, uuid_})); }

  void ExpectUpgraded() {
    std::unique_ptr<RowStore> store = Open(store_, Writing());
    ASSERT_NE(store, nullptr);
    EXPECT_EQ(Get(*store, Family::kForward, "old"), "row");
    RowBatch batch;
    batch.Put(Family::kTombstones, "new", "row");
    ASSERT_TRUE(store->Commit(std::move(batch)).ok());
    store.reset();
    EXPECT_EQ(ReadFile(store_ + "/FORMAT"), EncodeFormat({2, uuid_}));
    EXPECT_FALSE(fs::exists(store_ + "/FORMAT.next"));
    EXPECT_EQ(Get(*Open(store_, Reading()), Family::kTombstones, "new"), "row");
  }

  TempDir dir_;
  const std::string store_ = dir_.file("s");
  std::string uuid_;
};

TEST_F(OlderFormat, IsBroughtUpToDateWhenOpenedForWriting) { ExpectUpgraded(); }

TEST_F(OlderFormat, ReadOnlyWorksAndStaysAsItIs) {
  std::unique_ptr<RowStore> store = Open(store_, Reading());
  ASSERT_NE(store, nullptr);
  EXPECT_EQ(store->uuid(), uuid_);
  EXPECT_EQ(Get(*store, Family::kForward, "old"), "row");
  std::string value;
  EXPECT_TRUE(absl::IsNotFound(store->Get(Family::kTombstones, "old", nullptr, &value)));
  std::vector<std::string> values;
  EXPECT_TRUE(store->MultiGet(Family::kTombstones, {"a", "b"}, nullptr, &values).ok());
  EXPECT_EQ(values, std::vector<std::string>(2));
  EXPECT_THAT(AllRows(*store, Family::kTombstones, nullptr), IsEmpty());
  EXPECT_TRUE(store->VerifyFiles().ok());
  EXPECT_GT(store->DiskBytes(), 0u);
  store.reset();
  EXPECT_EQ(ReadFile(store_ + "/FORMAT"), EncodeFormat({1, uuid_}));
  EXPECT_EQ(FamilyNames(store_).size(), 6u);
}

TEST_F(OlderFormat, AnUpgradeThatStoppedBeforeItWroteFormatGoesOn) {
  Open(store_, Writing());
  ASSERT_EQ(FamilyNames(store_).size(), 7u);
  SayFormat1();
  EXPECT_EQ(Get(*Open(store_, Reading()), Family::kForward, "old"), "row");
  ExpectUpgraded();
}

TEST_F(OlderFormat, AnUpgradeThatStoppedWhileItWroteFormatGoesOn) {
  dir_.Write("s/FORMAT.next", "cairn sto");  // Torn.
  EXPECT_EQ(Get(*Open(store_, Reading()), Family::kForward, "old"), "row");
  ExpectUpgraded();
}

TEST_F(OlderFormat, ALostFamilyIsDamageAndNotMadeAnew) {
  DropFamily(store_, "documents");
  EXPECT_TRUE(absl::IsDataLoss(RowStore::Open(store_, Writing()).status()));
  EXPECT_TRUE(absl::IsDataLoss(RowStore::Open(store_, Reading()).status()));
  EXPECT_EQ(FamilyNames(store_).size(), 5u);
}

TEST_F(OlderFormat, InTheNewestFormatEveryFamilyMustBeThere) {
  dir_.Write("s/FORMAT", EncodeFormat({2, uuid_}));
  EXPECT_TRUE(absl::IsDataLoss(RowStore::Open(store_, Writing()).status()));
  EXPECT_TRUE(absl::IsDataLoss(RowStore::Open(store_, Reading()).status()));
}

TEST_F(OlderFormat, NewerFormatsAreRefused) {
  for (const RowStoreOptions& options : {Writing(), Reading()}) {
    for (const char* newer : {"cairn store\nformat 3\n", "cairn store\nformat 1000000\nx"}) {
      dir_.Write("s/FORMAT", newer);
      const absl::Status s = RowStore::Open(store_, options).status();
      EXPECT_TRUE(absl::IsFailedPrecondition(s)) << s;
      EXPECT_THAT(std::string(s.message()), HasSubstr("newer cairn"));
    }
    for (int never : {0, -1}) {
      dir_.Write("s/FORMAT", EncodeFormat({never, uuid_}));
      EXPECT_TRUE(absl::IsDataLoss(RowStore::Open(store_, options).status()));
    }
  }
}

TEST(FormatFile, IsAsDocumented) {
  EXPECT_EQ(EncodeFormat({2, "9f0c2a4e1b7d4c63a5f1e2d3c4b5a697"}),
            "cairn store\nformat 2\nuuid 9f0c2a4e1b7d4c63a5f1e2d3c4b5a697\nchecksum fcf7b3a5\n");
}

TEST(FormatFile, RoundTripsAndRefusesEveryChange) {
  for (int number : {kOldestStoreFormat, kStoreFormat}) {
    const std::string uuid(32, 'a');
    const std::string text = EncodeFormat({number, uuid});
    EXPECT_EQ(DecodeFormat(text)->uuid, uuid);
    EXPECT_EQ(DecodeFormat(text)->number, number);
    for (size_t i = 0; i < text.size(); ++i) {
      std::string bad = text;
      bad[i] ^= 1;
      EXPECT_FALSE(DecodeFormat(bad).ok()) << i;
      EXPECT_FALSE(DecodeFormat(text.substr(0, i)).ok()) << i;
    }
  }
}

}  // namespace
}  // namespace cairn::index
