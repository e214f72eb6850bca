// Approximate search of vector segments, alone or against hnswlib in the same run.
//
//   bench_ann [--compare-hnswlib] [--n=50000,200000] [--dim=384] [--links=32]
//             [--ef-construction=40] [--data=clustered|embedding] [--queries=4000]
//             [--folder=DIR for the segments, a temporary one by default]
//
// One thread. For each side and size it finds the smallest ef whose recall@10, against the exact
// top 10, is at least .99, and measures queries per second there: the median of runs that take
// turns. Ours runs what the product runs: VectorSegment over a written, mapped file.
//
// With --compare-hnswlib the last lines of standard output are int8_qps_ratio, build_ratio and
// qps_ratio (the latter two of float32), ours over hnswlib's, each the worst of the sizes.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "index/segment/section_file.h"
#include "index/segment/vector_segment.h"
#include "index/segment/vector_writer.h"
#include "kernels/distance.h"
#include "kernels/top_k.h"
#include "tests/support/clustered_vectors.h"
#include "tests/support/embedding_vectors.h"
#ifdef CAIRN_BENCH_HNSWLIB
#include "tests/bench/hnswlib_index.h"
#endif

namespace cairn::bench {
namespace {

using index::ScoredSlot;
using index::Slot;
using index::VectorEncoding;

constexpr size_t kK = 10;
constexpr double kRecall = 0.99;
constexpr int kRuns = 5;
constexpr size_t kLargestEf = 2000;

struct Settings {
  bool compare = false;
  std::vector<size_t> sizes = {50'000, 200'000};
  size_t dim = 384;
  size_t links = 32;
  size_t ef_construction = 40;
  size_t queries = 4000;
  bool embedding = false;
  std::string folder;
};

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

[[noreturn]] void Fail(const std::string& what) {
  std::fprintf(stderr, "bench_ann: %s\n", what.c_str());
  std::exit(2);
}

struct Data : index::VectorSource {
  size_t dim = 0;
  std::vector<float> rows;                    // [n][dim]
  std::vector<std::vector<float>> queries;    // [queries][dim]
  std::vector<std::vector<uint32_t>> truths;  // [queries][kK]

  size_t size() const { return rows.size() / dim; }

