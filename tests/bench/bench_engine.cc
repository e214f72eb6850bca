// The engine in process, on one thread: searches over an ingested collection, and ingestion.
//
//   bench_engine [--corpus=FILE.jsonl --topics=FILE.tsv] [Google Benchmark's flags]
//
// Without files: data/scifact of the development collections. Each search benchmark reports the
// median and the 99th percentile over all its queries, in microseconds, and writes JSON with
// --benchmark_format=json.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "engine/eval/topics.h"
#include "tests/support/shared_data.h"
#include "tests/support/temp_dir.h"

namespace cairn {
namespace {

struct Setting {
  std::string corpus = testing::SharedDir() + "/data/scifact/corpus.jsonl";
  std::string topics = testing::SharedDir() + "/data/scifact/topics.tsv";
  testing::TempDir dir;
  std::unique_ptr<Engine> engine;
  std::vector<engine::Topic> queries;
};

std::unique_ptr<Engine> OpenOrDie(const std::string& store) {
  EngineOptions options;
  options.create_if_missing = true;
  absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Open(store, options);
  if (!engine.ok()) {
    std::fprintf(stderr, "%s\n", engine.status().ToString().c_str());
    std::exit(1);
  }
  return *std::move(engine);
}

void IngestOrDie(Engine& engine, const std::string& corpus, int threads) {
  IngestOptions options;
  options.threads = threads;
  absl::StatusOr<IngestReport> report = engine.IngestPaths({corpus}, options);
  if (!report.ok() || report->created == 0) {
    std::fprintf(stderr, "cannot ingest %s: %s\n", corpus.c_str(),
                 report.status().ToString().c_str());
    std::exit(1);
  }
}

void BM_Search(benchmark::State& state, const Setting* setting, SearchMode mode, bool with_text) {
  SearchRequest request;
  request.mode = mode;
  request.with_text = with_text;
  std::vector<double> micros;
  size_t next = 0;
  for (auto _ : state) {
    request.query = setting->queries[next++ % setting->queries.size()].text;
    const auto start = std::chrono::steady_clock::now();
    absl::StatusOr<SearchResponse> found = setting->engine->Search(request);
    const auto end = std::chrono::steady_clock::now();
    if (!found.ok()) state.SkipWithError("search failed");
    benchmark::DoNotOptimize(found);
    micros.push_back(std::chrono::duration<double, std::micro>(end - start).count());
  }
  std::sort(micros.begin(), micros.end());
  state.counters["median_us"] = micros[micros.size() / 2];
  state.counters["p99_us"] = micros[micros.size() * 99 / 100];
}

void BM_Ingest(benchmark::State& state, const Setting* setting) {
  for (auto _ : state) {
    const testing::TempDir dir;
    const std::unique_ptr<Engine> engine = OpenOrDie(dir.file("store"));
    IngestOrDie(*engine, setting->corpus, static_cast<int>(state.range(0)));
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) *
                          static_cast<int64_t>(std::filesystem::file_size(setting->corpus)));
}

void BM_Reopen(benchmark::State& state, Setting* setting) {
  for (auto _ : state) {
    setting->engine.reset();
    setting->engine = OpenOrDie(setting->dir.file("store"));
    SearchRequest request;
    request.query = "first search after opening";
    benchmark::DoNotOptimize(setting->engine->Search(request));
  }
}

}  // namespace
}  // namespace cairn

int main(int argc, char** argv) {
  using namespace cairn;
  Setting setting;
  int kept = 1;
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    if (arg.rfind("--corpus=", 0) == 0) {
      setting.corpus = arg.substr(9);
    } else if (arg.rfind("--topics=", 0) == 0) {
      setting.topics = arg.substr(9);
    } else {
      argv[kept++] = argv[i];
    }
  }
  argc = kept;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  absl::StatusOr<std::vector<engine::Topic>> topics = engine::ReadTopicsFile(setting.topics);
  if (!topics.ok()) {
    std::fprintf(stderr, "%s (set CAIRN_SHARED_DIR, or --corpus and --topics)\n",
                 std::string(topics.status().message()).c_str());
    return 2;
  }
  setting.queries = *std::move(topics);
  setting.engine = OpenOrDie(setting.dir.file("store"));
  IngestOrDie(*setting.engine, setting.corpus, 0);

  const auto search = [&](const char* name, SearchMode mode, bool with_text) {
    benchmark::RegisterBenchmark(name, BM_Search, &setting, mode, with_text)
        ->Unit(benchmark::kMicrosecond)
        ->MinTime(1);
  };
  search("search/lexical/top10", SearchMode::kLexical, true);
  search("search/lexical/top10/ids_only", SearchMode::kLexical, false);
  search("search/vector/top10", SearchMode::kVector, true);
  search("search/hybrid/top10", SearchMode::kHybrid, true);
  search("search/hybrid/top10/ids_only", SearchMode::kHybrid, false);
  benchmark::RegisterBenchmark("reopen_and_search", BM_Reopen, &setting)
      ->Unit(benchmark::kMillisecond)
      ->UseRealTime();
  benchmark::RegisterBenchmark("ingest", BM_Ingest, &setting)
      ->Arg(1)
      ->Arg(2)
      ->Unit(benchmark::kMillisecond)
      ->UseRealTime();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
