// Products with packed weights and attention, against what the CPU can do and against oneDNN.
//
//   bench_matmul [--rounds=7] [prefill] [vectors] [attention]
//
// prefill     512 rows by three matrices, one and two threads, activations already encoded:
//             GFLOP/s; the peak of the same instructions in registers; oneDNN in the same
//             arithmetic, its reordering of weights not counted
// vectors     one row by a matrix that no cache holds: GB/s of weights; of reading alone
// attention   14 heads, 2 heads of keys and values, 64 dimensions. decode: one token behind
//             16,384, many layers of caches, GB/s of them; causal: a prompt alone, GFLOP/s of
//             the products that its mask leaves
// Without names, all. What is compared is measured in turn, in the same rounds, and the fastest
// round of each counts: neighbours on the machine only ever slow down. One thread's time is its
// processor time, two threads' the clock's, which only an idle machine measures well. One "name
// value" a line, the ratios last. CAIRN_FORCE_ISA chooses the instructions of ours.
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "kernels/attention.h"
#include "kernels/matmul.h"
#include "kernels/thread_team.h"
#include "tests/bench/cpu_limits.h"
#include "tests/bench/onednn_matmul.h"
#include "tests/support/random_blocks.h"

namespace cairn::bench {
namespace {

using kernels::Activations;
using kernels::AttentionRows;
using kernels::BlockFormat;
using kernels::ComputeType;
using kernels::KvType;
using kernels::MatmulScratch;
using kernels::PackedMatrix;
using kernels::ThreadTeam;

constexpr size_t kTeams[] = {1, 2};

class Report {
 public:
  void Add(const std::string& name, double value) { Print(name, value); }
  void Ratio(const std::string& name, double value) { ratios_.emplace_back(name, value); }
  void Finish() const {
    for (const auto& [name, value] : ratios_) Print("ratio." + name, value);
  }

 private:
  static void Print(const std::string& name, double value) {
    std::printf("%s %.3f\n", name.c_str(), value);
    std::fflush(stdout);
  }
  std::vector<std::pair<std::string, double>> ratios_;
};

// Of the clock that tells a team's time: one thread's is its own processor time, which neighbours
// on the machine do not stretch by running in its place; several threads' is everyone's.
double Now(size_t threads) {
  timespec now;
  clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// The least seconds that each took, over rounds in which each has its turn.
std::vector<double> Fastest(int rounds, size_t threads,
                            const std::vector<std::function<void()>>& runs) {
  std::vector<double> least(runs.size(), std::numeric_limits<double>::infinity());
  for (int round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < runs.size(); ++i) {
      const double start = Now(threads);
      runs[i]();
      least[i] = std::min(least[i], Now(threads) - start);
    }
  }
  return least;
}

// GFLOP/s of nothing but multiply-adds on all members; 0 where there are no instructions for
// `compute`. Many short bursts: on a machine that is shared, few run undisturbed on all members.
double PeakRate(ComputeType compute, ThreadTeam* team) {
  const double operations = BurnedOperations(compute, kernels::ActiveIsa());
  if (operations == 0) return 0;
  const std::function<void()> burst = [&] {
    team->Run([&](size_t) { BurnOperations(compute, kernels::ActiveIsa()); });
  };
  const double seconds = Fastest(200, team->size(), {burst})[0];
  return 1e-9 * operations * static_cast<double>(team->size()) / seconds;
}

std::string Lower(std::string_view name) {
  std::string lower(name);
  for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return lower;
}

const char* ComputeName(ComputeType compute) {
  switch (compute) {
    case ComputeType::kF32:
      return "f32";
    case ComputeType::kBF16:
      return "bf16";
    case ComputeType::kI8:
      return "int8";
  }
  return "unknown";
}

bool Runs(ComputeType compute, BlockFormat format) {
  return kernels::SupportedCompute(compute, format, kernels::ActiveIsa()) == compute;
}

// The same random tile over and over: values do not matter, memory does.
PackedMatrix RandomMatrix(BlockFormat format, size_t outputs, size_t columns) {
  std::mt19937 rng(1);
  const std::vector<uint8_t> blocks =
      cairn::testing::RandomBlocks(format, kernels::kTileRows * columns, rng);
  PackedMatrix matrix(format, outputs, columns);
  for (size_t row = 0; row < outputs; row += kernels::kTileRows) {
    matrix.PackRows(row, std::min(kernels::kTileRows, outputs - row), blocks.data());
  }
  return matrix;
}

void FillRows(size_t rows, size_t columns, ComputeType compute, Activations* activations) {
  std::mt19937 rng(2);
  std::normal_distribution<float> normal;
  std::vector<float> row(columns);
  activations->Reset(rows, columns, compute);
  for (size_t r = 0; r < rows; ++r) {
    for (float& v : row) v = normal(rng);
    activations->EncodeRow(r, row.data());
  }
}

// One product on a team, its tiles given out in pieces.
class TeamProduct {
 public:
  TeamProduct(ThreadTeam* team, const PackedMatrix* weights, const Activations* activations)
      : team_(team),
        weights_(weights),
        activations_(activations),
        scratch_(team->size()),
        out_(activations->rows() * weights->rows()) {}

