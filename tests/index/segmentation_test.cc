// However a collection is cut into tails and segments, it answers as one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <thread>

#include "index/filter.h"
#include "index/store.h"
#include "index/store_snapshot.h"
#include "tests/support/random_documents.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_store.h"

namespace cairn::index {
namespace {

using ::testing::IsEmpty;
using testing::Prepare;
using testing::RandomDocuments;
using testing::Settings;
using ::testing::SizeIs;
using testing::TextVector;
using testing::WordBag;
using testing::Writable;

// Seals after a few chunks and merges eagerly; graphs even for small segments.
StoreOptions Cut(size_t seal_chunks, size_t merge_factor = 2) {
  StoreOptions o = Writable();
  o.index.seal_chunks = seal_chunks;
  o.index.bulk_seal_chunks = seal_chunks;
  o.index.merge_factor = merge_factor;
  o.index.vectors.flat_below = 16;
  o.index.retry_after = absl::Milliseconds(20);
  return o;
}

// Never seals.
StoreOptions Whole() { return Cut(1 << 30); }

class Segmentation : public ::testing::Test {
 protected:
  struct Opened {
    std::unique_ptr<Store> store;
    std::shared_ptr<Collection> collection;
  };

  Opened Open(const std::string& name, const StoreOptions& options) {
    Opened o;
    absl::StatusOr<std::unique_ptr<Store>> store = Store::Open(dir_.file(name), options);
    EXPECT_TRUE(store.ok()) << store.status();
    o.store = *std::move(store);
    absl::StatusOr<std::shared_ptr<Collection>> found = o.store->Find("c");
    if (!found.ok() && !options.rows.read_only) found = o.store->Create("c", Settings());
    EXPECT_TRUE(found.ok()) << found.status();
    o.collection = *found;
    return o;
  }

  static void Upsert(const Opened& o, const std::vector<PreparedDocument>& documents) {
    std::vector<WriteOutcome> outcomes;
    const absl::Status s = o.collection->Upsert(documents, &outcomes);
    ASSERT_TRUE(s.ok()) << s;
  }

  static void Delete(const Opened& o, const std::vector<std::string>& ids) {
    std::vector<bool> deleted;
    const absl::Status s = o.collection->Delete(ids, &deleted);
    ASSERT_TRUE(s.ok()) << s;
  }

  // Chunk ids depend on when a store was opened; a document and the place in it do not.
  struct Answer {
    std::string document;
    uint64_t ordinal;
    float score;  // The very float.
    friend bool operator==(const Answer&, const Answer&) = default;
    friend std::ostream& operator<<(std::ostream& out, const Answer& a) {
      return out << a.document << "/" << a.ordinal << " " << a.score;
    }
  };
  struct Answers {
    std::vector<Answer> lexical, vector;
    std::vector<float> cosines;
  };

  static Answers Search(const Opened& o, const std::string& words, size_t k,
                        const Filter* filter = nullptr, bool exact = true) {
    const TermBag terms = WordBag(words);
    const std::vector<float> vector = TextVector(words);
    CandidateQuery query;
    query.terms = &terms;
    query.vector = vector;
    query.lexical_k = query.vector_k = k;
    query.filter = filter;
    query.exact_vectors = exact;
    query.cosines_of_lexical = true;
    const Collection::View view(*o.collection);
    absl::StatusOr<Candidates> found = view.Search(query);
    EXPECT_TRUE(found.ok()) << found.status();
    Answers answers;
    for (const ScoredChunk& c : found->lexical) answers.lexical.push_back(Of(view, c));
    for (const ScoredChunk& c : found->vector) answers.vector.push_back(Of(view, c));
    answers.cosines = found->lexical_cosines;
    return answers;
  }

  static Answer Of(const Collection::View& view, const ScoredChunk& c) {
    return {view.DocumentId(c.document), c.chunk - c.document, c.score};
  }

