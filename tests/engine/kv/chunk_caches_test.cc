// Through the engine: what is kept of chunks, and what answers make of it.
#include "engine/kv/chunk_caches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "engine/engine.h"
#include "engine/model/model_synthesis.h"
#include "tests/support/random_checkpoint.h"
#include "tests/support/temp_dir.h"

namespace cairn {
namespace {

using ::testing::HasSubstr;

// A model of two bytes' worth of sense.
void MakeModel(const std::string& path, uint64_t seed = 1) {
  engine::ModelConfig config = testing::SmallConfig(engine::Architecture::kLlama);
  config.vocabulary_size = 300;
  engine::SynthesisOptions options;
  options.seed = seed;
  ASSERT_TRUE(engine::SynthesizeModel(config, options, path).ok());
}

class ChunkCachesTest : public ::testing::Test {
 protected:
  ChunkCachesTest() {
    MakeModel(model_);
    Open();
    Ingest("lives", Paragraphs("octopus", 4));
    Ingest("works", Paragraphs("squid", 3));
  }

  static std::string Paragraphs(const std::string& animal, int count) {
    std::string text;
    for (int p = 0; p < count; ++p) {
      for (int s = 0; s < 6; ++s) {
        text += "The " + animal + " number " + std::to_string(p * 6 + s) + " has three hearts. ";
      }
      text += "\n\n";
    }
    return text;
  }

  absl::Status TryOpen() {
    engine_ = nullptr;
    options_.create_if_missing = true;
    options_.generator = model_;
    absl::StatusOr<std::unique_ptr<Engine>> opened = Engine::Open(dir_.file("store"), options_);
    if (opened.ok()) engine_ = *std::move(opened);
    return opened.status();
  }
  void Open() {
    options_.kv.enabled = true;
    const absl::Status opened = TryOpen();
    ASSERT_TRUE(opened.ok()) << opened;
  }

  void Ingest(const std::string& id, const std::string& text,
              const std::string& collection = "default") {
    InputDocument document;
    document.id = id;
    document.text = text;
    IngestOptions options;
    options.collection = collection;
    options.create.chunk_tokens = 64;
    const absl::StatusOr<IngestReport> report = engine_->IngestDocuments({&document, 1}, options);
    ASSERT_TRUE(report.ok()) << report.status();
  }

  KvBuildReport Build(const std::string& collection = "default") {
    KvBuildOptions options;
    options.collection = collection;
    const absl::StatusOr<KvBuildReport> report = engine_->BuildKv(options);
    EXPECT_TRUE(report.ok()) << report.status();
    return report.ok() ? *report : KvBuildReport();
  }

  AskResponse Ask(ReuseQuality quality, const std::string& collection = "default") {
    AskRequest request;
    request.collection = collection;
    request.question = "How many hearts has the octopus?";
    request.max_tokens = 8;
    request.reuse = quality;
    request.token_budget = 1500;
    request.cache_scope = std::to_string(++asked_);  // No prefixes.
    const absl::StatusOr<AskResponse> response = engine_->Ask(request);
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? *response : AskResponse();
  }
  KvInfo Info() { return *engine_->DescribeKv("default"); }

  std::vector<std::filesystem::path> Blobs() const {
    std::vector<std::filesystem::path> files;
    const std::filesystem::path kv = dir_.file("store") + "/kv";
    if (!std::filesystem::exists(kv)) return files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(kv)) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
    return files;
  }

