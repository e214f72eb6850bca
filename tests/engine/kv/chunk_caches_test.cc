// Through the engine: what is kept of chunks, and what answers make of it.
#include "engine/kv/chunk_caches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "engine/engine.h"
#include "engine/model/model_synthesis.h"
#include "tests/support/random_checkpoint.h"
#include "tests/support/temp_dir.h"

namespace cairn {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A model of two bytes' worth of sense.
void MakeModel(const std::string& path, uint64_t seed = 1) {
  engine::ModelConfig config = cairn::testing::SmallConfig(engine::Architecture::kLlama);
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
    request.question = question_;
    request.max_tokens = 8;
    request.reuse = quality;
    request.token_budget = 1500;
    if (!scope_.has_value()) ++asked_;
    request.cache_scope = scope_.value_or(std::to_string(asked_));  // No prefixes.
    const absl::StatusOr<AskResponse> response = engine_->Ask(request);
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? *response : AskResponse();
  }
  void AwaitBlobs(uint64_t count) {
    for (int i = 0; i < 600 && Info().disk_blobs < count; ++i) {
      absl::SleepFor(absl::Milliseconds(50));
    }
    EXPECT_EQ(Info().disk_blobs, count);
  }
  // From the next opening on.
  void Listen() {
    options_.kv.on_problem = [this](const std::string& problem) {
      absl::MutexLock lock(&mutex_);
      problems_.push_back(problem);
    };
  }
  std::vector<std::string> Problems() {
    absl::MutexLock lock(&mutex_);
    return problems_;
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

  absl::Mutex mutex_;
  std::vector<std::string> problems_ ABSL_GUARDED_BY(mutex_);
  cairn::testing::TempDir dir_;
  std::string model_ = dir_.file("model.gguf");
  EngineOptions options_;
  std::unique_ptr<Engine> engine_;
  std::string question_ = "How many hearts has the octopus?";
  std::optional<std::string> scope_;  // Nothing: of each question's own.
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

TEST_F(ChunkCachesTest, ManyShortDocumentsAreBuiltAndTheSameTextOnce) {
  options_.generator_context = 1024;  // A small one: few pages for many documents.
  for (const std::string source : {"document", "isolated"}) {
    options_.kv.source = source;
    Open();
    Ingest("long", Paragraphs("nautilus", 3), source);
    for (int i = 0; i < 100; ++i) {
      Ingest("short" + std::to_string(i), "Note " + std::to_string(i / 2) + ".", source);
    }
    const KvBuildReport report = Build(source);
    EXPECT_EQ(report.documents, 101u);
    EXPECT_GT(report.chunks, 51u);
    EXPECT_EQ(report.known, 50u);
    EXPECT_EQ(Build(source).known, report.known + report.chunks);
  }
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
  Listen();
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
  EXPECT_THAT(Problems(), Contains(HasSubstr("KV blob of collection")));
  const absl::StatusOr<KvVerifyResult> verified = engine_->VerifyKv();
  ASSERT_TRUE(verified.ok());
  EXPECT_EQ(Info().disk_blobs, 0u);
  EXPECT_GT(Build().chunks, 0u);
  EXPECT_EQ(Ask(ReuseQuality::kFast).usage.reuse.method, "reposition");
  EXPECT_EQ(engine_->VerifyKv()->bad, 0u);
}

TEST_F(ChunkCachesTest, BlobsThatAreCutWhileNobodyLooksAreToldOfAtTheOpening) {
  Build();
  engine_ = nullptr;
  Listen();
  const std::vector<std::filesystem::path> blobs = Blobs();
  ASSERT_GE(blobs.size(), 2u);
  std::filesystem::resize_file(blobs[0], 10);
  std::filesystem::remove(blobs[1]);
  Open();
  EXPECT_THAT(Problems(), ElementsAre(HasSubstr("missing or cut, and are computed again: 2")));
  EXPECT_EQ(Build().chunks, 2u);
}

TEST_F(ChunkCachesTest, ABuildInTheBackgroundThatFailsIsToldOf) {
  options_.kv.build_on_ingest = true;
  Listen();
  Open();
  // No folder can be made where a file is.
  std::filesystem::remove_all(dir_.file("store") + "/kv");
  dir_.Write("store/kv", "");
  Ingest("new", Paragraphs("cuttlefish", 2));
  for (int i = 0; i < 600 && Problems().empty(); ++i) absl::SleepFor(absl::Milliseconds(100));
  EXPECT_THAT(Problems(),
              Contains(HasSubstr("keys and values of collection default were not made: ")));
  EXPECT_EQ(Ask(ReuseQuality::kFast).usage.reuse.method, "full");
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
      // What of it is computed again goes by how fast this machine turns out to be.
      const ReuseReport balanced = Ask(ReuseQuality::kBalanced).usage.reuse;
      EXPECT_EQ(balanced.recomputed_tokens > 0, balanced.method == "cacheblend");
      EXPECT_EQ(balanced.method == "full", balanced.reused_tokens == 0) << balanced.reason;
    }
  }
}

