#include "engine/ingest_pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <random>
#include <thread>

#include "engine/model/static_embedder.h"
#include "index/store.h"
#include "tests/support/fake_collection.h"
#include "tests/support/fake_models.h"
#include "tests/support/temp_dir.h"

namespace cairn::engine {
namespace {

using ::cairn::testing::FakeEmbedder;

class IngestPipelineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    embedder_ = *StaticEmbedder::Default();
    index::StoreOptions options;
    options.rows.create_if_missing = true;
    options.rows.min_free_bytes = 0;
    store_ = *index::Store::Open(dir_.file("store"), options);
    index::CollectionSettings settings;
    settings.embedder_fingerprint = embedder_->fingerprint();
    settings.dim = static_cast<uint32_t>(embedder_->dim());
    collection_ = *store_->Create("c", settings);
    preparation_ = *Preparation::Create(settings, embedder_.get());
  }

  // A MiB that costs next to nothing to prepare.
  static chunking::Document MegabyteOfBlanks(int i) {
    chunking::Document d;
    d.id = std::to_string(i);
    d.text = "word" + std::string(size_t{1} << 20, '\n');
    return d;
  }

  cairn::testing::TempDir dir_;
  std::unique_ptr<StaticEmbedder> embedder_;
  std::unique_ptr<index::Store> store_;
  std::shared_ptr<index::Collection> collection_;
  std::unique_ptr<Preparation> preparation_;
};

TEST_F(IngestPipelineTest, TakesABoundedAmountWhileTheWriterIsHeldUp) {
  constexpr int kDocuments = 64;
  absl::Mutex mutex;
  bool held_up = true;
  int submitted = 0;
  IngestOptions options;
  options.threads = 2;
  options.on_durable = [&](const std::string&) {
    absl::MutexLock lock(&mutex);
    mutex.Await(absl::Condition(
        +[](bool* held) { return !*held; }, &held_up));
  };
  IngestPipeline pipeline(collection_.get(), preparation_.get(), &options);
  std::thread reader([&] {
    for (int i = 0; i < kDocuments; ++i) {
      EXPECT_TRUE(pipeline.Submit(MegabyteOfBlanks(i)).ok());
      absl::MutexLock lock(&mutex);
      ++submitted;
    }
  });
  // Until no more is taken for a while. On a slow machine that may be too early: then fewer than
  // the bound have been taken, and nothing is shown.
  int before = -1;
  int taken = 0;
  while (taken != before) {
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    before = taken;
    absl::MutexLock lock(&mutex);
    taken = submitted;
  }
  EXPECT_LE(taken, 20);
  {
    absl::MutexLock lock(&mutex);
    held_up = false;
  }
  reader.join();
  EXPECT_TRUE(pipeline.Finish().ok());
  EXPECT_EQ(pipeline.report().created, static_cast<uint64_t>(kDocuments));
}

TEST_F(IngestPipelineTest, ADocumentLargerThanTheBoundPassesAlone) {
  IngestOptions options;
  IngestPipeline pipeline(collection_.get(), preparation_.get(), &options);
  for (int i = 0; i < 2; ++i) {
    chunking::Document d = MegabyteOfBlanks(i);
    d.text.append(size_t{20} << 20, '\n');
    EXPECT_TRUE(pipeline.Submit(std::move(d)).ok());
  }
  EXPECT_TRUE(pipeline.Finish().ok());
  EXPECT_EQ(pipeline.report().created, 2u);
}

TEST_F(IngestPipelineTest, AnAbandonedPipelineEnds) {
  IngestOptions options;
  IngestPipeline pipeline(collection_.get(), preparation_.get(), &options);
  EXPECT_TRUE(pipeline.Submit(MegabyteOfBlanks(0)).ok());
}

// With a model that is slow, counts, or fails.
class FakeModelPipelineTest : public ::testing::Test {
 protected:
  static std::vector<InputDocument> SmallDocuments(int count) {
    std::mt19937 random(11);
    std::vector<InputDocument> documents;
    for (int i = 0; i < count; ++i) {
      std::string text = "document" + std::to_string(i);
      for (uint32_t n = random() % 40; n > 0; --n) text += " w" + std::to_string(random() % 50);
      documents.push_back(cairn::testing::TextDocument("d" + std::to_string(i), text));
    }
    return documents;
  }

