#include "engine/ingest_pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "engine/model/static_embedder.h"
#include "index/store.h"
#include "tests/support/temp_dir.h"

namespace cairn::engine {
namespace {

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

}  // namespace
}  // namespace cairn::engine