TEST_F(ChunkCachesTest, AnswersKeepWhatTheyReadWhereThatIsTheSource) {
  options_.kv.source = "prompt";
  scope_ = "someone";
  Open();
  EXPECT_TRUE(absl::IsFailedPrecondition(engine_->BuildKv({}).status()));
  const AskResponse first = Ask(ReuseQuality::kBalanced);
  EXPECT_EQ(first.usage.reuse.method, "full") << first.usage.reuse.reason;
  AwaitBlobs(first.passages.size());
  // The same passages in the same order: nothing is computed again, and nothing else comes out.
  Open();  // Without prefixes.
  const AskResponse again = Ask(ReuseQuality::kBalanced);
  EXPECT_EQ(again.usage.reuse.method, "cache-craft") << again.usage.reuse.reason;
  EXPECT_GT(again.usage.reuse.reused_tokens, 0u);
  EXPECT_EQ(again.usage.reuse.recomputed_tokens, 0u);
  EXPECT_EQ(again.answer, first.answer);
  EXPECT_EQ(Info().disk_blobs, first.passages.size());
  EXPECT_EQ(Ask(ReuseQuality::kExact).usage.reuse.reused_tokens, 0u);
  Open();
  EXPECT_GT(Ask(ReuseQuality::kFast).usage.reuse.reused_tokens, 0u);
  scope_ = "somebody else";
  EXPECT_EQ(Ask(ReuseQuality::kFast).usage.reuse.reused_tokens, 0u) << "of another scope";
}

TEST_F(ChunkCachesTest, WhatHasSeenADeletedPassageGoesWithIt) {
  options_.kv.source = "prompt";
  scope_ = "someone";
  Open();
  const AskResponse asked = Ask(ReuseQuality::kBalanced);
  ASSERT_GE(asked.passages.size(), 3u);
  AwaitBlobs(asked.passages.size());
  // All but those before the document's first passage have seen it, or are its.
  const std::string gone = asked.passages[1].document_id;
  size_t before = 0;
  while (asked.passages[before].document_id != gone) ++before;
  const std::vector<std::string> ids = {gone};
  ASSERT_TRUE(engine_->Delete("default", ids).ok());
  EXPECT_EQ(Info().disk_blobs, before);
}

TEST_F(ChunkCachesTest, ClosingWhileTheModelsGatesAreRunEndsThem) {
  KvBuildOptions build;
  build.is_cancelled = [] { return true; };
  for (int i = 0; i < 3; ++i) {
    Open();
    const absl::Status s = engine_->BuildKv(build).status();
    EXPECT_TRUE(absl::IsCancelled(s)) << s;
    engine_ = nullptr;
  }
}

TEST_F(ChunkCachesTest, AChunkHasAsManyVariantsAsItMayFromDifferentPrompts) {
  options_.kv.source = "prompt";
  options_.kv.variants = 2;
  scope_ = "someone";
  std::map<uint64_t, int> uses;
  for (const char* question :
       {"How many hearts has the octopus?", "The squid number 3", "hearts", "octopus number 17",
        "squid", "three", "the squid and the octopus"}) {
    question_ = question;
    Open();  // Without prefixes.
    for (const SearchHit& passage : Ask(ReuseQuality::kBalanced).passages) ++uses[passage.chunk_id];
  }
  engine_ = nullptr;  // Writes what waits.
  Open();
  EXPECT_GT(Info().disk_blobs, uses.size()) << "some have two";
  EXPECT_LE(Info().disk_blobs, 2 * uses.size());
  EXPECT_EQ(engine_->VerifyKv()->bad, 0u);
}

TEST_F(ChunkCachesTest, AStoreOpenedReadOnlyKeepsNothingOfPrompts) {
  options_.kv.source = "prompt";
  options_.read_only = true;
  Open();
  EXPECT_EQ(Ask(ReuseQuality::kBalanced).usage.reuse.method, "full");
  EXPECT_EQ(Ask(ReuseQuality::kBalanced).usage.reuse.method, "full");
  EXPECT_THAT(Blobs(), ::testing::IsEmpty());
}

TEST_F(ChunkCachesTest, BadOptionsAreRefused) {
  options_.kv.encoding = "f8";
  EXPECT_EQ(TryOpen().code(), absl::StatusCode::kInvalidArgument);
  options_.kv.encoding = "f16";
  options_.kv.source = "hearsay";
  EXPECT_EQ(TryOpen().code(), absl::StatusCode::kInvalidArgument);
  options_.kv.source = "document";
  options_.kv.variants = 0;
  EXPECT_EQ(TryOpen().code(), absl::StatusCode::kInvalidArgument);
  options_.kv.variants = 17;
  EXPECT_EQ(TryOpen().code(), absl::StatusCode::kInvalidArgument);
  options_.kv.variants = 3;
  options_.kv.source = "prompt";
  options_.kv.build_on_ingest = true;
  EXPECT_EQ(TryOpen().code(), absl::StatusCode::kInvalidArgument);
  options_.kv.build_on_ingest = false;
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