  void ExpectSame(const Opened& a, const Opened& b, std::mt19937& rng, int queries = 12) {
    const absl::StatusOr<Filter> filter = Filter::Parse("group < 3");
    for (int q = 0; q < queries; ++q) {
      const std::string words = documents_.Words(1 + rng() % 5, rng);
      const size_t k = q % 2 == 0 ? 1000 : 1 + rng() % 20;
      const Filter* const f = q % 3 == 0 ? &*filter : nullptr;
      const Answers x = Search(a, words, k, f);
      const Answers y = Search(b, words, k, f);
      ASSERT_EQ(x.lexical, y.lexical);
      ASSERT_EQ(x.vector, y.vector);
      ASSERT_THAT(x.cosines, ::testing::Pointwise(::testing::NanSensitiveFloatEq(), y.cosines));
      if (HasFatalFailure()) return;
    }
    const CollectionStats s = a.collection->Stats();
    const CollectionStats t = b.collection->Stats();
    EXPECT_EQ(s.documents, t.documents);
    EXPECT_EQ(s.chunks, t.chunks);
    EXPECT_EQ(s.terms, t.terms);
    EXPECT_EQ(s.total_length, t.total_length);
  }

  // What deep verification finds.
  static std::vector<std::string> Problems(const Opened& o) {
    std::vector<std::string> problems;
    VerifyReport report;
    const absl::Status s = o.store->Verify(
        true, [&](const std::string& p) { problems.push_back(p); }, &report);
    EXPECT_TRUE(s.ok()) << s;
    return problems;
  }