  void Run() {
    const size_t tiles = weights_->tiles();
    const size_t piece_tiles = std::max<size_t>(2, tiles / 64 / 2 * 2);
    const size_t pieces = (tiles + piece_tiles - 1) / piece_tiles;
    team_->Run([&](size_t member) {
      for (size_t piece; (piece = team_->Take(member, pieces)) < pieces;) {
        const size_t begin = piece * piece_tiles;
        kernels::MatMul(*weights_, begin, std::min(tiles, begin + piece_tiles), *activations_,
                        out_.data(), weights_->rows(), false, &scratch_[member]);
      }
    });
  }

 private:
  ThreadTeam* team_;
  const PackedMatrix* weights_;
  const Activations* activations_;
  std::vector<MatmulScratch> scratch_;
  std::vector<float> out_;
};

struct PrefillShape {
  size_t rows, columns, outputs;
};

struct Arithmetic {
  ComputeType compute;
  std::vector<BlockFormat> formats;
};

// All formats of one arithmetic by one shape, with the peak beside them, then oneDNN.
void Prefill(const PrefillShape& shape, const Arithmetic& arithmetic, ThreadTeam* team, int rounds,
             Report* report) {
  const ComputeType compute = arithmetic.compute;
  const std::string at = std::to_string(shape.rows) + "x" + std::to_string(shape.columns) + "x" +
                         std::to_string(shape.outputs) + "." + ComputeName(compute) + ".threads" +
                         std::to_string(team->size());
  Activations activations;
  FillRows(shape.rows, shape.columns, compute, &activations);
  std::vector<PackedMatrix> matrices;
  std::vector<std::unique_ptr<TeamProduct>> products;
  std::vector<std::string> names;
  for (BlockFormat format : arithmetic.formats) {
    if (!Runs(compute, format)) continue;
    matrices.push_back(RandomMatrix(format, shape.outputs, shape.columns));
    names.push_back(Lower(BlockFormatName(format)));
  }
  std::vector<std::function<void()>> runs;
  for (const PackedMatrix& matrix : matrices) {
    products.push_back(std::make_unique<TeamProduct>(team, &matrix, &activations));
    runs.push_back([product = products.back().get()] { product->Run(); });
  }
  const std::vector<double> seconds = Fastest(rounds, team->size(), runs);
  const double operations = 2e-9 * static_cast<double>(shape.rows * shape.columns * shape.outputs);
  const double peak = PeakRate(compute, team);
  double onednn = 0;
  if (OneDnnMatMul::Available()) {
    OneDnnMatMul product(compute, shape.rows, shape.outputs, shape.columns);
    onednn = operations / Fastest(rounds, team->size(), {[&] { product.Run(team->size()); }})[0];
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // Its threads stop spinning.
    report->Add("prefill." + at + ".onednn.gflops", onednn);
  }
  if (peak > 0) report->Add("prefill." + at + ".peak.gflops", peak);
  for (size_t i = 0; i < names.size(); ++i) {
    const double rate = operations / seconds[i];
    report->Add("prefill." + at + "." + names[i] + ".gflops", rate);
    if (peak > 0) report->Ratio("prefill." + at + "." + names[i] + ".of_peak", rate / peak);
    if (onednn > 0) report->Ratio("prefill." + at + "." + names[i] + ".of_onednn", rate / onednn);
  }
}

void AllPrefills(int rounds, Report* report) {
  const Arithmetic arithmetics[] = {
      {ComputeType::kF32, {BlockFormat::kF16, BlockFormat::kQ4_K}},
      {ComputeType::kBF16, {BlockFormat::kF16, BlockFormat::kBF16, BlockFormat::kQ4_K}},
      {ComputeType::kI8,
       {BlockFormat::kQ8_0, BlockFormat::kQ4_0, BlockFormat::kQ4_K, BlockFormat::kQ6_K}}};
  for (size_t threads : kTeams) {
    ThreadTeam team(threads);
    for (const PrefillShape& shape : {PrefillShape{512, 896, 4864}, PrefillShape{512, 4864, 896},
                                      PrefillShape{512, 2048, 8192}}) {
      for (const Arithmetic& arithmetic : arithmetics) {
        Prefill(shape, arithmetic, &team, rounds, report);
      }
    }
  }
}

// Several times the last-level cache.
constexpr size_t kVectorBytes = size_t{128} << 20;

void AllVectors(int rounds, Report* report) {
  constexpr size_t kColumns = 2048;
  for (size_t f = 0; f < kernels::kBlockFormats; ++f) {
    const auto format = static_cast<BlockFormat>(f);
    const size_t tiles = kVectorBytes / kernels::TileBytes(format, kColumns);
    const PackedMatrix matrix = RandomMatrix(format, tiles * kernels::kTileRows, kColumns);
    for (ComputeType compute : {ComputeType::kF32, ComputeType::kI8}) {
      if (!Runs(compute, format)) continue;
      Activations activations;
      FillRows(1, kColumns, compute, &activations);
      for (size_t threads : kTeams) {
        ThreadTeam team(threads);
        TeamProduct product(&team, &matrix, &activations);
        const std::vector<double> seconds = Fastest(
            rounds, threads,
            {[&] { ReadAll(matrix.tile(0), matrix.bytes(), &team); }, [&] { product.Run(); }});
        const double gigabytes = 1e-9 * static_cast<double>(matrix.bytes());
        const std::string name = "vectors." + Lower(BlockFormatName(format)) + "." +
                                 ComputeName(compute) + ".threads" + std::to_string(threads);
        report->Add(name + ".read_gbps", gigabytes / seconds[0]);
        report->Add(name + ".gbps", gigabytes / seconds[1]);
        report->Ratio(name + ".of_read", seconds[0] / seconds[1]);
      }
    }
  }
}

constexpr size_t kHeads = 14, kKvHeads = 2, kHeadDim = 64, kGroup = kHeads / kKvHeads;

// The tiles of many layers' caches, for every head of keys and values.
class Caches {
 public:
  Caches(KvType type, size_t tokens, size_t layers)
      : type_(type),
        tokens_(tokens),
        tiles_((tokens + kernels::kKvTileTokens - 1) / kernels::kKvTileTokens) {
    const size_t tile_bytes = kernels::KvTileBytes(type, kHeadDim);
    memory_.resize(layers * kKvHeads * tiles_ * tile_bytes);
    std::memset(memory_.data(), 0, memory_.size());
    std::mt19937 rng(3);
    std::normal_distribution<float> normal;
    std::vector<float> key(kHeadDim), value(kHeadDim);
    for (float& v : key) v = normal(rng);
    for (float& v : value) v = normal(rng);
    for (size_t t = 0; t < layers * kKvHeads * tiles_; ++t) {
      std::byte* tile = memory_.data() + t * tile_bytes;
      addresses_.push_back(tile);
      for (size_t token = 0; token < kernels::kKvTileTokens; ++token) {
        kernels::StoreKv(type, tile, kHeadDim, token, key.data(), value.data());
      }
    }
  }
  KvType type() const { return type_; }
  size_t tokens() const { return tokens_; }
  size_t tiles() const { return tiles_; }
  const std::byte* data() const { return memory_.data(); }
  size_t bytes() const { return memory_.size(); }
  // Of one head; `head` counts through all layers.
  const std::byte* const* Tiles(size_t head) const { return &addresses_[head * tiles_]; }
  size_t heads() const { return addresses_.size() / tiles_; }

