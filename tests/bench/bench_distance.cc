// Distance kernels of every instruction set of this machine: dot products on L1-resident data
// against the measured limit of L1 loads, and scans over matrices of 10,000 rows.
//
// The last line of standard output is "l1_ratio R": the time of dot_f32 over 384 floats, called
// through its function pointer, divided by the time that loading the same bytes alone takes.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "benchmark/benchmark.h"
#include "kernels/distance.h"

namespace cairn::kernels {
namespace {

constexpr size_t kDim = 384;
constexpr size_t kL1Rows = 16;  // With the query 25.5 KiB: any L1 cache holds them.
constexpr size_t kScanRows = 10000;
constexpr size_t kScanDim = 256;
constexpr size_t kLine = 64;

// An array that starts on a cache line plus `offset` bytes.
template <typename T>
class AlignedArray {
 public:
  explicit AlignedArray(size_t n, size_t offset = 0) : bytes_(n * sizeof(T) + 2 * kLine) {
    const size_t skew = reinterpret_cast<uintptr_t>(bytes_.data()) % kLine;
    data_ = reinterpret_cast<T*>(bytes_.data() + (kLine - skew) + offset);
  }
  T* data() { return data_; }
  const T* data() const { return data_; }

 private:
  std::vector<std::byte> bytes_;
  T* data_;
};

// A query and rows [kL1Rows][kDim] that together stay in L1.
struct L1Data {
  explicit L1Data(size_t offset = 0) : query(kDim, offset), rows(kL1Rows * kDim, offset) {
    std::mt19937 rng(1);
    std::uniform_real_distribution<float> value(-1, 1);
    std::generate_n(query.data(), kDim, [&] { return value(rng); });
    std::generate_n(rows.data(), kL1Rows * kDim, [&] { return value(rng); });
  }
  AlignedArray<float> query, rows;
};

using DotF32 = decltype(DistanceKernels::dot_f32);

void DotAll(DotF32 dot, const L1Data& data) {
  for (size_t r = 0; r < kL1Rows; ++r) {
    benchmark::DoNotOptimize(dot(data.query.data(), data.rows.data() + r * kDim, kDim));
  }
}

#if defined(__x86_64__)
// Loads both arrays of each dot product, as the widest registers allow, and does nothing else: no
// call, no loop within an array.
static_assert(kDim * sizeof(float) == 24 * 64);
void LoadAll(bool avx512, const L1Data& data) {
  for (size_t r = 0; r < kL1Rows; ++r) {
    const float* a = data.query.data();
    const float* b = data.rows.data() + r * kDim;
    if (avx512) {
      asm volatile(
          ".irp line,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23\n\t"
          "vmovups 64*\\line(%0), %%zmm0\n\tvmovups 64*\\line(%1), %%zmm1\n\t"
          ".endr" ::"r"(a),
          "r"(b)
          : "xmm0", "xmm1", "memory");
    } else {
      asm volatile(
          ".irp line,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23\n\t"
          "vmovups 64*\\line(%0), %%ymm0\n\tvmovups 64*\\line(%1), %%ymm1\n\t"
          "vmovups 64*\\line+32(%0), %%ymm2\n\tvmovups 64*\\line+32(%1), %%ymm3\n\t"
          ".endr" ::"r"(a),
          "r"(b)
          : "xmm0", "xmm1", "xmm2", "xmm3", "memory");
    }
  }
  asm volatile("vzeroupper" ::: "xmm0", "xmm1", "xmm2", "xmm3");
}
#endif

// Nanoseconds of one call, averaged over a batch of about 0.1 ms.
template <typename Function>
double TimeBatch(const Function& function) {
  constexpr int kCalls = 500;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < kCalls; ++i) function();
  const std::chrono::duration<double, std::nano> elapsed = std::chrono::steady_clock::now() - start;
  return elapsed.count() / kCalls;
}

// The time of dot products over that of the loads alone: the median over alternating batches, which
// see the same clock frequency and the same neighbours. NaN where the loads have no measurement.
double L1Ratio([[maybe_unused]] DotF32 dot) {
#if defined(__x86_64__)
  const Isa widest = SupportedIsas().back();
  if (widest != Isa::kScalar) {
    const L1Data data;
    std::vector<double> ratios(1001);
    for (double& ratio : ratios) {
      const double load = TimeBatch([&] { LoadAll(widest == Isa::kAvx512, data); });
      ratio = TimeBatch([&] { DotAll(dot, data); }) / load;
    }
    std::nth_element(ratios.begin(), ratios.begin() + ratios.size() / 2, ratios.end());
    return ratios[ratios.size() / 2];
  }
#endif
  return std::numeric_limits<double>::quiet_NaN();
}

#if defined(__x86_64__)
void BenchLoads(benchmark::State& state, size_t offset) {
  const L1Data data(offset);
  const bool avx512 = SupportedIsas().back() == Isa::kAvx512;
  for (auto _ : state) LoadAll(avx512, data);
  state.SetItemsProcessed(state.iterations() * kL1Rows);
  state.SetBytesProcessed(state.iterations() * kL1Rows * 2 * kDim * sizeof(float));
}
#endif

// `offset`: bytes by which the arrays miss a cache line's start.
void BenchDotF32(benchmark::State& state, Isa isa, size_t offset) {
  const DotF32 dot = GetDistanceKernels(isa).dot_f32;
  const L1Data data(offset);
  for (auto _ : state) DotAll(dot, data);
  state.SetItemsProcessed(state.iterations() * kL1Rows);
  state.SetBytesProcessed(state.iterations() * kL1Rows * 2 * kDim * sizeof(float));
  if (offset == 0) state.counters["l1_ratio"] = L1Ratio(dot);
}

// GB/s of row data; the query stays in L1.
template <typename Value, typename Score>
void BenchScan(benchmark::State& state,
               void (*scan)(const Value*, const Value*, size_t, size_t, Score*)) {
  AlignedArray<Value> query(kScanDim), rows(kScanRows * kScanDim);
  std::vector<Score> scores(kScanRows);
  std::mt19937 rng(1);
  // Small non-negative integers are valid bit patterns of every encoding.
  const auto value = [&] { return static_cast<Value>(rng() % 100); };
  std::generate_n(query.data(), kScanDim, value);
  std::generate_n(rows.data(), kScanRows * kScanDim, value);
  for (auto _ : state) {
    scan(query.data(), rows.data(), kScanRows, kScanDim, scores.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * kScanRows);
  state.SetBytesProcessed(state.iterations() * kScanRows * kScanDim * sizeof(Value));
}

void Register() {
#if defined(__x86_64__)
  if (SupportedIsas().back() != Isa::kScalar) {
    benchmark::RegisterBenchmark("l1_loads/384", BenchLoads, size_t{0});
    benchmark::RegisterBenchmark("l1_loads/384/unaligned", BenchLoads, size_t{4});
  }
#endif
  for (Isa isa : SupportedIsas()) {
    const std::string suffix(IsaName(isa));
    const DistanceKernels& kernels = GetDistanceKernels(isa);
    const auto add = [&](const std::string& name, auto... arguments) {
      benchmark::RegisterBenchmark((name + suffix).c_str(), arguments...);
    };
    add("dot_f32/384/", BenchDotF32, isa, size_t{0});
    add("dot_f32/384/unaligned/", BenchDotF32, isa, size_t{4});
    add("scan_f32/10000x256/", BenchScan<float, float>, kernels.scan_f32);
    add("scan_bf16/10000x256/", BenchScan<bf16, float>, kernels.scan_bf16);
    add("scan_i8/10000x256/", BenchScan<int8_t, int32_t>, kernels.scan_i8);
  }
}

}  // namespace
}  // namespace cairn::kernels

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  cairn::kernels::Register();
  benchmark::RunSpecifiedBenchmarks();
  const double ratio = cairn::kernels::L1Ratio(cairn::kernels::GetDistanceKernels().dot_f32);
  std::printf("l1_ratio %.3f\n", ratio);
  return 0;
}