  std::vector<std::filesystem::path> Files(const std::string& store, const std::string& extension) {
    std::vector<std::filesystem::path> files;
    std::error_code error;
    for (const auto& entry :
         std::filesystem::directory_iterator(dir_.file(store) + "/segments", error)) {
      if (entry.path().extension() == extension) files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    return files;
  }

  // `count` documents with ids d0..; the same for the same seed.
  std::vector<PreparedDocument> Documents(int count, unsigned seed = 1) const {
    std::mt19937 rng(seed);
    std::vector<PreparedDocument> documents;
    for (int i = 0; i < count; ++i) documents.push_back(documents_(absl::StrCat("d", i), rng));
    return documents;
  }

  testing::TempDir dir_;
  RandomDocuments documents_;
};

TEST_F(Segmentation, AnyHistoryRanksAsOneWholeIndex) {
  for (unsigned seed = 1; seed <= 4; ++seed) {
    std::mt19937 rng(seed);
    const std::string whole_name = absl::StrCat("whole", seed);
    const std::string cut_name = absl::StrCat("cut", seed);
    const StoreOptions cut_options = Cut(1 + rng() % 60, 2 + rng() % 3);
    Opened whole = Open(whole_name, Whole());
    Opened cut = Open(cut_name, cut_options);
    for (int step = 0; step < 40; ++step) {
      std::vector<PreparedDocument> batch;
      for (size_t i = rng() % 12; i > 0; --i) {
        batch.push_back(documents_(absl::StrCat("d", rng() % 150), rng));
      }
      Upsert(whole, batch);
      Upsert(cut, batch);
      std::vector<std::string> ids;
      for (size_t i = rng() % 6; i > 0; --i) ids.push_back(absl::StrCat("d", rng() % 150));
      Delete(whole, ids);
      Delete(cut, ids);
      switch (rng() % 8) {
        case 0:
          ASSERT_TRUE(cut.collection->AwaitIdle().ok());
          break;
        case 1:
          ASSERT_TRUE(cut.collection->Compact().ok());
          break;
        case 2:
          ASSERT_TRUE(cut.collection->Reindex().ok());
          break;
        case 3:
          cut = {};
          cut = Open(cut_name, cut_options);
          break;
        default:
          break;  // Whatever the background happens to do.
      }
      ExpectSame(whole, cut, rng, 4);
      if (HasFatalFailure()) FAIL() << "seed " << seed << ", step " << step;
    }
    ASSERT_TRUE(cut.collection->AwaitIdle().ok());
    EXPECT_THAT(Problems(cut), IsEmpty());
    EXPECT_THAT(Problems(whole), IsEmpty());
    ExpectSame(whole, cut, rng);
  }
}

TEST_F(Segmentation, FullTailsBecomeSegmentsAndSegmentsAreMerged) {
  Opened o = Open("s", Cut(50));
  for (int i = 0; i < 10; ++i) {
    std::vector<PreparedDocument> batch = Documents(40, 100 + i);
    for (PreparedDocument& d : batch) d.document.id += absl::StrCat("-", i);
    for (PreparedDocument& d : batch) d.content_hash = ContentHash(d.document);
    Upsert(o, batch);
  }
  ASSERT_TRUE(o.collection->AwaitIdle().ok());
  const CollectionStats stats = o.collection->Stats();
  EXPECT_GT(stats.segments, 0u);
  EXPECT_LE(stats.segments, 4u);
  EXPECT_LT(stats.tail_chunks, 50u + 160u);
  EXPECT_THAT(Files("s", ".seg"), SizeIs(stats.segments));
  EXPECT_THAT(Files("s", ".tmp"), IsEmpty());
}

TEST_F(Segmentation, SegmentsThatAreMostlyDeadAreBuiltAnew) {
  StoreOptions options = Cut(1 << 20);
  Opened o = Open("s", options);
  Upsert(o, Documents(1500));
  ASSERT_TRUE(o.collection->Compact().ok());
  std::vector<std::string> ids;
  for (int i = 0; i < 1200; ++i) ids.push_back(absl::StrCat("d", i));
  Delete(o, ids);
  ASSERT_TRUE(o.collection->AwaitIdle().ok());
  const CollectionStats stats = o.collection->Stats();
  EXPECT_EQ(stats.documents, 300u);
  EXPECT_EQ(stats.dead_chunks, 0u);
  ids.clear();
  for (int i = 1200; i < 1500; ++i) ids.push_back(absl::StrCat("d", i));
  Delete(o, ids);
  ASSERT_TRUE(o.collection->AwaitIdle().ok());
  EXPECT_EQ(o.collection->Stats().segments, 0u);
  EXPECT_THAT(Files("s", ".seg"), IsEmpty());
  EXPECT_THAT(Problems(o), IsEmpty());
}

TEST_F(Segmentation, CompactLeavesOneSegmentWithoutTheDead) {
  Opened o = Open("s", Cut(64));
  Upsert(o, Documents(200));
  Delete(o, {"d1", "d77", "d150"});
  ASSERT_TRUE(o.collection->Compact().ok());
  const CollectionStats stats = o.collection->Stats();
  EXPECT_EQ(stats.segments, 1u);
  EXPECT_EQ(stats.dead_chunks, 0u);
  EXPECT_EQ(stats.tail_chunks, 0u);
  EXPECT_EQ(stats.documents, 197u);
  const uint64_t epoch = stats.epoch;
  ASSERT_TRUE(o.collection->Compact().ok());
  EXPECT_EQ(o.collection->Stats().epoch, epoch) << "nothing was left to do";
}

TEST_F(Segmentation, GraphSearchFindsAlmostWhatExactSearchFinds) {
  Opened o = Open("s", Cut(1 << 20));
  Upsert(o, Documents(1500));
  ASSERT_TRUE(o.collection->Compact().ok());
  std::mt19937 rng(5);
  size_t found = 0;
  size_t wanted = 0;
  for (int q = 0; q < 50; ++q) {
    const std::string words = documents_.Words(8, rng);
    const Answers exact = Search(o, words, 10, nullptr, true);
    const Answers graph = Search(o, words, 10, nullptr, false);
    wanted += exact.vector.size();
    for (const Answer& e : exact.vector) {
      found += static_cast<size_t>(std::count(graph.vector.begin(), graph.vector.end(), e));
    }
  }
  EXPECT_GE(static_cast<double>(found), 0.97 * static_cast<double>(wanted));
}

TEST_F(Segmentation, DamagedOrMissingSegmentsAreServedFromRowsAndRebuilt) {
  std::mt19937 rng(3);
  Opened whole = Open("whole", Whole());
  Upsert(whole, Documents(300));
  Delete(whole, {"d5", "d6", "d250"});
  for (const std::string damage : {"flip", "truncate", "delete", "swap"}) {
    SCOPED_TRACE(damage);
    const StoreOptions options = Cut(100, 100);  // Several segments, never merged.
    {
      Opened cut = Open(damage, options);
      for (const PreparedDocument& d : Documents(300)) Upsert(cut, {d});
      Delete(cut, {"d5", "d6", "d250"});
      ASSERT_TRUE(cut.collection->AwaitIdle().ok());
    }
    const std::vector<std::filesystem::path> files = Files(damage, ".seg");
    ASSERT_GE(files.size(), 3u);
    const std::filesystem::path victim = files[files.size() / 2];
    if (damage == "flip") {
      std::fstream file(victim, std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(static_cast<std::streamoff>(std::filesystem::file_size(victim) / 2));
      file.put('\x55');
    } else if (damage == "truncate") {
      std::filesystem::resize_file(victim, std::filesystem::file_size(victim) / 2);
    } else if (damage == "delete") {
      std::filesystem::remove(victim);
    } else {
      std::filesystem::rename(files[0], files[0].string() + "x");
      std::filesystem::rename(victim, files[0]);
      std::filesystem::rename(files[0].string() + "x", victim);
    }
    Opened cut = Open(damage, options);
    ExpectSame(whole, cut, rng);
    ASSERT_TRUE(cut.collection->AwaitIdle().ok());
    ExpectSame(whole, cut, rng);
    EXPECT_THAT(Problems(cut), IsEmpty());
    EXPECT_EQ(Files(damage, ".bad").empty(), damage == "delete");
  }
}

TEST_F(Segmentation, AReaderServesADamagedRangeWithoutChangingAnything) {
  std::mt19937 rng(3);
  Opened whole = Open("whole", Whole());
  Upsert(whole, Documents(100));
  {
    Opened cut = Open("s", Cut(1 << 20));
    Upsert(cut, Documents(100));
    ASSERT_TRUE(cut.collection->Compact().ok());
  }
  const std::vector<std::filesystem::path> files = Files("s", ".seg");
  ASSERT_THAT(files, SizeIs(1));
  std::filesystem::resize_file(files[0], 100);
  StoreOptions reading = Cut(1 << 20);
  reading.rows.create_if_missing = false;
  reading.rows.read_only = true;
  Opened cut = Open("s", reading);
  ExpectSame(whole, cut, rng);
  EXPECT_THAT(Files("s", ".bad"), IsEmpty());
  EXPECT_EQ(std::filesystem::file_size(files[0]), 100u);
}

TEST_F(Segmentation, StrayAndTemporaryFilesAreDeletedAtOpening) {
  {
    Opened o = Open("s", Cut(1 << 20));
    Upsert(o, Documents(50));
    ASSERT_TRUE(o.collection->Compact().ok());
  }
  const std::string folder = dir_.file("s") + "/segments/";
  for (const char* name : {"1-99.seg", "7-1.seg", "1-100.seg.tmp"}) {
    std::ofstream(folder + name) << "stray";
  }
  Opened o = Open("s", Cut(1 << 20));
  EXPECT_THAT(Files("s", ".seg"), SizeIs(1));
  EXPECT_THAT(Files("s", ".tmp"), IsEmpty());
  EXPECT_EQ(o.collection->Stats().segments, 1u);
}

TEST_F(Segmentation, DroppingACollectionDeletesItsFilesAndNoOthers) {
  Opened o = Open("s", Cut(1 << 20));
  Upsert(o, Documents(50));
  ASSERT_TRUE(o.collection->Compact().ok());
  absl::StatusOr<std::shared_ptr<Collection>> other = o.store->Create("other", Settings());
  ASSERT_TRUE(other.ok());
  std::vector<WriteOutcome> outcomes;
  ASSERT_TRUE((*other)->Upsert(Documents(50), &outcomes).ok());
  ASSERT_TRUE((*other)->Compact().ok());
  EXPECT_THAT(Files("s", ".seg"), SizeIs(2));
  ASSERT_TRUE(o.store->Drop("other").ok());
  EXPECT_THAT(Files("s", ".seg"), SizeIs(1));
  EXPECT_FALSE((*other)->Compact().ok());
  EXPECT_THAT(Problems(o), IsEmpty());
  // One that is not in memory.
  ASSERT_TRUE(o.store->Create("third", Settings()).ok());
  ASSERT_TRUE((*o.store->Find("third"))->Upsert(Documents(50), &outcomes).ok());
  ASSERT_TRUE((*o.store->Find("third"))->Compact().ok());
  o = {};
  o = Open("s", Cut(1 << 20));
  ASSERT_TRUE(o.store->Drop("third").ok());
  EXPECT_THAT(Files("s", ".seg"), SizeIs(1));
}

TEST_F(Segmentation, ADamagedManifestCostsTheSegmentsOnly) {
  std::mt19937 rng(9);
  Opened whole = Open("whole", Whole());
  Upsert(whole, Documents(120));
  Delete(whole, {"d3"});
  {
    Opened cut = Open("s", Cut(60));
    Upsert(cut, Documents(120));
    ASSERT_TRUE(cut.collection->Compact().ok());
    Delete(cut, {"d3"});
    RowBatch batch;
    batch.Put(Family::kDefault, ManifestKey(cut.collection->id()), "nonsense");
    ASSERT_TRUE(cut.store->rows().Commit(std::move(batch)).ok());
  }
  Opened cut = Open("s", Cut(60));
  ExpectSame(whole, cut, rng);
  ASSERT_TRUE(cut.collection->AwaitIdle().ok());
  ExpectSame(whole, cut, rng);
  EXPECT_THAT(Problems(cut), IsEmpty());
}

TEST_F(Segmentation, ABulkLoadEqualsOrdinaryIngestionAndSealsEverything) {
  std::mt19937 rng(4);
  Opened whole = Open("whole", Whole());
  Opened bulk = Open("bulk", Cut(100));
  {
    Collection::BulkLoad load(bulk.collection.get());
    for (int i = 0; i < 5; ++i) {
      std::vector<PreparedDocument> batch;
      for (int d = 0; d < 100; ++d)
        batch.push_back(documents_(absl::StrCat("d", rng() % 400), rng));
      Upsert(whole, batch);
      Upsert(bulk, batch);
    }
    ASSERT_TRUE(load.Finish().ok());
  }
  EXPECT_EQ(bulk.collection->Stats().tail_chunks, 0u);
  ExpectSame(whole, bulk, rng);
  EXPECT_THAT(Problems(bulk), IsEmpty());
}

TEST_F(Segmentation, DeepVerificationFindsASegmentThatSaysOtherThanTheRows) {
  Opened o = Open("s", Cut(1 << 20));
  Upsert(o, Documents(30));
  ASSERT_TRUE(o.collection->Compact().ok());
  EXPECT_THAT(Problems(o), IsEmpty());
  // A row that changed behind the segment's back.
  const std::string key = ChunkKey(o.collection->id(), 1);
  RowBatch batch;
  ForwardRow forward;
  forward.length = 1;
  forward.terms = {{0, 1}};
  batch.Put(Family::kForward, key, Encode(key, forward));
  ASSERT_TRUE(o.store->rows().Commit(std::move(batch)).ok());
  EXPECT_THAT(Problems(o), ::testing::Contains(::testing::HasSubstr("chunk 1 has other terms")));
  // Segments built from rows agree with them again.
  ASSERT_TRUE(o.collection->Reindex().ok());
  EXPECT_THAT(Problems(o), IsEmpty());
}

TEST_F(Segmentation, ASnapshotTakenUnderLoadIsTheStoreAtOneMoment) {
  Opened o = Open("s", Cut(40));
  Upsert(o, Documents(100));
  std::atomic<bool> stop{false};
  std::atomic<int> written{0};
  // n0, n1, .. one after the other; each takes a d with it.
  std::thread writer([&] {
    std::mt19937 rng(17);
    for (int i = 0; !stop; ++i) {
      Upsert(o, {documents_(absl::StrCat("n", i), rng)});
      Delete(o, {absl::StrCat("d", i % 100)});
      written = i + 1;
      if (i % 100 == 99) Upsert(o, Documents(100));
    }
  });
  for (int round = 0; round < 4; ++round) {
    while (written < 40 * (round + 1)) std::this_thread::yield();
    const std::string name = absl::StrCat("copy", round);
    const int least = written;
    const absl::Status taken = o.store->Snapshot(dir_.file(name));
    const int most = written + 1;
    EXPECT_TRUE(taken.ok()) << taken;
    // As it is, and as a store made from it.
    const std::string restored = absl::StrCat("restored", round);
    const absl::Status made = RestoreStore(dir_.file(name), dir_.file(restored));
    EXPECT_TRUE(made.ok()) << made;
    std::vector<std::string> listed[2];
    int at = 0;
    for (const std::string& copy : {name, restored}) {
      Opened c = Open(copy, Cut(40));
      EXPECT_THAT(Problems(c), IsEmpty());
      listed[at++] = *c.collection->RowsAt(nullptr).ListDocuments("", 1 << 20, nullptr);
    }
    EXPECT_EQ(listed[0], listed[1]);
    std::set<std::string> ids(listed[0].begin(), listed[0].end());
    int count = 0;
    while (ids.count(absl::StrCat("n", count)) > 0) ++count;
    EXPECT_GE(count, least);
    EXPECT_LE(count, most);
    EXPECT_EQ(static_cast<int>(std::count_if(ids.begin(), ids.end(),
                                             [](const std::string& id) { return id[0] == 'n'; })),
              count)
        << "all up to one, none after it";
  }
  stop = true;
  writer.join();
}

TEST_F(Segmentation, ASegmentThatWasPassedOverOnceIsNeverUsedAgain) {
  std::mt19937 rng(11);
  Opened whole = Open("whole", Whole());
  Upsert(whole, Documents(200));
  Delete(whole, {"d9"});
  {
    Opened cut = Open("s", Cut(1 << 20));
    Upsert(cut, Documents(200));
    ASSERT_TRUE(cut.collection->Compact().ok());
    Delete(cut, {"d9"});
  }
  // The folder is out of reach once, and something is deleted meanwhile.
  const std::string folder = dir_.file("s") + "/segments";
  std::filesystem::rename(folder, folder + ".away");
  {
    Opened cut = Open("s", Cut(1 << 20));
    EXPECT_EQ(cut.collection->Stats().segments, 0u);
    Delete(cut, {"d7"});
  }
  std::filesystem::rename(folder + ".away", folder);
  Delete(whole, {"d7"});
  Opened cut = Open("s", Cut(1 << 20));
  ExpectSame(whole, cut, rng);
  EXPECT_THAT(Problems(cut), IsEmpty());
}

TEST_F(Segmentation, DroppingACollectionEndsTheWaitForItsBuilds) {
  for (int round = 0; round < 5; ++round) {
    StoreOptions options = Cut(200);
    options.index.bytes_per_second = 1'000'000;  // So that builds take a while.
    Opened o = Open("s", options);
    std::vector<PreparedDocument> documents = Documents(400);
    Upsert(o, {documents.begin(), documents.begin() + 200});
    Upsert(o, {documents.begin() + 200, documents.end()});
    absl::Status waited;
    std::thread waiter([&] { waited = o.collection->AwaitSeals(); });
    ASSERT_TRUE(o.store->Drop("c").ok());
    waiter.join();
    EXPECT_TRUE(waited.ok() || absl::IsNotFound(waited)) << waited;
    EXPECT_TRUE(absl::IsNotFound(o.collection->Compact()));
    EXPECT_TRUE(absl::IsNotFound(o.collection->Reindex()));
  }
}

TEST_F(Segmentation, DeletesBesideABuildDoNotDisturbIt) {
  for (const VectorIndexKind kind : {VectorIndexKind::kIvfPq, VectorIndexKind::kFlat}) {
    std::unique_ptr<Store> store =
        *Store::Open(dir_.file(absl::StrCat("s", static_cast<int>(kind))), Cut(600));
    CollectionSettings settings = Settings();
    settings.vector_index = kind;
    settings.vector_encoding = VectorEncoding::kBfloat16;
    Opened o = {std::move(store), nullptr};
    o.collection = *o.store->Create("c", settings);
    for (int round = 0; round < 4; ++round) {
      std::vector<PreparedDocument> documents = Documents(300, 50 + round);
      Upsert(o, documents);
      for (int i = 0; i < 300; i += 3) Delete(o, {absl::StrCat("d", i)});
    }
    ASSERT_TRUE(o.collection->AwaitIdle().ok());
    EXPECT_GT(o.collection->Stats().segments, 0u);
    EXPECT_THAT(Problems(o), IsEmpty());
  }
}

TEST_F(Segmentation, EmptyCollectionsCanBeCompactedReindexedAndSearched) {
  Opened o = Open("s", Cut(10));
  EXPECT_TRUE(o.collection->Compact().ok());
  EXPECT_TRUE(o.collection->Reindex().ok());
  EXPECT_TRUE(o.collection->AwaitIdle().ok());
  EXPECT_THAT(Search(o, "w1", 10).lexical, IsEmpty());
  EXPECT_THAT(Problems(o), IsEmpty());
}

}  // namespace
}  // namespace cairn::index
