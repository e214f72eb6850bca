// How cost grows with a collection: bulk load, memory, disk, reopening and search.
//
//   bench_growth [--sizes=10000,100000,1000000] [--dir=DIR] [--queries=2000] [--keep]
//
// Each size is generated (tests/bench/text_generator.h), loaded with IngestOptions::bulk and
// searched, by processes of their own, so that memory is told apart. DIR (default /tmp) needs about
// 6 KB a chunk. Latencies are of one thread. Prints a Markdown table.
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/engine.h"
#include "tests/bench/text_generator.h"

namespace cairn::bench {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

[[noreturn]] void Die(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  _exit(1);
}

// A line of /proc/self/status, in MiB.
double StatusMiB(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.compare(0, name.size() + 1, name + ":") == 0) {
      return std::atof(line.c_str() + name.size() + 1) / 1024;
    }
  }
  return 0;
}

double MiBIn(const std::string& directory) {
  double bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (entry.is_regular_file()) bytes += static_cast<double>(entry.file_size());
  }
  return bytes / (1 << 20);
}

// Runs `work` in a child process, which fills in `results`.
std::vector<double> InChild(const std::function<std::vector<double>()>& work) {
  int ends[2];
  if (pipe(ends) != 0) Die("no pipe");
  const pid_t child = fork();
  if (child < 0) Die("no process");
  if (child == 0) {
    const std::vector<double> results = work();
    const size_t bytes = results.size() * sizeof(double);
    if (write(ends[1], results.data(), bytes) != static_cast<ssize_t>(bytes)) _exit(1);
    _exit(0);
  }
  close(ends[1]);
  std::vector<double> results(64);
  const ssize_t n = read(ends[0], results.data(), results.size() * sizeof(double));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0 || n <= 0) Die("a part failed");
  results.resize(static_cast<size_t>(n) / sizeof(double));
  return results;
}

std::unique_ptr<Engine> OpenOrDie(const std::string& store, bool create) {
  EngineOptions options;
  options.create_if_missing = create;
  options.read_only = !create;
  absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Open(store, options);
  if (!engine.ok()) Die(engine.status().ToString());
  return *std::move(engine);
}

double Generate(const std::string& path, size_t count) {
  const TextGenerator generator;
  std::FILE* const out = std::fopen(path.c_str(), "w");
  if (out == nullptr) Die("cannot write " + path);
  for (size_t i = 0; i < count; ++i) {
    std::fprintf(out, "{\"_id\":\"%zu\",\"text\":\"%s\",\"metadata\":{\"year\":%zu}}\n", i,
                 generator.Passage(i).c_str(), 1990 + i % 35);
  }
  if (std::fclose(out) != 0) Die("cannot write " + path);
  return static_cast<double>(std::filesystem::file_size(path)) / (1 << 20);
}

// Seconds, peak resident MiB, chunks.
std::vector<double> Load(const std::string& input, const std::string& store) {
  const auto begin = Clock::now();
  const std::unique_ptr<Engine> engine = OpenOrDie(store, true);
  IngestOptions options;
  options.bulk = true;
  absl::StatusOr<IngestReport> report = engine->IngestPaths({input}, options);
  if (!report.ok()) Die(report.status().ToString());
  return {SecondsSince(begin), StatusMiB("VmHWM"), static_cast<double>(report->chunks)};
}

struct Latency {
  double median;
  double p99;
};

Latency Measure(const Engine& engine, const TextGenerator& generator, SearchMode mode,
                const std::string& filter, size_t queries, bool exact = false) {
  std::vector<double> micros;
  for (size_t q = 0; q < queries; ++q) {
    SearchRequest request;
    request.query = generator.Query(q, 2 + q % 3);
    request.mode = mode;
    request.with_text = false;
    request.filter = filter;
    request.exact = exact;
    const auto begin = Clock::now();
    const absl::StatusOr<SearchResponse> response = engine.Search(request);
    if (!response.ok()) Die(response.status().ToString());
    micros.push_back(SecondsSince(begin) * 1e6);
  }
  std::sort(micros.begin(), micros.end());
  return {micros[micros.size() / 2], micros[micros.size() * 99 / 100]};
}

double VectorRecall(const Engine& engine, const TextGenerator& generator, size_t queries) {
  size_t found = 0;
  size_t wanted = 0;
  for (size_t q = 0; q < queries; ++q) {
    SearchRequest request;
    request.query = generator.Query(q, 8);
    request.mode = SearchMode::kVector;
    request.with_text = false;
    const absl::StatusOr<SearchResponse> graph = engine.Search(request);
    request.exact = true;
    const absl::StatusOr<SearchResponse> exact = engine.Search(request);
    if (!graph.ok() || !exact.ok()) Die("search failed");
    for (const SearchHit& e : exact->hits) {
      ++wanted;
      for (const SearchHit& g : graph->hits) found += g.chunk_id == e.chunk_id;
    }
  }
  return static_cast<double>(found) / static_cast<double>(std::max<size_t>(wanted, 1));
}

