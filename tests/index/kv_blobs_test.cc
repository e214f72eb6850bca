// KV blobs and their rows: what becomes of them when chunks, collections and programs come and go.
#include "index/kv_blobs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/store.h"
#include "tests/support/row_stores.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_store.h"

namespace cairn::index {
namespace {

namespace fs = std::filesystem;
using ::cairn::testing::FilesIn;
using ::cairn::testing::Prepare;
using ::cairn::testing::Settings;
using ::cairn::testing::TempDir;
using ::cairn::testing::Writable;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

KvBlobName BlobNamed(int seed) {
  KvBlobName name;
  name.bytes.fill(static_cast<uint8_t>(seed));
  return name;
}

KvConfigurationHash ConfigurationOf(int seed) { return BlobNamed(seed).bytes; }

class KvBlobsTest : public ::testing::Test {
 protected:
  KvBlobsTest() { Reopen(); }

  void Reopen() {
    collection_.reset();
    store_.reset();
    absl::StatusOr<std::unique_ptr<Store>> store = Store::Open(path(), Writable());
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    absl::StatusOr<std::shared_ptr<Collection>> c = store_->Find("c");
    if (!c.ok()) c = store_->Create("c", Settings());
    ASSERT_TRUE(c.ok()) << c.status();
    collection_ = *std::move(c);
  }

  std::string path() const { return directory_.file("store"); }
  CollectionId cid() const { return collection_->id(); }
  KvBlobs& blobs() { return store_->kv_blobs(); }

  // Writes a document with a chunk a line; the chunks' ids.
  std::vector<ChunkId> Ingest(const std::string& id, const std::string& text) {
    const std::vector<PreparedDocument> documents = {Prepare(id, text)};
    std::vector<WriteOutcome> outcomes;
    std::vector<ChunkRange> ranges;
    EXPECT_TRUE(collection_->Upsert(documents, &outcomes, &ranges).ok());
    std::vector<ChunkId> ids;
    for (ChunkId i = 0; i < ranges.at(0).count; ++i) ids.push_back(ranges[0].first + i);
    return ids;
  }

  absl::Status Put(int name, ChunkId chunk, int configuration = 1, std::string bytes = "numbers",
                   std::vector<ChunkId> seen = {}) {
    absl::StatusOr<KvSecret> secret = blobs().Secret(cid());
    if (!secret.ok()) return secret.status();
    KvBlobRow row;
    row.tokens = 7;
    row.encoding = 1;
    row.model = "model";
    row.seconds = 0.5;
    row.uses = 1;
    const absl::Span<const std::byte> extent(reinterpret_cast<const std::byte*>(bytes.data()),
                                             bytes.size());
    return blobs().Put(cid(), BlobNamed(name), row,
                       {chunk, ConfigurationOf(configuration), std::move(seen)}, "about",
                       absl::MakeSpan(&extent, 1));
  }

  bool Has(int name) {
    const bool row = blobs().Find(cid(), BlobNamed(name)).ok();
    EXPECT_EQ(blobs().Open(BlobNamed(name)).ok(), row) << name;
    return row;
  }

  std::vector<KvBlobName> OfChunk(ChunkId chunk) {
    std::vector<std::pair<KvBlobName, KvConfigurationHash>> found;
    EXPECT_TRUE(blobs().OfChunk(cid(), chunk, &found).ok());
    std::vector<KvBlobName> names;
    for (const auto& [name, hash] : found) names.push_back(name);
    return names;
  }

  // Keys of KV rows, without those of secrets.
  size_t KvRows() {
    size_t rows = 0;
    EXPECT_TRUE(store_->rows()
                    .Scan(Family::kDefault, "kv_", "kv_s", nullptr,
                          [&](std::string_view, std::string_view) {
                            ++rows;
                            return absl::OkStatus();
                          })
                    .ok());
    return rows;
  }

  size_t Files() const {
    size_t files = 0;
    std::error_code error;
    for (const auto& entry : fs::recursive_directory_iterator(path() + "/kv", error)) {
      files += entry.is_regular_file() ? 1 : 0;
    }
    return files;
  }