  testing::TempDir dir_;
  std::string model_ = dir_.file("model.gguf");
  EngineOptions options_;
  std::unique_ptr<Engine> engine_;
  int asked_ = 0;
};

TEST_F(ChunkCachesTest, EveryChunkIsBuiltOnceAndThenReused) {
  const KvBuildReport first = Build();
  EXPECT_EQ(first.documents, 2u);
  EXPECT_GT(first.chunks, 4u);
  EXPECT_EQ(first.known, 0u);
  EXPECT_EQ(Info().disk_blobs, first.chunks);
  const KvBuildReport again = Build();
  EXPECT_EQ(again.chunks, 0u);
  EXPECT_EQ(again.known, first.chunks);
  EXPECT_EQ(again.tokens, 0u);

  const AskResponse response = Ask(ReuseQuality::kFast);
  const ReuseReport& reuse = response.usage.reuse;
  EXPECT_EQ(reuse.method, "reposition") << reuse.reason;
  EXPECT_GT(reuse.reused_tokens, 500u);
  EXPECT_EQ(reuse.recomputed_tokens, 0u);
  EXPECT_EQ(reuse.exact_tokens + reuse.reused_tokens + reuse.recomputed_tokens + reuse.fresh_tokens,
            response.usage.prompt_tokens);
  EXPECT_GT(reuse.loaded_bytes, 0u);

  // They know their documents.
  EXPECT_EQ(Ask(ReuseQuality::kBalanced).usage.reuse.method, "reposition");
  const ReuseReport exact = Ask(ReuseQuality::kExact).usage.reuse;
  EXPECT_EQ(exact.method, "full");
  EXPECT_EQ(exact.reused_tokens, 0u);
}

TEST_F(ChunkCachesTest, WithoutCachesAnswersSayThatTheyComputeEverything) {
  const ReuseReport nothing = Ask(ReuseQuality::kBalanced).usage.reuse;
  EXPECT_EQ(nothing.method, "full");
  EXPECT_THAT(nothing.reason, HasSubstr("cached"));
  options_.kv.enabled = false;
  ASSERT_TRUE(TryOpen().ok());
  const ReuseReport off = Ask(ReuseQuality::kBalanced).usage.reuse;
  EXPECT_EQ(off.method, "full");
  EXPECT_GT(off.fresh_tokens, 0u);
  EXPECT_EQ(engine_->BuildKv({}).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(engine_->DescribeKv("default").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(engine_->VerifyKv().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(engine_->EvictKv(1).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(ChunkCachesTest, TheSameAnswerComesFromChunksInTheirPlaceAsFromAll) {
  // One document, all of whose chunks are in the prompt in their order would be needed for equality
  // to the bit; so the texts must agree where everything is computed from what is cached.
  Build();
  const AskResponse exact = Ask(ReuseQuality::kExact);
  const AskResponse again = Ask(ReuseQuality::kExact);
  EXPECT_EQ(exact.answer, again.answer);
  EXPECT_EQ(exact.usage.prompt_tokens, Ask(ReuseQuality::kFast).usage.prompt_tokens);
}

TEST_F(ChunkCachesTest, DeletedAndReplacedChunksTakeTheirBlobsAlong) {
  const uint64_t all = Build().chunks;
  const std::string ids[] = {"works"};
  ASSERT_TRUE(engine_->Delete("default", ids).ok());
  const uint64_t left = Info().disk_blobs;
  EXPECT_LT(left, all);
  EXPECT_EQ(Blobs().size(), left);
  Ingest("lives", "Nothing of what was here.");
  EXPECT_EQ(Info().disk_blobs, 0u);
  EXPECT_EQ(Blobs().size(), 0u);
  EXPECT_EQ(Build().chunks, 1u);
}

TEST_F(ChunkCachesTest, AnotherModelFindsNothing) {
  Build();
  engine_ = nullptr;
  model_ = dir_.file("other.gguf");
  MakeModel(model_, 2);
  Open();
  const ReuseReport reuse = Ask(ReuseQuality::kFast).usage.reuse;
  EXPECT_EQ(reuse.method, "full");
  EXPECT_EQ(reuse.reused_tokens, 0u);
  EXPECT_GT(Build().chunks, 0u);
  EXPECT_EQ(Ask(ReuseQuality::kFast).usage.reuse.method, "reposition");
}

TEST_F(ChunkCachesTest, BlobsSurviveTheEngine) {
  const uint64_t chunks = Build().chunks;
  Open();
  EXPECT_EQ(Info().disk_blobs, chunks);
  EXPECT_EQ(Build().known, chunks);
  EXPECT_EQ(Ask(ReuseQuality::kFast).usage.reuse.method, "reposition");
  // What was prefetched in time counts as in memory.
  EXPECT_GT(Info().disk_hits + Info().memory_hits, 0u);
  EXPECT_GT(Info().loaded_bytes, 0u);
  const uint64_t before = Info().memory_hits;
  Ask(ReuseQuality::kFast);
  EXPECT_GT(Info().memory_hits, before);
}

TEST_F(ChunkCachesTest, DamagedBlobsAreComputedAndForgotten) {
  Build();
  engine_ = nullptr;
  size_t damaged = 0;
  for (const std::filesystem::path& path : Blobs()) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    const auto size = static_cast<std::streamoff>(std::filesystem::file_size(path));
    file.seekp(size / 2);
    file.put('\x55');
    file.put('\xaa');
    ++damaged;
  }
  ASSERT_GT(damaged, 0u);
  Open();
  const AskResponse response = Ask(ReuseQuality::kFast);
  EXPECT_EQ(response.usage.reuse.reused_tokens, 0u);
  EXPECT_EQ(response.answer, Ask(ReuseQuality::kExact).answer);
  EXPECT_GT(Info().bad_blobs, 0u);
  const absl::StatusOr<KvVerifyResult> verified = engine_->VerifyKv();
  ASSERT_TRUE(verified.ok());
  EXPECT_EQ(Info().disk_blobs, 0u);
  EXPECT_GT(Build().chunks, 0u);
  EXPECT_EQ(Ask(ReuseQuality::kFast).usage.reuse.method, "reposition");
  EXPECT_EQ(engine_->VerifyKv()->bad, 0u);
}

TEST_F(ChunkCachesTest, ABudgetSmallerThanAChunkKeepsNothingAndHarmsNothing) {
  options_.kv.disk_bytes = 100;
  options_.kv.memory_bytes = 100;
  Open();
  const KvBuildReport report = Build();
  EXPECT_EQ(Info().disk_blobs, 0u);
  EXPECT_EQ(report.documents + report.skipped > 0, true);
  EXPECT_EQ(Ask(ReuseQuality::kFast).usage.reuse.method, "full");
}

TEST_F(ChunkCachesTest, CollectionsShareNothing) {
  Ingest("lives", Paragraphs("octopus", 4), "other");
  Build();
  const ReuseReport theirs = Ask(ReuseQuality::kFast, "other").usage.reuse;
  EXPECT_EQ(theirs.reused_tokens, 0u);
  EXPECT_EQ(engine_->DescribeKv("other")->memory_hits + engine_->DescribeKv("other")->disk_hits,
            0u);
  EXPECT_GT(Build("other").chunks, 0u);
}

TEST_F(ChunkCachesTest, GatesAreRunOncePerModelAndStore) {
  const auto gates = engine_->CheckReuse();
  ASSERT_TRUE(gates.ok()) << gates.status();
  ASSERT_EQ(gates->size(), 4u);
  for (const ReuseGateResult& gate : *gates) {
    EXPECT_TRUE(gate.holds) << gate.name << ' ' << gate.difference;
  }
  Open();
  const auto kept = engine_->CheckReuse();
  ASSERT_TRUE(kept.ok());
  for (size_t i = 0; i < kept->size(); ++i) {
    EXPECT_EQ((*kept)[i].difference, (*gates)[i].difference);  // The very same run's.
  }
}

TEST_F(ChunkCachesTest, ABuildThatIsStoppedGoesOnWhereItWas) {
  KvBuildOptions options;
  uint64_t made = 0;
  options.on_progress = [&](const KvBuildProgress& progress) { made = progress.chunks; };
  options.is_cancelled = [&] { return made > 0; };
  EXPECT_EQ(engine_->BuildKv(options).status().code(), absl::StatusCode::kCancelled);
  EXPECT_GT(made, 0u);
  const KvBuildReport rest = Build();
  EXPECT_EQ(rest.known, made);
  EXPECT_GT(rest.chunks, 0u);
}

TEST_F(ChunkCachesTest, IngestionBuildsInTheBackgroundWhereAskedTo) {
  options_.kv.build_on_ingest = true;
  Open();
  Ingest("new", Paragraphs("cuttlefish", 2));
  uint64_t blobs = 0;
  for (int i = 0; i < 600 && (blobs == 0 || blobs != Info().disk_blobs); ++i) {
    blobs = Info().disk_blobs;
    absl::SleepFor(absl::Milliseconds(100));
  }
  EXPECT_GT(blobs, 0u);
  EXPECT_EQ(Ask(ReuseQuality::kFast).usage.reuse.method, "reposition");
}

TEST_F(ChunkCachesTest, EverySourceAndEncodingIsReused) {
  for (const std::string source : {"document", "preface", "isolated"}) {
    for (const std::string encoding : {"f16", "int8"}) {
      options_.kv.source = source;
      options_.kv.encoding = encoding;
      Open();
      EXPECT_GT(Build().chunks, 0u) << source << ' ' << encoding;
      EXPECT_EQ(Ask(ReuseQuality::kFast).usage.reuse.method, "reposition");
      const ReuseReport balanced = Ask(ReuseQuality::kBalanced).usage.reuse;
      EXPECT_EQ(balanced.method, source == "document" ? "reposition" : "cacheblend");
      EXPECT_EQ(balanced.recomputed_tokens > 0, source != "document");
    }
  }
}

TEST_F(ChunkCachesTest, BadOptionsAreRefused) {
  options_.kv.encoding = "f8";
  EXPECT_EQ(TryOpen().code(), absl::StatusCode::kInvalidArgument);
  options_.kv.encoding = "f16";
  options_.kv.source = "hearsay";
  EXPECT_EQ(TryOpen().code(), absl::StatusCode::kInvalidArgument);
  options_.kv.source = "document";
  Open();
  KvBuildOptions build;
  build.collection = "nobody";
  EXPECT_EQ(engine_->BuildKv(build).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ChunkCachesTest, EvictionMakesRoom) {
  Build();
  const uint64_t before = Info().disk_bytes;
  const absl::StatusOr<uint64_t> some = engine_->EvictKv(before / 2);
  ASSERT_TRUE(some.ok());
  EXPECT_GE(*some, before / 2);
  ASSERT_TRUE(engine_->EvictKv(before).ok());
  EXPECT_EQ(Info().disk_blobs, 0u);
  EXPECT_EQ(Ask(ReuseQuality::kFast).usage.reuse.method, "full");
}

}  // namespace
}  // namespace cairn
