// The in-memory index parts: lexical search with and without pruning, vector scans.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "absl/status/status.h"
#include "index/lexical_tail.h"
#include "index/slot_set.h"
#include "index/vector_tail.h"
#include "tests/support/clustered_vectors.h"
#include "tests/support/zipf_collection.h"

namespace cairn {
namespace {

using index::LexicalQuery;
using index::LexicalTail;
using index::Slot;
using index::SlotSet;
using index::TermId;
using index::VectorEncoding;
using index::VectorTail;

constexpr size_t kTerms = 300'000;
constexpr size_t kQueries = 256;

struct LexicalSetup {
  LexicalTail tail;
  SlotSet all;
};

// Chunks of 20 to 140 words, built once per size.
const LexicalSetup& GetLexical(size_t slots) {
  static auto* const kSetups = new std::map<size_t, std::unique_ptr<LexicalSetup>>;
  std::unique_ptr<LexicalSetup>& setup = (*kSetups)[slots];
  if (setup == nullptr) {
    setup = std::make_unique<LexicalSetup>();
    const testing::ZipfTerms zipf(kTerms, 1.0);
    std::mt19937 rng(1);
    for (size_t i = 0; i < slots; ++i) {
      const size_t length = 20 + rng() % 121;
      setup->tail.Append(static_cast<uint32_t>(length), zipf.Chunk(length, 0.3, rng));
    }
    setup->all.Resize(slots, true);
  }
  return *setup;
}

// Terms whose ranks are spread evenly on a logarithmic scale, without the 20 most frequent, which
// an analyser drops.
std::vector<LexicalQuery> MakeQueries(const LexicalTail& tail, size_t terms) {
  std::mt19937 rng(2);
  std::uniform_real_distribution<double> rank(std::log(20.0), std::log(50'000.0));
  std::vector<LexicalQuery> queries;
  while (queries.size() < kQueries) {
    std::vector<TermId> picked;
    while (picked.size() < terms) {
      const TermId term = static_cast<TermId>(std::exp(rank(rng)));
      if (std::find(picked.begin(), picked.end(), term) == picked.end()) picked.push_back(term);
    }
    queries.push_back(testing::MakeQuery(tail, picked));
  }
  return queries;
}

void BM_Lexical(benchmark::State& state, bool pruned) {
  const LexicalSetup& setup = GetLexical(state.range(0));
  const std::vector<LexicalQuery> queries = MakeQueries(setup.tail, state.range(1));
  const size_t k = state.range(2);
  uint64_t scored = 0;
  uint64_t skipped = 0;
  size_t i = 0;
  for (auto _ : state) {
    const LexicalQuery& query = queries[i++ % kQueries];
    if (pruned) {
      index::LexicalSearchStats stats;
      benchmark::DoNotOptimize(setup.tail.Search(query, k, setup.all, &stats));
      scored += stats.postings_scored;
      skipped += stats.blocks_skipped;
    } else {
      benchmark::DoNotOptimize(setup.tail.SearchExhaustively(query, k, setup.all));
    }
  }
  if (pruned) {
    state.counters["scored"] = static_cast<double>(scored) / state.iterations();
    state.counters["skipped"] = static_cast<double>(skipped) / state.iterations();
  }
}

void LexicalArguments(benchmark::internal::Benchmark* b) {
  b->ArgNames({"slots", "terms", "k"})->Unit(benchmark::kMicrosecond);
  for (int slots : {100'000, 1'000'000}) {
    for (int terms : {1, 2, 3, 4, 8}) b->Args({slots, terms, 10});
    b->Args({slots, 4, 1000});
  }
}
BENCHMARK_CAPTURE(BM_Lexical, pruned, true)->Apply(LexicalArguments);
BENCHMARK_CAPTURE(BM_Lexical, exhaustive, false)->Apply(LexicalArguments);

void BM_LexicalAppend(benchmark::State& state) {
  const testing::ZipfTerms zipf(kTerms, 1.0);
  std::mt19937 rng(3);
  std::vector<std::vector<index::TermCount>> chunks(20'000);
  size_t postings = 0;
  for (auto& chunk : chunks) {
    chunk = zipf.Chunk(150, 0.3, rng);
    postings += chunk.size();
  }
  size_t bytes = 0;
  for (auto _ : state) {
    LexicalTail tail;
    for (const auto& chunk : chunks) tail.Append(150, chunk);
    bytes = tail.MemoryBytes();
  }
  state.SetItemsProcessed(state.iterations() * postings);
  state.counters["bytes_per_posting"] = static_cast<double>(bytes) / postings;
}
BENCHMARK(BM_LexicalAppend)->Unit(benchmark::kMillisecond);

void BM_Vector(benchmark::State& state, VectorEncoding encoding) {
  constexpr size_t kDim = 256;
  const size_t slots = state.range(0);
  const testing::ClusteredVectors vectors(slots, kDim, 4);
  VectorTail tail(kDim, encoding);
  for (size_t i = 0; i < slots; ++i) {
    if (!tail.Append(vectors.row(i)).ok()) return state.SkipWithError("vector refused");
  }
  const SlotSet all(slots, true);
  uint64_t rescored = 0;
  const auto exact = [&](absl::Span<const Slot> wanted, absl::Span<float> out) {
    rescored += wanted.size();
    for (size_t i = 0; i < wanted.size(); ++i) {
      std::memcpy(&out[i * kDim], vectors.row(wanted[i]).data(), kDim * sizeof(float));
    }
    return absl::OkStatus();
  };
  std::mt19937 rng(5);
  std::vector<std::vector<float>> queries;
  for (size_t i = 0; i < kQueries; ++i) queries.push_back(vectors.Near(rng() % slots, rng));
  size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(tail.Search(queries[i++ % kQueries], state.range(1), all, exact));
  }
  state.counters["rescored"] = static_cast<double>(rescored) / state.iterations();
  state.counters["bytes_per_slot"] = static_cast<double>(tail.MemoryBytes()) / slots;
}

void VectorArguments(benchmark::internal::Benchmark* b) {
  b->ArgNames({"slots", "k"})->Unit(benchmark::kMicrosecond);
  for (int slots : {10'000, 100'000}) b->Args({slots, 10});
  b->Args({10'000, 1000});
}
BENCHMARK_CAPTURE(BM_Vector, float32, VectorEncoding::kFloat32)->Apply(VectorArguments);
BENCHMARK_CAPTURE(BM_Vector, bfloat16, VectorEncoding::kBfloat16)->Apply(VectorArguments);
BENCHMARK_CAPTURE(BM_Vector, int8, VectorEncoding::kInt8)->Apply(VectorArguments);

}  // namespace
}  // namespace cairn

BENCHMARK_MAIN();