  TempDir directory_;
  std::unique_ptr<Store> store_;
  std::shared_ptr<Collection> collection_;
};

TEST_F(KvBlobsTest, WhatIsPutIsFoundAlsoLater) {
  const std::vector<ChunkId> chunks = Ingest("d", "one\ntwo");
  ASSERT_TRUE(Put(1, chunks[0]).ok());
  ASSERT_TRUE(Put(2, chunks[0], 2).ok());
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(Has(1));
    EXPECT_THAT(OfChunk(chunks[0]), ElementsAre(BlobNamed(1), BlobNamed(2)));
    EXPECT_THAT(OfChunk(chunks[1]), IsEmpty());
    absl::StatusOr<KvBlobRow> row = blobs().Find(cid(), BlobNamed(1));
    ASSERT_TRUE(row.ok());
    EXPECT_EQ(row->tokens, 7u);
    EXPECT_EQ(row->model, "model");
    EXPECT_EQ(row->bytes, blobs().files().FileBytes(BlobNamed(1)));
    EXPECT_EQ(blobs().blobs(), 2u);
    EXPECT_EQ(blobs().bytes(), 2 * row->bytes);
    Reopen();
  }
}

TEST_F(KvBlobsTest, SecretsAreKeptAndEachCollectionHasItsOwn) {
  absl::StatusOr<KvSecret> first = blobs().Secret(cid());
  ASSERT_TRUE(first.ok());
  EXPECT_NE(*first, KvSecret());
  absl::StatusOr<std::shared_ptr<Collection>> other = store_->Create("other", Settings());
  ASSERT_TRUE(other.ok());
  EXPECT_NE(*blobs().Secret((*other)->id()), *first);
  EXPECT_TRUE(absl::IsNotFound(blobs().Secret(99).status()));
  other->reset();
  Reopen();
  EXPECT_EQ(*blobs().Secret(cid()), *first);
}

TEST_F(KvBlobsTest, ManyWhoAskFirstGetTheSameSecret) {
  std::vector<KvSecret> secrets(8);
  std::vector<std::thread> threads;
  for (KvSecret& secret : secrets) {
    threads.emplace_back([&] { secret = *blobs().Secret(cid()); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const KvSecret& secret : secrets) EXPECT_EQ(secret, secrets[0]);
}

TEST_F(KvBlobsTest, ADeletedDocumentTakesItsBlobsAlong) {
  const std::vector<ChunkId> a = Ingest("a", "one\ntwo"), b = Ingest("b", "three");
  ASSERT_TRUE(Put(1, a[0]).ok());
  ASSERT_TRUE(Put(2, a[1]).ok());
  ASSERT_TRUE(Put(3, b[0]).ok());
  std::vector<bool> deleted;
  ASSERT_TRUE(collection_->Delete(std::vector<std::string>{"a"}, &deleted).ok());
  EXPECT_FALSE(Has(1));
  EXPECT_FALSE(Has(2));
  EXPECT_TRUE(Has(3));
  EXPECT_EQ(KvRows(), 3u);
  EXPECT_EQ(Files(), 1u);
  EXPECT_TRUE(absl::IsNotFound(Put(1, a[0])));
  EXPECT_EQ(Files(), 1u);
}

TEST_F(KvBlobsTest, AReplacedDocumentDoesToo) {
  const std::vector<ChunkId> before = Ingest("a", "one\ntwo");
  ASSERT_TRUE(Put(1, before[0]).ok());
  ASSERT_EQ(Ingest("a", "one\ntwo"), before);  // Unchanged.
  EXPECT_TRUE(Has(1));
  const std::vector<ChunkId> after = Ingest("a", "one\nthree");
  EXPECT_FALSE(Has(1));
  EXPECT_EQ(KvRows(), 0u);
  ASSERT_TRUE(Put(1, after[0]).ok());
  EXPECT_TRUE(Has(1));
}

TEST_F(KvBlobsTest, ABlobOfTwoChunksGoesWithTheLast) {
  const std::vector<ChunkId> a = Ingest("a", "same"), b = Ingest("b", "same");
  ASSERT_TRUE(Put(1, a[0]).ok());
  ASSERT_TRUE(blobs().AddReference(cid(), BlobNamed(1), {b[0], ConfigurationOf(1)}).ok());
  EXPECT_TRUE(
      absl::IsNotFound(blobs().AddReference(cid(), BlobNamed(2), {b[0], ConfigurationOf(1)})));
  std::vector<bool> deleted;
  ASSERT_TRUE(collection_->Delete(std::vector<std::string>{"a"}, &deleted).ok());
  EXPECT_TRUE(Has(1));
  EXPECT_THAT(OfChunk(a[0]), IsEmpty());
  EXPECT_THAT(OfChunk(b[0]), ElementsAre(BlobNamed(1)));
  ASSERT_TRUE(collection_->Delete(std::vector<std::string>{"b"}, &deleted).ok());
  EXPECT_FALSE(Has(1));
  EXPECT_EQ(KvRows(), 0u);
}

TEST_F(KvBlobsTest, ABlobThatHasSeenAChunkGoesWithIt) {
  const std::vector<ChunkId> a = Ingest("a", "one"), b = Ingest("b", "two"), c = Ingest("c", "3");
  // Its own chunk may be named among them.
  ASSERT_TRUE(Put(1, a[0], 1, "x", {b[0], a[0], c[0]}).ok());
  ASSERT_TRUE(Put(2, a[0], 1, "y", {c[0]}).ok());
  ASSERT_TRUE(Put(3, b[0]).ok());
  EXPECT_THAT(OfChunk(a[0]), UnorderedElementsAre(BlobNamed(1), BlobNamed(2)));
  EXPECT_THAT(OfChunk(c[0]), IsEmpty()) << "it is not the chunk's";
  Ingest("b", "two, changed");
  EXPECT_FALSE(Has(1));
  EXPECT_TRUE(Has(2));
  EXPECT_FALSE(Has(3));
  EXPECT_THAT(OfChunk(a[0]), ElementsAre(BlobNamed(2)));
  Ingest("a", "one, changed");
  EXPECT_FALSE(Has(2));
  EXPECT_EQ(Files(), 0u);
  // One that has seen a chunk that is gone is not stored.
  const std::vector<ChunkId> again = Ingest("a", "four");
  EXPECT_TRUE(absl::IsNotFound(Put(4, again[0], 1, "x", {b[0]})));
  EXPECT_EQ(Files(), 0u);
  Reopen();
  EXPECT_EQ(KvRows(), 0u);
}

TEST_F(KvBlobsTest, OpeningClearsBlobsThatHaveOutlivedWhatTheySaw) {
  const std::vector<ChunkId> a = Ingest("a", "one");
  ASSERT_TRUE(Put(1, a[0]).ok());
  ASSERT_TRUE(Put(2, a[0]).ok());
  // As when a program that knows of no blobs has deleted the chunk.
  const std::string seen = KvChunkKey(cid(), 1000, BlobNamed(1));
  RowBatch batch;
  batch.Put(Family::kDefault, seen, EncodeKvChunk(seen, kKvSeen));
  ASSERT_TRUE(store_->rows().Commit(std::move(batch)).ok());
  Reopen();
  EXPECT_FALSE(Has(1));
  EXPECT_TRUE(Has(2));
  EXPECT_EQ(blobs().damaged_at_opening(), 0u);
  EXPECT_EQ(Files(), 1u);
}

TEST_F(KvBlobsTest, ABlobOfNoChunkStaysUntilItsCollectionGoes) {
  Ingest("a", "one");
  ASSERT_TRUE(Put(1, 0).ok());
  std::vector<bool> deleted;
  ASSERT_TRUE(collection_->Delete(std::vector<std::string>{"a"}, &deleted).ok());
  Reopen();
  EXPECT_TRUE(Has(1));
  const CollectionId id = cid();
  ASSERT_TRUE(store_->Drop("c").ok());
  EXPECT_EQ(Files(), 0u);
  EXPECT_EQ(KvRows(), 0u);
  EXPECT_EQ(blobs().blobs(), 0u);
  EXPECT_TRUE(absl::IsNotFound(blobs().Secret(id).status()));
}

TEST_F(KvBlobsTest, ADroppedCollectionLosesEverything) {
  const std::vector<ChunkId> a = Ingest("a", "one\ntwo");
  ASSERT_TRUE(Put(1, a[0]).ok());
  ASSERT_TRUE(Put(2, a[1]).ok());
  ASSERT_TRUE(store_->Drop("c").ok());
  EXPECT_EQ(Files(), 0u);
  EXPECT_EQ(KvRows(), 0u);
  const absl::Span<const std::byte> extent(reinterpret_cast<const std::byte*>("x"), 1);
  const absl::Status s = blobs().Put(cid(), BlobNamed(3), KvBlobRow(), {a[0], ConfigurationOf(1)},
                                     "", absl::MakeSpan(&extent, 1));
  EXPECT_TRUE(absl::IsNotFound(s)) << s;
  EXPECT_EQ(Files(), 0u);
}

TEST_F(KvBlobsTest, AReembeddedCollectionKeepsThem) {
  const std::vector<ChunkId> a = Ingest("a", "one\ntwo");
  ASSERT_TRUE(Put(1, a[0]).ok());
  const KvSecret secret = *blobs().Secret(cid());
  const CollectionId before = cid();
  {
    absl::StatusOr<std::unique_ptr<Reembedding>> r =
        store_->Reembed("c", "other", cairn::testing::kTestDim, "a model");
    ASSERT_TRUE(r.ok()) << r.status();
    PreparedDocument copy = Prepare("a", "one\ntwo");
    copy.first_chunk = a[0];
    std::vector<WriteOutcome> outcomes;
    const std::vector<PreparedDocument> copies = {copy};
    ASSERT_TRUE((*r)->target().Upsert(copies, &outcomes).ok());
    const Collection::WritePause pause(&(*r)->source());
    ASSERT_TRUE((*r)->Commit().ok());
  }
  for (int i = 0; i < 2; ++i) {
    Reopen();
    EXPECT_NE(cid(), before);
    EXPECT_TRUE(Has(1));
    EXPECT_EQ(*blobs().Secret(cid()), secret);
    EXPECT_THAT(OfChunk(a[0]), ElementsAre(BlobNamed(1)));
    EXPECT_TRUE(absl::IsNotFound(blobs().Find(before, BlobNamed(1)).status()));
    EXPECT_EQ(KvRows(), 3u);
  }
}

TEST_F(KvBlobsTest, OpeningClearsWhatACrashLeft) {
  const std::vector<ChunkId> a = Ingest("a", "one\ntwo\nthree\nfour");
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(Put(i, a[static_cast<size_t>(i)]).ok());
  // Between a file's name and its rows.
  const std::string bytes = "x";
  const absl::Span<const std::byte> extent(reinterpret_cast<const std::byte*>(bytes.data()), 1);
  ASSERT_TRUE(blobs().files().Write(BlobNamed(9), "", absl::MakeSpan(&extent, 1)).ok());
  // Between writing and naming it.
  directory_.Write("store/kv/08/" + BlobNamed(8).Hex() + ".kv.tmp", "half");
  // Rows without a file, or with one of another size.
  fs::remove(blobs().files().Path(BlobNamed(1)));
  fs::resize_file(blobs().files().Path(BlobNamed(2)), 100);
  // Between the batch that deletes a chunk and the end of its blobs; a program that knows of none.
  RowBatch batch;
  batch.Delete(Family::kDefault, KvRefKey(cid(), BlobNamed(3), a[3]));
  batch.Delete(Family::kDefault, KvChunkKey(cid(), a[3], BlobNamed(3)));
  const std::string stray = KvChunkKey(cid(), 1000, BlobNamed(0));
  batch.Put(Family::kDefault, stray, EncodeKvChunk(stray, ConfigurationOf(1)));
  const std::string stray_ref = KvRefKey(cid(), BlobNamed(0), 1000);
  batch.Put(Family::kDefault, stray_ref, EncodeKvRef(stray_ref));
  const std::string gone = KvBlobKey(77, BlobNamed(0));
  batch.Put(Family::kDefault, gone, Encode(gone, KvBlobRow()));
  const std::string gone_secret = KvSecretKey(77);
  batch.Put(Family::kDefault, gone_secret, EncodeKvSecret(gone_secret, KvSecret()));
  ASSERT_TRUE(store_->rows().Commit(std::move(batch)).ok());
  Reopen();
  EXPECT_TRUE(Has(0));
  for (int i : {1, 2, 3, 8, 9}) EXPECT_FALSE(Has(i)) << i;
  EXPECT_EQ(Files(), 1u);
  EXPECT_EQ(KvRows(), 3u);
  EXPECT_EQ(blobs().damaged_at_opening(), 2u);
  EXPECT_EQ(blobs().blobs(), 1u);
  EXPECT_EQ(blobs().bytes(), blobs().files().FileBytes(BlobNamed(0)));
  std::string value;
  EXPECT_TRUE(absl::IsNotFound(store_->rows().Get(Family::kDefault, gone_secret, nullptr, &value)));
}

TEST_F(KvBlobsTest, AReaderChangesNothingAndReads) {
  const std::vector<ChunkId> a = Ingest("a", "one");
  ASSERT_TRUE(Put(1, a[0]).ok());
  StoreOptions reading = Writable();
  reading.rows.create_if_missing = false;
  reading.rows.read_only = true;
  absl::StatusOr<std::unique_ptr<Store>> reader = Store::Open(path(), reading);
  ASSERT_TRUE(reader.ok()) << reader.status();
  KvBlobs& there = (*reader)->kv_blobs();
  EXPECT_EQ(there.blobs(), 1u);
  EXPECT_TRUE(there.Find(cid(), BlobNamed(1)).ok());
  EXPECT_TRUE(there.Open(BlobNamed(1)).ok());
  EXPECT_TRUE(there.Secret(cid()).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(there.Remove(cid(), BlobNamed(1))));
  EXPECT_TRUE(absl::IsFailedPrecondition(there.AddReference(cid(), BlobNamed(1), {})));
}

TEST_F(KvBlobsTest, UsesAreRecordedOfWhatThereIs) {
  const std::vector<ChunkId> a = Ingest("a", "one");
  ASSERT_TRUE(Put(1, a[0]).ok());
  const std::vector<KvUse> uses = {{cid(), BlobNamed(1), 4.5, 1234, 0.25},
                                   {cid(), BlobNamed(2), 1, 1, 1}};
  ASSERT_TRUE(blobs().RecordUses(uses).ok());
  Reopen();
  absl::StatusOr<KvBlobRow> row = blobs().Find(cid(), BlobNamed(1));
  ASSERT_TRUE(row.ok());
  EXPECT_EQ(row->uses, 4.5);
  EXPECT_EQ(row->last_use_ms, 1234);
  EXPECT_EQ(row->priority, 0.25);
  EXPECT_EQ(row->seconds, 0.5);
  EXPECT_TRUE(absl::IsNotFound(blobs().Find(cid(), BlobNamed(2)).status()));
}

TEST_F(KvBlobsTest, TooLittleDiskSpaceIsSaid) {
  const std::vector<ChunkId> a = Ingest("a", "one");
  ASSERT_TRUE(blobs().Secret(cid()).ok());
  KvBlobs full(&store_->rows(), uint64_t{1} << 62);
  const absl::Span<const std::byte> extent(reinterpret_cast<const std::byte*>("x"), 1);
  const absl::Status s = full.Put(cid(), BlobNamed(1), KvBlobRow(), {a[0], ConfigurationOf(1)}, "",
                                  absl::MakeSpan(&extent, 1));
  EXPECT_TRUE(absl::IsResourceExhausted(s)) << s;
  EXPECT_EQ(Files(), 0u);
}

TEST_F(KvBlobsTest, ASnapshotHasThemAndRestores) {
  const std::vector<ChunkId> a = Ingest("a", "one\ntwo");
  ASSERT_TRUE(Put(1, a[0]).ok());
  ASSERT_TRUE(Put(2, a[1], 1, std::string(10000, 'x')).ok());
  directory_.Write("store/kv/08/" + BlobNamed(8).Hex() + ".kv.tmp", "half");
  ASSERT_TRUE(store_->Snapshot(directory_.file("snapshot")).ok());
  EXPECT_EQ(fs::hard_link_count(blobs().files().Path(BlobNamed(1))), 2u);
  std::vector<bool> deleted;
  ASSERT_TRUE(collection_->Delete(std::vector<std::string>{"a"}, &deleted).ok());
  EXPECT_FALSE(Has(1));
  ASSERT_TRUE(RestoreStore(directory_.file("snapshot"), directory_.file("restored")).ok());
  EXPECT_THAT(FilesIn(directory_.file("restored") + "/kv/08"), IsEmpty());
  absl::StatusOr<std::unique_ptr<Store>> restored =
      Store::Open(directory_.file("restored"), Writable());
  ASSERT_TRUE(restored.ok()) << restored.status();
  KvBlobs& there = (*restored)->kv_blobs();
  EXPECT_EQ(there.blobs(), 2u);
  for (int i : {1, 2}) {
    ASSERT_TRUE(there.Find(cid(), BlobNamed(i)).ok());
    absl::StatusOr<std::unique_ptr<KvBlobFile>> file = there.Open(BlobNamed(i));
    ASSERT_TRUE(file.ok());
    std::vector<std::byte> bytes((*file)->extent_bytes(0));
    EXPECT_TRUE((*file)->Read(0, absl::MakeSpan(bytes)).ok());
  }
  EXPECT_EQ(*there.Secret(cid()), *blobs().Secret(cid()));
}

// Chunks come and go while blobs are stored for them: in the end each blob has its chunk.
TEST_F(KvBlobsTest, NoBlobOutlivesItsChunk) {
  constexpr int kRounds = 40;
  std::atomic<ChunkId> newest{Ingest("d", "0\n1")[0]};
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; !stop; ++i) {
        const absl::Status s = Put(1 + t + 3 * (i % 60), newest + static_cast<ChunkId>(i % 2), t);
        EXPECT_TRUE(s.ok() || absl::IsNotFound(s)) << s;
      }
    });
  }
  for (int i = 1; i <= kRounds; ++i) {
    newest = Ingest("d", absl::StrCat(i, "\n", i + 1))[0];
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  const ChunkId last = newest;
  size_t rows = 0;
  EXPECT_TRUE(store_->rows()
                  .Scan(Family::kDefault, KvBegin(KvRowKind::kRef), KvEnd(KvRowKind::kRef), nullptr,
                        [&](std::string_view key, std::string_view) {
                          const absl::StatusOr<KvRowKey> ref = ParseKvKey(KvRowKind::kRef, key);
                          EXPECT_TRUE(ref.ok());
                          EXPECT_GE(ref->chunk, last);
                          EXPECT_TRUE(blobs().Find(cid(), ref->name).ok());
                          ++rows;
                          return absl::OkStatus();
                        })
                  .ok());
  std::vector<bool> deleted;
  ASSERT_TRUE(collection_->Delete(std::vector<std::string>{"d"}, &deleted).ok());
  EXPECT_EQ(KvRows(), 0u) << rows;
  EXPECT_EQ(Files(), 0u);
  EXPECT_EQ(blobs().blobs(), 0u);
  EXPECT_EQ(blobs().bytes(), 0u);
}