 private:
  KvType type_;
  size_t tokens_, tiles_;
  kernels::AlignedVector<std::byte> memory_;
  std::vector<const std::byte*> addresses_;
};

std::vector<float> Queries() {
  std::mt19937 rng(4);
  std::normal_distribution<float> normal;
  std::vector<float> queries(kernels::kAttentionRows * kHeadDim);
  for (float& v : queries) v = normal(rng);
  return queries;
}

// One token of every layer: its heads in quarters of the context.
void Decode(const Caches& caches, const std::vector<float>& queries,
            std::vector<AttentionRows>* rows, ThreadTeam* team) {
  constexpr size_t kParts = 4;
  team->Run([&](size_t member) {
    AttentionRows& mine = (*rows)[member];
    float out[kHeadDim];
    const size_t pieces = caches.heads() * kParts;
    for (size_t piece; (piece = team->Take(member, pieces)) < pieces;) {
      mine.Begin(caches.type(), kHeadDim, kGroup);
      for (size_t r = 0; r < kGroup; ++r) {
        mine.SetRow(r, &queries[r * kHeadDim], 0, static_cast<uint32_t>(caches.tokens()));
      }
      const kernels::Share share = kernels::ShareOf(caches.tiles(), 1, piece % kParts, kParts);
      mine.Attend(caches.Tiles(piece / kParts), 0, share.begin, share.end);
      for (size_t r = 0; r < kGroup; ++r) mine.FinishPartial(r, out);
    }
  });
}

// Every token of a prompt sees those before it; rows are the tokens' heads, in the tokens' order.
void Causal(const Caches& caches, const std::vector<float>& queries,
            std::vector<AttentionRows>* rows, ThreadTeam* team) {
  const size_t count = caches.tokens() * kGroup;  // Rows of each head of keys.
  const size_t pieces = (count + kernels::kAttentionRows - 1) / kernels::kAttentionRows;
  team->Run([&](size_t member) {
    AttentionRows& mine = (*rows)[member];
    float out[kHeadDim];
    for (size_t piece; (piece = team->Take(member, pieces * kKvHeads)) < pieces * kKvHeads;) {
      // The longest come first, so that no thread is left alone with one.
      const size_t first = (pieces - 1 - piece / kKvHeads) * kernels::kAttentionRows;
      const size_t n = std::min(kernels::kAttentionRows, count - first);
      mine.Begin(caches.type(), kHeadDim, n);
      for (size_t r = 0; r < n; ++r) {
        const auto limit = static_cast<uint32_t>((first + r) / kGroup + 1);
        mine.SetRow(r, &queries[r * kHeadDim], 0, limit);
      }
      const size_t last = (first + n - 1) / kGroup;
      mine.Attend(caches.Tiles(piece % kKvHeads), 0, 0, last / kernels::kKvTileTokens + 1);
      for (size_t r = 0; r < n; ++r) mine.Finish(r, out);
    }
  });
}

// The arithmetic that attention uses for the type.
ComputeType AttentionCompute(KvType type) {
  const bool narrow = type == KvType::kBF16 || type == KvType::kI8;
  return narrow && Runs(ComputeType::kBF16, BlockFormat::kBF16) ? ComputeType::kBF16
                                                                : ComputeType::kF32;
}

void Attention(KvType type, ThreadTeam* team, int rounds, Report* report) {
  const std::vector<float> queries = Queries();
  std::vector<AttentionRows> rows(team->size());
  const std::string suffix =
      "." + std::string(KvTypeName(type)) + ".threads" + std::to_string(team->size());
  {
    const size_t layer_bytes =
        kKvHeads * 16384 / kernels::kKvTileTokens * kernels::KvTileBytes(type, kHeadDim);
    const Caches caches(type, 16384, kVectorBytes / layer_bytes);
    const std::vector<double> seconds =
        Fastest(rounds, team->size(),
                {[&] { ReadAll(caches.data(), caches.bytes(), team); },
                 [&] { Decode(caches, queries, &rows, team); }});
    const std::string name = "attention.decode16384" + suffix;
    report->Add(name + ".gbps", 1e-9 * static_cast<double>(caches.bytes()) / seconds[1]);
    report->Ratio(name + ".of_read", seconds[0] / seconds[1]);
  }
  for (size_t tokens : {512, 3072}) {
    const Caches caches(type, tokens, 1);
    const ComputeType compute = AttentionCompute(type);
    const double seconds =
        Fastest(rounds, team->size(), {[&] { Causal(caches, queries, &rows, team); }})[0];
    const double products =
        4.0 * kHeadDim * kHeads * static_cast<double>(tokens) * static_cast<double>(tokens + 1) / 2;
    const double rate = 1e-9 * products / seconds;
    const std::string name = "attention.causal" + std::to_string(tokens) + suffix;
    report->Add(name + ".gflops", rate);
    const double peak = PeakRate(compute, team);
    if (peak > 0) report->Ratio(name + ".of_peak", rate / peak);
  }
}

void AllAttention(int rounds, Report* report) {
  for (size_t threads : kTeams) {
    ThreadTeam team(threads);
    for (KvType type : {KvType::kF32, KvType::kF16, KvType::kBF16, KvType::kI8}) {
      Attention(type, &team, rounds, report);
    }
  }
}

int Main(int argc, char** argv) {
  int rounds = 7;
  std::vector<std::string> parts;
  for (int i = 1; i < argc; ++i) {
    if (std::strncmp(argv[i], "--rounds=", 9) == 0) {
      rounds = std::max(1, std::atoi(argv[i] + 9));
    } else {
      parts.emplace_back(argv[i]);
    }
  }
  const std::pair<const char*, void (*)(int, Report*)> all[] = {
      {"prefill", AllPrefills}, {"vectors", AllVectors}, {"attention", AllAttention}};
  for (const std::string& part : parts) {
    if (std::none_of(std::begin(all), std::end(all),
                     [&](const auto& known) { return part == known.first; })) {
      std::fprintf(stderr, "usage: %s [--rounds=N] [prefill] [vectors] [attention]\n", argv[0]);
      return 2;
    }
  }
  Report report;
  for (const auto& [name, run] : all) {
    if (parts.empty() || std::find(parts.begin(), parts.end(), name) != parts.end()) {
      run(rounds, &report);
    }
  }
  report.Finish();
  return 0;
}

}  // namespace
}  // namespace cairn::bench

int main(int argc, char** argv) { return cairn::bench::Main(argc, argv); }