std::vector<double> Search(const std::string& store, size_t queries) {
  const TextGenerator generator;
  const double before = StatusMiB("RssAnon");
  const auto begin = Clock::now();
  const std::unique_ptr<Engine> engine = OpenOrDie(store, false);
  SearchRequest request;
  request.query = generator.Query(1, 3);
  if (!engine->Search(request).ok()) Die("search failed");
  const double open = SecondsSince(begin);
  const double anonymous = StatusMiB("RssAnon") - before;
  const double opened_file = StatusMiB("RssFile");
  Measure(*engine, generator, SearchMode::kHybrid, "", 200);  // What is needed comes into memory.
  const Latency lexical = Measure(*engine, generator, SearchMode::kLexical, "", queries);
  const Latency vector = Measure(*engine, generator, SearchMode::kVector, "", queries);
  const Latency hybrid = Measure(*engine, generator, SearchMode::kHybrid, "", queries);
  const Latency filtered = Measure(*engine, generator, SearchMode::kHybrid, "year = 2001", queries);
  return {open,
          anonymous,
          opened_file,
          StatusMiB("RssAnon") - before,
          StatusMiB("RssFile"),
          lexical.median,
          lexical.p99,
          vector.median,
          vector.p99,
          hybrid.median,
          hybrid.p99,
          filtered.median,
          filtered.p99,
          VectorRecall(*engine, generator, 100)};
}

int Run(const std::vector<size_t>& sizes, const std::string& directory, size_t queries, bool keep) {
  std::printf(
      "| chunks | text MiB | bulk load s | chunks/s | peak MiB | rows MiB | segments MiB | reopen "
      "s "
      "| memory MiB: opened | + mapped | after queries | + mapped | lexical us | vector us | "
      "hybrid us "
      "| filtered hybrid us | recall@10 |\n|%s\n",
      std::string(
          "---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
          .c_str());
  for (const size_t size : sizes) {
    const std::string base = absl::StrCat(directory, "/growth-", size);
    std::filesystem::remove_all(base);
    std::filesystem::create_directories(base);
    const std::string input = base + "/corpus.jsonl";
    const std::string store = base + "/store";
    const std::vector<double> text =
        InChild([&] { return std::vector<double>{Generate(input, size)}; });
    const std::vector<double> load = InChild([&] { return Load(input, store); });
    const double rows = MiBIn(store + "/db");
    const double segments = MiBIn(store + "/segments");
    const std::vector<double> s = InChild([&] { return Search(store, queries); });
    std::printf(
        "| %.0f | %.0f | %.1f | %.0f | %.0f | %.0f | %.0f | %.2f | %.0f | %.0f | %.0f | %.0f | "
        "%.0f "
        "(p99 %.0f) | %.0f (%.0f) | %.0f (%.0f) | %.0f (%.0f) | %.3f |\n",
        load[2], text[0], load[0], load[2] / load[0], load[1], rows, segments, s[0], s[1], s[2],
        s[3], s[4], s[5], s[6], s[7], s[8], s[9], s[10], s[11], s[12], s[13]);
    std::fflush(stdout);
    if (!keep) std::filesystem::remove_all(base);
  }
  return 0;
}

int Main(int argc, char** argv) {
  std::vector<size_t> sizes = {10'000, 100'000, 1'000'000};
  std::string directory = "/tmp";
  size_t queries = 2000;
  bool keep = false;
  for (int i = 1; i < argc; ++i) {
    const std::vector<std::string> flag = absl::StrSplit(argv[i], absl::MaxSplits('=', 1));
    const std::string value = flag.size() > 1 ? flag[1] : "";
    bool good = true;
    if (flag[0] == "--sizes") {
      sizes.clear();
      for (const absl::string_view size : absl::StrSplit(value, ',')) {
        good = good && absl::SimpleAtoi(size, &sizes.emplace_back()) && sizes.back() > 0;
      }
    } else if (flag[0] == "--dir") {
      directory = value;
    } else if (flag[0] == "--queries") {
      good = absl::SimpleAtoi(value, &queries) && queries > 0;
    } else if (flag[0] == "--keep") {
      keep = true;
    } else {
      good = false;
    }
    if (!good) {
      std::fprintf(stderr, "bench_growth: what is %s?\n", argv[i]);
      return 2;
    }
  }
  return Run(sizes, directory, queries, keep);
}

}  // namespace
}  // namespace cairn::bench

int main(int argc, char** argv) { return cairn::bench::Main(argc, argv); }