TEST(KvRowsTest, KeysAndRowsRoundTrip) {
  for (KvRowKind kind :
       {KvRowKind::kSecret, KvRowKind::kBlob, KvRowKind::kRef, KvRowKind::kChunk}) {
    const std::string key = kind == KvRowKind::kSecret ? KvSecretKey(7)
                            : kind == KvRowKind::kBlob ? KvBlobKey(7, BlobNamed(3))
                            : kind == KvRowKind::kRef  ? KvRefKey(7, BlobNamed(3), 1234567890123)
                                                       : KvChunkKey(7, 1234567890123, BlobNamed(3));
    absl::StatusOr<KvRowKey> parsed = ParseKvKey(kind, key);
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(parsed->collection, 7u);
    EXPECT_EQ(parsed->name, kind == KvRowKind::kSecret ? KvBlobName() : BlobNamed(3));
    const bool has_chunk = kind == KvRowKind::kRef || kind == KvRowKind::kChunk;
    EXPECT_EQ(parsed->chunk, has_chunk ? 1234567890123u : 0u);
    EXPECT_LT(KvBegin(kind, 7), key + "!");
    EXPECT_LT(key, KvEnd(kind, 7));
    EXPECT_TRUE(absl::IsDataLoss(ParseKvKey(kind, key + "x").status()));
    EXPECT_TRUE(absl::IsDataLoss(ParseKvKey(kind, "").status()));
  }
  KvBlobRow row;
  row.bytes = 1 << 20;
  row.tokens = 512;
  row.encoding = 2;
  row.model = "m";
  row.seconds = 1.5;
  row.uses = 2.25;
  row.last_use_ms = 1700000000000;
  row.priority = 3.5;
  const std::string bytes = Encode("k", row);
  EXPECT_EQ(*DecodeKvBlob("k", bytes), row);
  EXPECT_TRUE(absl::IsDataLoss(DecodeKvBlob("other", bytes).status()));
  row.priority = -1;
  EXPECT_TRUE(absl::IsDataLoss(DecodeKvBlob("k", Encode("k", row)).status()));
  row.priority = std::nan("");
  EXPECT_TRUE(absl::IsDataLoss(DecodeKvBlob("k", Encode("k", row)).status()));
}

}  // namespace
}  // namespace cairn::index