  absl::Status Read(Slot begin, size_t count, absl::Span<float> out,
                    absl::Span<uint8_t> present) override {
    std::copy_n(&rows[begin * dim], count * dim, out.data());
    std::fill_n(present.data(), count, uint8_t{1});
    return absl::OkStatus();
  }
};

template <typename Vectors>
void Take(const Vectors& vectors, Data* data) {
  for (size_t i = 0; i < vectors.size(); ++i) {
    data->rows.insert(data->rows.end(), vectors.row(i).begin(), vectors.row(i).end());
  }
}

// The exact top kK of every query, by tiles of rows that stay in the cache for many queries.
void FillTruths(Data* data) {
  constexpr size_t kTile = 128;
  std::vector<kernels::TopK> tops(data->queries.size(), kernels::TopK(kK));
  std::vector<float> scores(kTile);
  for (size_t begin = 0; begin < data->size(); begin += kTile) {
    const size_t count = std::min(kTile, data->size() - begin);
    for (size_t q = 0; q < tops.size(); ++q) {
      kernels::GetDistanceKernels().scan_f32(
          data->queries[q].data(), &data->rows[begin * data->dim], count, data->dim, scores.data());
      for (size_t i = 0; i < count; ++i) tops[q].Push(scores[i], static_cast<uint32_t>(begin + i));
    }
  }
  for (kernels::TopK& top : tops) {
    std::vector<uint32_t>& truth = data->truths.emplace_back();
    for (const kernels::TopK::Entry& entry : top.TakeSorted()) truth.push_back(entry.slot);
  }
}

void FillData(const Settings& settings, size_t n, Data* data) {
  data->dim = settings.dim;
  data->rows.reserve(n * settings.dim);
  if (settings.embedding) {
    testing::EmbeddingVectors vectors(n, settings.dim, 7);
    Take(vectors, data);
    for (size_t i = 0; i < settings.queries; ++i) data->queries.push_back(vectors.Sample());
  } else {
    const testing::ClusteredVectors vectors(n, settings.dim, 7);
    Take(vectors, data);
    std::mt19937 rng(8);
    for (size_t i = 0; i < settings.queries; ++i) {
      data->queries.push_back(vectors.Near(rng() % n, rng));
    }
  }
  FillTruths(data);
}

// Something that answers queries: fills *found with the kK nearest.
struct Side {
  std::string name;
  std::function<void(const float* query, size_t ef, std::vector<uint32_t>* found)> search;
  double build_seconds = 0;
  double megabytes = 0;
  // Measured:
  size_t ef = 0;
  double recall = 0;
  double queries_per_second = 0;
};

double Recall(const Data& data, const Side& side, size_t ef) {
  size_t hits = 0;
  std::vector<uint32_t> found;
  for (size_t q = 0; q < data.queries.size(); ++q) {
    side.search(data.queries[q].data(), ef, &found);
    for (uint32_t slot : data.truths[q]) {
      hits += std::find(found.begin(), found.end(), slot) != found.end() ? 1 : 0;
    }
  }
  return static_cast<double>(hits) / static_cast<double>(kK * data.queries.size());
}

void FindEf(const Data& data, Side* side) {
  // Doubles it, then halves the step: recall grows with ef.
  size_t low = kK - 1;
  for (side->ef = kK; side->ef < kLargestEf && Recall(data, *side, side->ef) < kRecall;) {
    low = side->ef;
    side->ef *= 2;
  }
  while (side->ef - low > 1) {
    const size_t middle = (low + side->ef) / 2;
    (Recall(data, *side, middle) < kRecall ? low : side->ef) = middle;
  }
  side->recall = Recall(data, *side, side->ef);
}

void MeasureSpeed(const Data& data, std::vector<Side>* sides) {
  std::vector<std::vector<double>> speeds(sides->size());
  std::vector<uint32_t> found;
  for (int run = 0; run < kRuns; ++run) {
    for (size_t i = 0; i < sides->size(); ++i) {
      const Side& side = (*sides)[i];
      const double start = Seconds();
      for (const std::vector<float>& query : data.queries) {
        side.search(query.data(), side.ef, &found);
      }
      speeds[i].push_back(static_cast<double>(data.queries.size()) / (Seconds() - start));
    }
  }
  for (size_t i = 0; i < sides->size(); ++i) {
    std::nth_element(speeds[i].begin(), speeds[i].begin() + kRuns / 2, speeds[i].end());
    (*sides)[i].queries_per_second = speeds[i][kRuns / 2];
  }
}

Side BuildSegment(const Settings& settings, VectorEncoding encoding, Data* data) {
  Side side;
  side.name = index::VectorEncodingName(encoding);
  const std::string path = absl::StrCat(settings.folder, "/", side.name, ".segment");
  auto writer = index::SectionWriter::Create(path, nullptr);
  if (!writer.ok()) Fail(std::string(writer.status().message()));
  index::VectorIndexOptions options;
  options.encoding = encoding;
  options.flat_below = 0;
  options.hnsw_links = static_cast<int>(settings.links);
  options.hnsw_ef_construction = static_cast<int>(settings.ef_construction);
  const std::atomic<bool> cancel = false;
  const double start = Seconds();
  const absl::Status written =
      index::WriteVectors(data->size(), data->dim, data, options, cancel, writer->get());
  side.build_seconds = Seconds() - start;
  if (!written.ok()) Fail(std::string(written.message()));
  const auto digest = (*writer)->Finish();
  if (!digest.ok()) Fail(std::string(digest.status().message()));
  side.megabytes = static_cast<double>(digest->bytes) / 1e6;
  auto file = index::SectionFile::Open(path, *digest);
  if (!file.ok()) Fail(std::string(file.status().message()));
  auto opened = index::VectorSegment::Open(*file, data->size(), data->dim);
  if (!opened.ok()) Fail(std::string(opened.status().message()));
  const std::shared_ptr<const index::VectorSegment> segment = *std::move(opened);
  const auto all = std::make_shared<const index::SlotSet>(data->size(), true);
  side.search = [segment, all, dim = data->dim](const float* query, size_t ef,
                                                std::vector<uint32_t>* found) {
    index::VectorSearchOptions search;
    search.ef = ef;
    const auto results = segment->Search(absl::Span<const float>(query, dim), kK, *all,
                                         -std::numeric_limits<float>::infinity(), search);
    if (!results.ok()) Fail(std::string(results.status().message()));
    found->clear();
    for (const ScoredSlot& result : *results) found->push_back(result.slot);
  };
  return side;
}

#ifdef CAIRN_BENCH_HNSWLIB
Side BuildHnswlib(const Settings& settings, const Data& data) {
  Side side;
  side.name = "hnswlib";
  const double start = Seconds();
  const auto built = std::make_shared<HnswlibIndex>(data.dim, data.size(), settings.links,
                                                    settings.ef_construction);
  for (size_t i = 0; i < data.size(); ++i) built->Add(&data.rows[i * data.dim]);
  side.build_seconds = Seconds() - start;
  // A row holds its vector, its links of level 0 with their number, and a label.
  side.megabytes =
      static_cast<double>(data.size() * (data.dim * 4 + settings.links * 8 + 12)) / 1e6;
  side.search = [built](const float* query, size_t ef, std::vector<uint32_t>* found) {
    built->Search(query, kK, ef, found);
  };
  return side;
}
#endif

struct Ratios {
  double build = 0;
  double queries = std::numeric_limits<double>::infinity();
  double int8_queries = std::numeric_limits<double>::infinity();
};

void RunSize(const Settings& settings, size_t n, Ratios* worst) {
  Data data;
  FillData(settings, n, &data);
  std::vector<Side> sides;
  for (VectorEncoding encoding :
       {VectorEncoding::kFloat32, VectorEncoding::kBfloat16, VectorEncoding::kInt8}) {
    sides.push_back(BuildSegment(settings, encoding, &data));
  }
#ifdef CAIRN_BENCH_HNSWLIB
  if (settings.compare) sides.push_back(BuildHnswlib(settings, data));
#endif
  for (Side& side : sides) FindEf(data, &side);
  MeasureSpeed(data, &sides);
  std::printf("%-8s %-9s %9s %8s %5s %7s %9s\n", "n", "index", "build s", "MB", "ef", "recall",
              "queries/s");
  for (const Side& side : sides) {
    std::printf("%-8zu %-9s %9.2f %8.0f %5zu %7.4f %9.0f\n", n, side.name.c_str(),
                side.build_seconds, side.megabytes, side.ef, side.recall, side.queries_per_second);
  }
  if (settings.compare) {
    const Side& theirs = sides.back();
    std::printf("%-8zu int8_build_ratio %.3f\n", n, sides[2].build_seconds / theirs.build_seconds);
    worst->build = std::max(worst->build, sides[0].build_seconds / theirs.build_seconds);
    worst->queries =
        std::min(worst->queries, sides[0].queries_per_second / theirs.queries_per_second);
    worst->int8_queries =
        std::min(worst->int8_queries, sides[2].queries_per_second / theirs.queries_per_second);
  }
  std::fflush(stdout);
}

size_t Number(std::string_view name, std::string_view text) {
  uint64_t value = 0;
  if (!absl::SimpleAtoi(std::string(text), &value) || value == 0 || value > 100'000'000) {
    Fail(absl::StrCat("--", std::string(name), " needs a number"));
  }
  return value;
}

Settings Parse(int argc, char** argv) {
  Settings settings;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const size_t equals = std::min(argument.find('='), argument.size());
    const std::string_view name = argument.substr(0, equals);
    const std::string_view value = argument.substr(std::min(equals + 1, argument.size()));
    if (name == "--compare-hnswlib") {
      settings.compare = true;
    } else if (name == "--n") {
      settings.sizes.clear();
      for (const auto part : absl::StrSplit(std::string(value), ',')) {
        settings.sizes.push_back(Number("n", std::string(part)));
      }
    } else if (name == "--dim") {
      settings.dim = Number("dim", value);
    } else if (name == "--links") {
      settings.links = Number("links", value);
    } else if (name == "--ef-construction") {
      settings.ef_construction = Number("ef-construction", value);
    } else if (name == "--queries") {
      settings.queries = Number("queries", value);
    } else if (name == "--data" && (value == "clustered" || value == "embedding")) {
      settings.embedding = value == "embedding";
    } else if (name == "--folder") {
      settings.folder = value;
    } else {
      Fail(absl::StrCat("what is ", argv[i], "? See the head of bench_ann.cc"));
    }
  }
  return settings;
}

int Run(Settings settings) {
#ifndef CAIRN_BENCH_HNSWLIB
  if (settings.compare) Fail("built without hnswlib, whose headers were not found");
#endif
  std::string temporary;
  if (settings.folder.empty()) {
    temporary = (std::filesystem::temp_directory_path() / "bench_ann.XXXXXX").string();
    if (mkdtemp(temporary.data()) == nullptr) Fail("no temporary folder");
    settings.folder = temporary;
  }
  std::printf("%s vectors, dim %zu, links %zu, ef_construction %zu, k %zu, one thread\n",
              settings.embedding ? "EmbeddingVectors" : "ClusteredVectors", settings.dim,
              settings.links, settings.ef_construction, kK);
  Ratios worst;
  for (size_t n : settings.sizes) RunSize(settings, n, &worst);
  if (!temporary.empty()) std::filesystem::remove_all(temporary);
  if (settings.compare) {
    std::printf("int8_qps_ratio %.3f\n", worst.int8_queries);
    std::printf("build_ratio %.3f\n", worst.build);
    std::printf("qps_ratio %.3f\n", worst.queries);
  }
  return 0;
}

}  // namespace
}  // namespace cairn::bench

int main(int argc, char** argv) { return cairn::bench::Run(cairn::bench::Parse(argc, argv)); }
