// Chunk KV caches, from memory, from disk, and not at all.
#include "engine/kv/kv_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/kv_blobs.h"
#include "tests/support/kv_store_fixture.h"
#include "tests/support/row_stores.h"

namespace cairn::engine {
namespace {

namespace fs = std::filesystem;
using ::cairn::testing::CheckKv;
using ::cairn::testing::FileSizeLimit;
using ::cairn::testing::KvStoreFixture;
using ::cairn::testing::MakeKvBlob;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Bytes of a file of MakeKvBlob's.
constexpr uint64_t kFileBytes = 4 * 4096 + 2 * 3 * 8 * 2;

class KvStoreTest : public KvStoreFixture {};

TEST_F(KvStoreTest, FromMemoryAndFromDisk) {
  const KvKey key = KeyOf({1, 2, 3});
  EXPECT_EQ(kv().Find(key), nullptr);
  EXPECT_FALSE(kv().Contains(key));
  ASSERT_TRUE(kv().Put(key, OwnerOf(0), MakeKvBlob(5)).ok());
  EXPECT_EQ(kv().Stats().disk.bytes, kFileBytes);
  std::shared_ptr<const ChunkKv> found = kv().Find(key);
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->tokens(), 3u);
  EXPECT_EQ(found->first_position(), 5u);
  EXPECT_EQ(found->attention(), nullptr);
  EXPECT_TRUE(CheckKv(*found, 5).ok());
  Reopen();
  found = kv().Find(key);
  ASSERT_NE(found, nullptr);
  EXPECT_TRUE(CheckKv(*found, 5).ok());
  const KvCollectionStats stats = kv().Stats(collection());
  EXPECT_EQ(stats.disk_hits, 1u);
  EXPECT_EQ(stats.memory_hits, 0u);
  EXPECT_EQ(stats.bytes_loaded, found->bytes());
  // All of it was read, so it is in memory.
  EXPECT_EQ(kv().Find(key), found);
  EXPECT_EQ(kv().Stats(collection()).memory_hits, 1u);
  EXPECT_EQ(kv().Stats().memory.blobs, 1u);
  EXPECT_THAT(problems(), IsEmpty());
}

TEST_F(KvStoreTest, AttentionComesAlong) {
  KvBlob blob = MakeKvBlob(1);
  blob.metadata.attention.emplace();
  blob.metadata.attention->before = {{7, 5, 0.5f}};
  blob.metadata.attention->token_inter = {1, 2, 3};
  ASSERT_TRUE(kv().Put(KeyOf({1}), OwnerOf(0), std::move(blob)).ok());
  Reopen();
  const std::shared_ptr<const ChunkKv> found = kv().Find(KeyOf({1}));
  ASSERT_NE(found, nullptr);
  ASSERT_NE(found->attention(), nullptr);
  EXPECT_THAT(found->attention()->token_inter, ElementsAre(1, 2, 3));
}

TEST_F(KvStoreTest, EveryEncodingIsReadBack) {
  for (KvEncoding encoding : {KvEncoding::kF32, KvEncoding::kF16}) {
    const KvKey key = KeyOf({static_cast<uint32_t>(encoding)});
    ASSERT_TRUE(kv().Put(key, OwnerOf(0), MakeKvBlob(9, 5, 2, 1, encoding)).ok());
    Reopen();
    const auto found = kv().Find(key);
    ASSERT_NE(found, nullptr);
    EXPECT_TRUE(CheckKv(*found, 9).ok());
  }
}

TEST_F(KvStoreTest, WhatIsNotWhatItSaysIsNotStored) {
  KvBlob blob = MakeKvBlob(1);
  blob.layers.pop_back();
  EXPECT_TRUE(absl::IsInvalidArgument(kv().Put(KeyOf({1}), OwnerOf(0), std::move(blob))));
  blob = MakeKvBlob(1);
  blob.metadata.tokens = 4;
  EXPECT_TRUE(absl::IsInvalidArgument(kv().Put(KeyOf({1}), OwnerOf(0), std::move(blob))));
  blob = MakeKvBlob(1);
  blob.seconds = -1;
  EXPECT_TRUE(absl::IsInvalidArgument(kv().Put(KeyOf({1}), OwnerOf(0), std::move(blob))));
  EXPECT_EQ(kv().Stats().disk.blobs, 0u);
}

TEST_F(KvStoreTest, AnotherModelsBlobIsNotFound) {
  ASSERT_TRUE(kv().Put(KeyOf({1}), OwnerOf(0), MakeKvBlob(1)).ok());
  KvConfiguration other = configuration();
  other.model_fingerprint = "another";
  EXPECT_EQ(kv().Find(KeyOf({1}, other)), nullptr);
  EXPECT_THAT(*kv().OfChunk(collection(), chunk(0), identity().Configuration(other)), IsEmpty());
  EXPECT_THAT(*kv().OfChunk(collection(), chunk(0), identity().Configuration(configuration())),
              ElementsAre(KeyOf({1})));
}

TEST_F(KvStoreTest, CollectionsShareNothing) {
  const KvIdentity other = OtherIdentity();
  const KvKey mine = KeyOf({1, 2});
  const KvKey theirs = other.Key(other.Configuration(configuration()), {}, Tokens({1, 2}));
  ASSERT_TRUE(kv().Put(mine, OwnerOf(0), MakeKvBlob(1)).ok());
  EXPECT_NE(mine.name, theirs.name);
  EXPECT_EQ(kv().Find(theirs), nullptr);
  // Not even by the other's name.
  EXPECT_EQ(kv().Find({other.collection(), mine.name}), nullptr);
  EXPECT_EQ(kv().Stats(other.collection()).misses, 2u);
  EXPECT_EQ(kv().Stats(collection()).misses, 0u);
  EXPECT_EQ(kv().Stats(collection()).memory_hits, 0u);
}

TEST_F(KvStoreTest, AChunkTakesItsBlobsAlong) {
  const KvKey key = KeyOf({1}), shared = KeyOf({2});
  ASSERT_TRUE(kv().Put(key, OwnerOf(0), MakeKvBlob(1)).ok());
  ASSERT_TRUE(kv().Put(shared, OwnerOf(0), MakeKvBlob(2)).ok());
  EXPECT_TRUE(*kv().AddOwner(shared, OwnerOf(1)));
  EXPECT_FALSE(*kv().AddOwner(KeyOf({3}), OwnerOf(1)));
  const std::shared_ptr<const ChunkKv> in_use = kv().Find(key);
  EXPECT_EQ(kv().Stats().memory.blobs, 2u);
  DeleteDocument(0);
  EXPECT_EQ(kv().Stats().memory.blobs, 1u);
  EXPECT_EQ(kv().Find(key), nullptr);
  EXPECT_NE(kv().Find(shared), nullptr);
  EXPECT_TRUE(CheckKv(*in_use, 1).ok());
  EXPECT_TRUE(absl::IsNotFound(kv().Put(key, OwnerOf(0), MakeKvBlob(1))));
  DeleteDocument(1);
  EXPECT_EQ(kv().Find(shared), nullptr);
  EXPECT_EQ(kv().Stats().disk.blobs, 0u);
  EXPECT_EQ(kv().Stats().memory.blobs, 0u);
}

TEST_F(KvStoreTest, ABudgetBelowABlobKeepsNothingAndFailsNothing) {
  options_.disk_bytes = kFileBytes - 1;
  Reopen();
  EXPECT_TRUE(kv().Put(KeyOf({1}), OwnerOf(0), MakeKvBlob(1)).ok());
  EXPECT_EQ(kv().Find(KeyOf({1})), nullptr);
  options_.disk_bytes = 10 * kFileBytes;
  options_.memory_bytes = 1;
  Reopen();
  EXPECT_TRUE(kv().Put(KeyOf({1}), OwnerOf(0), MakeKvBlob(1)).ok());
  for (int i = 0; i < 2; ++i) {
    const auto found = kv().Find(KeyOf({1}));
    ASSERT_NE(found, nullptr);
    EXPECT_TRUE(CheckKv(*found, 1).ok());
  }
  EXPECT_EQ(kv().Stats().memory.blobs, 0u);
  const std::vector<KvKey> keys = {KeyOf({1})};
  kv().Prefetch(keys);
  EXPECT_EQ(kv().Stats(collection()).disk_hits, 2u);
}

TEST_F(KvStoreTest, TheDiskEvictsTheLeastWorth) {
  options_.disk_bytes = 3 * kFileBytes;
  Reopen();
  ASSERT_TRUE(kv().Put(KeyOf({1}), OwnerOf(0), MakeKvBlob(1)).ok());
  ASSERT_TRUE(kv().Put(KeyOf({2}), OwnerOf(0), MakeKvBlob(2, 3, 4, /*seconds=*/9)).ok());
  ASSERT_TRUE(kv().Put(KeyOf({3}), OwnerOf(0), MakeKvBlob(3)).ok());
  for (int i = 0; i < 4; ++i) EXPECT_NE(kv().Find(KeyOf({3})), nullptr);
  Reopen();  // Uses are known after it.
  ASSERT_TRUE(kv().Put(KeyOf({4}), OwnerOf(0), MakeKvBlob(4)).ok());
  EXPECT_FALSE(kv().Contains(KeyOf({1})));
  EXPECT_TRUE(kv().Contains(KeyOf({2})));
  EXPECT_TRUE(kv().Contains(KeyOf({3})));
  EXPECT_TRUE(kv().Contains(KeyOf({4})));
  EXPECT_EQ(kv().Stats().disk.evictions, 1u);
  EXPECT_EQ(kv().Stats().disk.bytes, 3 * kFileBytes);
  // What is used no more is overtaken in the end.
  for (uint32_t i = 100; i < 130; ++i) {
    ASSERT_TRUE(kv().Put(KeyOf({i}), OwnerOf(0), MakeKvBlob(i)).ok());
    EXPECT_LE(kv().Stats().disk.bytes, 3 * kFileBytes);
  }
  EXPECT_FALSE(kv().Contains(KeyOf({3})));
}

TEST_F(KvStoreTest, UsesFadeWithTime) {
  options_.disk_bytes = 2 * kFileBytes;
  options_.half_life = absl::Hours(1);
  Reopen();
  ASSERT_TRUE(kv().Put(KeyOf({1}), OwnerOf(0), MakeKvBlob(1)).ok());
  for (int i = 0; i < 20; ++i) EXPECT_NE(kv().Find(KeyOf({1})), nullptr);
  now_ += absl::Hours(20);
  EXPECT_NE(kv().Find(KeyOf({1})), nullptr);  // As good as once.
  ASSERT_TRUE(kv().Put(KeyOf({2}), OwnerOf(0), MakeKvBlob(2)).ok());
  for (int i = 0; i < 3; ++i) EXPECT_NE(kv().Find(KeyOf({2})), nullptr);
  ASSERT_TRUE(kv().Put(KeyOf({3}), OwnerOf(0), MakeKvBlob(3)).ok());
  EXPECT_FALSE(kv().Contains(KeyOf({1})));
  EXPECT_TRUE(kv().Contains(KeyOf({2})));
}

TEST_F(KvStoreTest, EvictOnRequest) {
  for (uint32_t i = 1; i <= 5; ++i) {
    ASSERT_TRUE(kv().Put(KeyOf({i}), OwnerOf(0), MakeKvBlob(i, 3, 4, i)).ok());
  }
  EXPECT_EQ(*kv().Evict(kFileBytes + 1), 2 * kFileBytes);
  EXPECT_FALSE(kv().Contains(KeyOf({1})));
  EXPECT_FALSE(kv().Contains(KeyOf({2})));
  EXPECT_TRUE(kv().Contains(KeyOf({3})));
  EXPECT_EQ(kv().Find(KeyOf({1})), nullptr);
  EXPECT_EQ(*kv().Evict(), 3 * kFileBytes);
  EXPECT_EQ(kv().Stats().disk.bytes, 0u);
  EXPECT_EQ(kv().Stats().memory.bytes, 0u);
}

TEST_F(KvStoreTest, ABadLayerIsFoundByItsReaderAndTheBlobDropped) {
  ASSERT_TRUE(kv().Put(KeyOf({1}), OwnerOf(0), MakeKvBlob(1)).ok());
  Close();
  Damage(KeyOf({1}), 3 * 4096);  // Layer 2.
  Reopen();
  const std::shared_ptr<const ChunkKv> found = kv().Find(KeyOf({1}));
  ASSERT_NE(found, nullptr);
  std::vector<float> keys(3 * 8), values(3 * 8);
  EXPECT_TRUE(found->Read(0, 0, 3, keys.data(), values.data()).ok());
  EXPECT_TRUE(found->Read(1, 1, 2, keys.data(), values.data()).ok());
  EXPECT_TRUE(absl::IsDataLoss(found->Read(3, 0, 3, keys.data(), values.data())));
  EXPECT_TRUE(absl::IsDataLoss(found->Read(2, 0, 3, keys.data(), values.data())));
  // What was there stays.
  EXPECT_TRUE(found->Read(0, 0, 3, keys.data(), values.data()).ok());
  EXPECT_FALSE(kv().Contains(KeyOf({1})));
  EXPECT_EQ(kv().Stats().disk.blobs, 0u);
  EXPECT_EQ(kv().Find(KeyOf({1})), nullptr);
  EXPECT_EQ(kv().Stats(collection()).bad_blobs, 1u);
  EXPECT_THAT(problems(), ElementsAre(HasSubstr("extent 2")));
  ASSERT_TRUE(kv().Put(KeyOf({1}), OwnerOf(0), MakeKvBlob(1)).ok());
  EXPECT_TRUE(CheckKv(*kv().Find(KeyOf({1})), 1).ok());
}

TEST_F(KvStoreTest, ABadHeadIsAMiss) {
  for (uint32_t i : {1, 2, 3}) {
    ASSERT_TRUE(kv().Put(KeyOf({i}), OwnerOf(0), MakeKvBlob(i)).ok());
  }
  Close();
  Damage(KeyOf({1}), 70);
  Reopen();
  // Behind the store's back.
  fs::remove(PathOf(KeyOf({2})));
  fs::copy_file(PathOf(KeyOf({1})), PathOf(KeyOf({3})), fs::copy_options::overwrite_existing);
  for (uint32_t i : {1, 2, 3}) EXPECT_EQ(kv().Find(KeyOf({i})), nullptr);
  EXPECT_EQ(kv().Stats(collection()).bad_blobs, 3u);
  EXPECT_EQ(kv().Stats(collection()).misses, 3u);
  EXPECT_EQ(kv().Stats().disk.blobs, 0u);
  EXPECT_THAT(problems(), SizeIs(3));
}

TEST_F(KvStoreTest, ANewerBlobIsAMissAndStays) {
  ASSERT_TRUE(kv().Put(KeyOf({1}), OwnerOf(0), MakeKvBlob(1)).ok());
  Close();
  Damage(KeyOf({1}), 8, 3);
  Reopen();
  EXPECT_EQ(kv().Find(KeyOf({1})), nullptr);
  EXPECT_THAT(problems(), ElementsAre(HasSubstr("version 2")));
  EXPECT_TRUE(fs::exists(PathOf(KeyOf({1}))));
  ASSERT_TRUE(kv().Put(KeyOf({1}), OwnerOf(0), MakeKvBlob(1)).ok());
  EXPECT_NE(kv().Find(KeyOf({1})), nullptr);
}

TEST_F(KvStoreTest, VerifyReadsEveryBlob) {
  for (uint32_t i = 1; i <= 4; ++i) {
    ASSERT_TRUE(kv().Put(KeyOf({i}), OwnerOf(0), MakeKvBlob(i)).ok());
  }
  Close();
  Damage(KeyOf({2}), 4 * 4096 + 5);
  Damage(KeyOf({3}), 1);
  Reopen();
  for (const bool drop : {false, true}) {
    std::vector<std::string> found;
    absl::StatusOr<KvVerifyReport> report =
        kv().Verify(drop, [&](const std::string& problem) { found.push_back(problem); });
    ASSERT_TRUE(report.ok());
    EXPECT_EQ(report->blobs, 4u);
    EXPECT_EQ(report->bytes, 4 * kFileBytes);
    EXPECT_EQ(report->bad, 2u);
    EXPECT_THAT(found, SizeIs(2));
  }
  EXPECT_EQ(kv().Stats().disk.blobs, 2u);
  EXPECT_FALSE(kv().Contains(KeyOf({3})));
  EXPECT_TRUE(CheckKv(*kv().Find(KeyOf({1})), 1).ok());
}

TEST_F(KvStoreTest, AFullDiskIsSaidAndLeavesTheRest) {
  ASSERT_TRUE(kv().Put(KeyOf({1}), OwnerOf(0), MakeKvBlob(1)).ok());
  {
    const FileSizeLimit limit(8192);
    EXPECT_FALSE(kv().Put(KeyOf({2}), OwnerOf(0), MakeKvBlob(2)).ok());
  }
  EXPECT_EQ(kv().Find(KeyOf({2})), nullptr);
  EXPECT_NE(kv().Find(KeyOf({1})), nullptr);
  EXPECT_EQ(kv().Stats().disk.bytes, kFileBytes);
  EXPECT_TRUE(kv().Put(KeyOf({2}), OwnerOf(0), MakeKvBlob(2)).ok());
}

TEST_F(KvStoreTest, PrefetchFillsTheMemory) {
  ASSERT_TRUE(kv().Put(KeyOf({1}), OwnerOf(0), MakeKvBlob(1)).ok());
  Reopen();
  const std::vector<KvKey> keys = {KeyOf({1}), KeyOf({2})};
  kv().Prefetch(keys);
  for (int i = 0; i < 1000 && kv().Stats().memory.blobs == 0; ++i) {
    absl::SleepFor(absl::Milliseconds(5));
  }
  EXPECT_EQ(kv().Stats().memory.blobs, 1u);
  EXPECT_EQ(kv().Stats(collection()).disk_hits, 0u);
  EXPECT_EQ(kv().Stats(collection()).misses, 0u);
  EXPECT_NE(kv().Find(KeyOf({1})), nullptr);
  EXPECT_EQ(kv().Stats(collection()).memory_hits, 1u);
}

TEST_F(KvStoreTest, UsesAreWrittenNowAndThen) {
  ASSERT_TRUE(kv().Put(KeyOf({1}), OwnerOf(0), MakeKvBlob(1)).ok());
  now_ += absl::Seconds(5);
  for (int i = 0; i < 3; ++i) EXPECT_NE(kv().Find(KeyOf({1})), nullptr);
  EXPECT_EQ(RowOf(KeyOf({1}))->uses, 1);
  ASSERT_TRUE(kv().Flush().ok());
  EXPECT_GT(RowOf(KeyOf({1}))->uses, 3.9);
  EXPECT_EQ(RowOf(KeyOf({1}))->last_use_ms, absl::ToUnixMillis(now_));
}

TEST_F(KvStoreTest, AHandleThatIsNotLoadedFailsWhenTheStoreIsClosed) {
  ASSERT_TRUE(kv().Put(KeyOf({1}), OwnerOf(0), MakeKvBlob(1, 400, 64)).ok());
  Reopen();
  const std::shared_ptr<const ChunkKv> found = kv().Find(KeyOf({1}));
  ASSERT_NE(found, nullptr);
  Close();
  const absl::Status s = CheckKv(*found, 1);
  EXPECT_TRUE(s.ok() || absl::IsCancelled(s)) << s;
}

TEST_F(KvStoreTest, ADroppedCollectionLosesItsBlobs) {
  const KvKey key = KeyOf({1});
  ASSERT_TRUE(kv().Put(key, OwnerOf(0), MakeKvBlob(1)).ok());
  DropCollection();
  EXPECT_EQ(kv().Stats().memory.blobs, 0u);
  EXPECT_EQ(kv().Find(key), nullptr);
  EXPECT_EQ(kv().Stats().disk.blobs, 0u);
  EXPECT_TRUE(absl::IsNotFound(kv().Identity(key.collection).status()));
  EXPECT_TRUE(absl::IsNotFound(kv().Put(key, OwnerOf(0), MakeKvBlob(1))));
}

TEST_F(KvStoreTest, AReaderFindsButDoesNotStore) {
  ASSERT_TRUE(kv().Put(KeyOf({1}), OwnerOf(0), MakeKvBlob(1)).ok());
  Close();
  read_only_ = true;
  Reopen();
  EXPECT_TRUE(CheckKv(*kv().Find(KeyOf({1})), 1).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(kv().Put(KeyOf({2}), OwnerOf(0), MakeKvBlob(2))));
  EXPECT_TRUE(kv().Flush().ok());
}

}  // namespace
}  // namespace cairn::engine