  // A new store's chunks: of each document the first id, and the vectors.
  using Contents = std::map<std::string, std::pair<index::ChunkId, std::vector<float>>>;
  Contents IngestAnew(const FakeEmbedder& embedder, const std::vector<InputDocument>& documents,
                      int threads, IngestReport* report) {
    const std::string path = dir_.file("store" + std::to_string(++stores_));
    const auto store = *index::Store::Open(path, cairn::testing::FakeStoreOptions());
    IngestOptions options;
    options.threads = threads;
    const absl::StatusOr<IngestReport> done =
        cairn::testing::IngestInto(store.get(), "c", embedder, documents, options);
    EXPECT_TRUE(done.ok()) << done.status();
    if (done.ok()) *report = *done;
    Contents contents;
    const index::CollectionRows rows = (*store->Find("c"))->RowsAt(nullptr);
    for (const InputDocument& d : documents) {
      const absl::StatusOr<index::DocumentRow> row = rows.GetDocument(d.id);
      EXPECT_TRUE(row.ok()) << row.status();
      if (!row.ok()) continue;
      std::vector<index::ChunkId> ids;
      for (uint32_t i = 0; i < row->chunk_count; ++i) ids.push_back(row->first_chunk + i);
      std::vector<float> vectors(ids.size() * embedder.dim());
      EXPECT_TRUE(rows.GetVectors(ids, absl::MakeSpan(vectors)).ok());
      contents[d.id] = {row->first_chunk, vectors};
    }
    return contents;
  }

  cairn::testing::TempDir dir_;
  int stores_ = 0;
};

TEST_F(FakeModelPipelineTest, IdsAndVectorsAreTheSameForAnyNumberOfThreads) {
  const std::vector<InputDocument> documents = SmallDocuments(300);
  FakeEmbedder embedder;
  IngestReport report;
  const Contents one = IngestAnew(embedder, documents, 1, &report);
  embedder.delay = std::chrono::microseconds(20);
  for (const int threads : {2, 5}) {
    EXPECT_EQ(IngestAnew(embedder, documents, threads, &report), one);
  }
}

TEST_F(FakeModelPipelineTest, OneCallEmbedsManySmallDocuments) {
  FakeEmbedder embedder;
  // So slow that the reader is ahead, as with an encoder.
  embedder.delay = std::chrono::microseconds(200);
  IngestReport report;
  IngestAnew(embedder, SmallDocuments(400), 2, &report);
  EXPECT_EQ(report.created, 400u);
  EXPECT_GE(report.chunks, 400u);
  EXPECT_EQ(embedder.texts(), report.chunks);
  EXPECT_EQ(embedder.calls(), report.embed_calls);
  EXPECT_LE(embedder.largest_call(), 32u);
  EXPECT_GE(report.chunks / report.embed_calls, 16u);
  EXPECT_GT(report.embed_busy, 0);
  EXPECT_LE(report.embed_busy, 1);
}

TEST_F(FakeModelPipelineTest, ALongDocumentIsEmbeddedInSeveralCalls) {
  std::string text;
  for (int i = 0; i < 4000; ++i) text += "w" + std::to_string(i) + (i % 10 == 9 ? ".\n\n" : " ");
  const FakeEmbedder embedder;
  IngestReport report;
  const Contents contents =
      IngestAnew(embedder, {cairn::testing::TextDocument("long", text)}, 3, &report);
  EXPECT_GE(report.chunks, 250u);
  EXPECT_GE(report.embed_calls, report.chunks / 32);
  for (const float x : contents.at("long").second) ASSERT_FALSE(std::isnan(x));
}

TEST_F(FakeModelPipelineTest, AModelsErrorNamesTheDocumentOfTheBatchAndEndsTheIngestion) {
  std::vector<InputDocument> documents = SmallDocuments(200);
  documents[77].text += " poison";
  FakeEmbedder embedder;
  embedder.poison = "poison";
  const auto store = *index::Store::Open(dir_.file("store"), cairn::testing::FakeStoreOptions());
  const absl::StatusOr<IngestReport> report =
      cairn::testing::IngestInto(store.get(), "c", embedder, documents);
  ASSERT_FALSE(report.ok());
  EXPECT_TRUE(absl::IsInternal(report.status()));
  EXPECT_THAT(report.status().message(), ::testing::HasSubstr("document d77: poisoned"));
}

}  // namespace
}  // namespace cairn::engine
