#include "kernels/distance.h"

#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace cairn::kernels {
namespace {

// Values that end exactly where an unreadable page begins, so that a read past the end faults; the
// start is then as unaligned as the size makes it.
template <typename T>
class GuardedArray {
 public:
  explicit GuardedArray(size_t n) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t data_bytes = (n * sizeof(T) + page - 1) / page * page;
    bytes_ = data_bytes + page;
    void* base = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) std::abort();
    base_ = static_cast<char*>(base);
    if (mprotect(base_ + data_bytes, page, PROT_NONE) != 0) std::abort();
    data_ = reinterpret_cast<T*>(base_ + data_bytes) - n;
  }
  explicit GuardedArray(const std::vector<T>& values) : GuardedArray(values.size()) {
    if (!values.empty()) std::memcpy(data_, values.data(), values.size() * sizeof(T));
  }
  ~GuardedArray() { munmap(base_, bytes_); }
  GuardedArray(const GuardedArray&) = delete;
  GuardedArray& operator=(const GuardedArray&) = delete;

  T* data() { return data_; }
  const T* data() const { return data_; }

 private:
  char* base_ = nullptr;
  T* data_ = nullptr;
  size_t bytes_ = 0;
};

double Value(float v) { return v; }
double Value(bf16 v) { return std::bit_cast<float>(uint32_t{v} << 16); }

// The exact sum (nearly: in double) and the sum of magnitudes, to which rounding errors relate.
struct Reference {
  double dot = 0;
  double magnitude = 0;
};

template <typename T>
Reference ReferenceDot(const T* a, const T* b, size_t n) {
  Reference result;
  for (size_t i = 0; i < n; ++i) {
    const double product = Value(a[i]) * Value(b[i]);
    result.dot += product;
    result.magnitude += std::fabs(product);
  }
  return result;
}

int32_t ReferenceDot(const int8_t* a, const int8_t* b, size_t n) {
  int64_t sum = 0;
  for (size_t i = 0; i < n; ++i) sum += int64_t{a[i]} * b[i];
  return static_cast<int32_t>(sum);
}

// Every order of n additions in float stays within n * 2^-24 of the magnitude, to first order.
void ExpectClose(float actual, const Reference& expected, size_t n, const std::string& what) {
  const double tolerance = expected.magnitude * (static_cast<double>(n) + 2) * 0x1p-24;
  ASSERT_NEAR(actual, expected.dot, tolerance) << what;
}

std::vector<size_t> Sizes() {
  std::vector<size_t> sizes;
  for (size_t n = 0; n <= 130; ++n) sizes.push_back(n);
  for (size_t n : {191, 255, 256, 257, 383, 384, 385, 511, 767, 768, 1023, 1025, 4097, 10007}) {
    sizes.push_back(n);
  }
  return sizes;
}

class DistanceTest : public ::testing::TestWithParam<Isa> {
 protected:
  std::vector<float> RandomF32(size_t n) {
    std::normal_distribution<float> value;
    std::vector<float> result(n);
    for (float& v : result) v = value(rng_);
    return result;
  }
  std::vector<bf16> RandomBf16(size_t n) {
    const std::vector<float> values = RandomF32(n);
    std::vector<bf16> result(n);
    EncodeBf16(values.data(), n, result.data());
    return result;
  }
  std::vector<int8_t> RandomI8(size_t n) {
    std::vector<int8_t> result(n);
    for (int8_t& v : result) v = static_cast<int8_t>(static_cast<int>(rng_() % 255) - 127);
    return result;
  }

  const DistanceKernels& kernels_ = GetDistanceKernels(GetParam());
  std::mt19937 rng_{4};
};

TEST_P(DistanceTest, DotF32AgreesWithDoubleAtEverySizeUpToAGuardPage) {
  for (size_t n : Sizes()) {
    const GuardedArray<float> a(RandomF32(n)), b(RandomF32(n));
    ExpectClose(kernels_.dot_f32(a.data(), b.data(), n), ReferenceDot(a.data(), b.data(), n), n,
                "n " + std::to_string(n));
  }
}

TEST_P(DistanceTest, DotBf16AgreesWithDoubleAtEverySizeUpToAGuardPage) {
  for (size_t n : Sizes()) {
    const GuardedArray<bf16> a(RandomBf16(n)), b(RandomBf16(n));
    ExpectClose(kernels_.dot_bf16(a.data(), b.data(), n), ReferenceDot(a.data(), b.data(), n), n,
                "n " + std::to_string(n));
  }
}

TEST_P(DistanceTest, DotI8IsExactAtEverySizeUpToAGuardPage) {
  for (size_t n : Sizes()) {
    const GuardedArray<int8_t> a(RandomI8(n)), b(RandomI8(n));
    ASSERT_EQ(kernels_.dot_i8(a.data(), b.data(), n), ReferenceDot(a.data(), b.data(), n))
        << "n " << n;
  }
}

TEST_P(DistanceTest, DotsReadNothingBeforeOrBehindUnalignedBuffersOfExactSize) {
  // Under AddressSanitizer the vectors end in red zones; elsewhere the offsets vary the alignment.
  for (size_t n : {1, 7, 15, 17, 31, 33, 63, 65, 129, 387}) {
    for (size_t offset = 0; offset < 5; ++offset) {
      const std::vector<float> a = RandomF32(n + offset), b = RandomF32(n);
      ExpectClose(kernels_.dot_f32(a.data() + offset, b.data(), n),
                  ReferenceDot(a.data() + offset, b.data(), n), n, "f32");
      const std::vector<bf16> c = RandomBf16(n + offset), d = RandomBf16(n);
      ExpectClose(kernels_.dot_bf16(c.data() + offset, d.data(), n),
                  ReferenceDot(c.data() + offset, d.data(), n), n, "bf16");
      const std::vector<int8_t> e = RandomI8(n + offset), f = RandomI8(n);
      ASSERT_EQ(kernels_.dot_i8(e.data() + offset, f.data(), n),
                ReferenceDot(e.data() + offset, f.data(), n));
    }
  }
}

TEST_P(DistanceTest, NoValuesDotToZeroEvenThroughNull) {
  EXPECT_EQ(kernels_.dot_f32(nullptr, nullptr, 0), 0.0f);
  EXPECT_EQ(kernels_.dot_bf16(nullptr, nullptr, 0), 0.0f);
  EXPECT_EQ(kernels_.dot_i8(nullptr, nullptr, 0), 0);
}

TEST_P(DistanceTest, DotI8IsExactAtTheExtremes) {
  for (size_t n : {1, 2, 16, 63, 64, 65, 127, 128, 1000, 131071}) {
    for (int a : {-127, 127}) {
      for (int b : {-127, 127}) {
        const std::vector<int8_t> x(n, static_cast<int8_t>(a)), y(n, static_cast<int8_t>(b));
        ASSERT_EQ(kernels_.dot_i8(x.data(), y.data(), n), static_cast<int32_t>(n) * a * b)
            << n << " x " << a << " x " << b;
        int32_t score = 0;
        kernels_.scan_i8(x.data(), y.data(), 1, n, &score);
        ASSERT_EQ(score, static_cast<int32_t>(n) * a * b) << n << " x " << a << " x " << b;
      }
    }
  }
}

TEST_P(DistanceTest, DotF32KeepsDenormals) {
  const float least = std::numeric_limits<float>::denorm_min();
  const std::vector<float> tiny(37, least), one(37, 1.0f), large(37, 0x1p127f);
  EXPECT_EQ(kernels_.dot_f32(tiny.data(), one.data(), 37), 37 * least);
  EXPECT_EQ(kernels_.dot_f32(tiny.data(), large.data(), 37), 37 * 0x1p-22f);
}

TEST_P(DistanceTest, DotBf16TakesDenormalsAsThemselvesOrZero) {
  const std::vector<bf16> tiny(37, 1), one(37, 0x3f80);
  const float sum = kernels_.dot_bf16(tiny.data(), one.data(), 37);
  EXPECT_GE(sum, 0.0f);
  EXPECT_LE(sum, 37 * 0x1p-133f);
}

TEST_P(DistanceTest, DotsOfLargeValuesDoNotOverflowEarly) {
  const std::vector<float> large(100, 0x1p60f);
  EXPECT_EQ(kernels_.dot_f32(large.data(), large.data(), 100), 100 * 0x1p120f);
  std::vector<bf16> codes(100);
  EncodeBf16(large.data(), 100, codes.data());
  EXPECT_EQ(kernels_.dot_bf16(codes.data(), codes.data(), 100), 100 * 0x1p120f);
}

// Scans every count around the group size at odd and even dimensions, rows up to a guard page.
template <typename T, typename Score, typename Scan, typename Random, typename Check>
void CheckScans(Scan scan, const Random& random, const Check& check) {
  for (size_t dim : {0, 1, 3, 15, 16, 17, 31, 33, 64, 65, 100, 256, 384, 387}) {
    for (size_t count : {0, 1, 2, 3, 4, 5, 7, 8, 9, 21}) {
      const GuardedArray<T> query(random(dim)), rows(random(dim * count));
      GuardedArray<Score> out(count);
      scan(query.data(), rows.data(), count, dim, out.data());
      for (size_t r = 0; r < count; ++r) {
        check(out.data()[r], query.data(), rows.data() + r * dim, dim);
        if (::testing::Test::HasFatalFailure()) return;
        // A row's score is the same wherever it lies.
        Score alone{};
        scan(query.data(), rows.data() + r * dim, 1, dim, &alone);
        ASSERT_EQ(out.data()[r], alone) << "row " << r << " of " << count << ", dim " << dim;
      }
    }
  }
}

TEST_P(DistanceTest, ScanF32ScoresEveryRow) {
  CheckScans<float, float>(
      kernels_.scan_f32, [&](size_t n) { return RandomF32(n); },
      [](float score, const float* a, const float* b, size_t n) {
        ExpectClose(score, ReferenceDot(a, b, n), n, "dim " + std::to_string(n));
      });
}

TEST_P(DistanceTest, ScanBf16ScoresEveryRow) {
  CheckScans<bf16, float>(
      kernels_.scan_bf16, [&](size_t n) { return RandomBf16(n); },
      [](float score, const bf16* a, const bf16* b, size_t n) {
        ExpectClose(score, ReferenceDot(a, b, n), n, "dim " + std::to_string(n));
      });
}

TEST_P(DistanceTest, ScanI8ScoresEveryRowExactly) {
  CheckScans<int8_t, int32_t>(
      kernels_.scan_i8, [&](size_t n) { return RandomI8(n); },
      [](int32_t score, const int8_t* a, const int8_t* b, size_t n) {
        ASSERT_EQ(score, ReferenceDot(a, b, n)) << "dim " << n;
      });
}

// Gathers every count around the group sizes, with repeated ids, from rows up to a guard page: each
// score is that of a scan of the row alone.
template <typename T, typename Score, typename Gather, typename Scan, typename Random>
void CheckGathers(Gather gather, Scan scan, const Random& random, std::mt19937& rng) {
  constexpr uint32_t kRows = 40;
  for (size_t dim : {1, 3, 15, 16, 17, 31, 33, 64, 65, 100, 256, 384, 387}) {
    const GuardedArray<T> query(random(dim)), rows(random(dim * kRows));
    for (size_t count : {0, 1, 2, 3, 4, 5, 7, 8, 9, 11, 12, 13, 16, 17, 21, 64}) {
      GuardedArray<uint32_t> ids(count);
      for (size_t i = 0; i < count; ++i) ids.data()[i] = i == 0 ? kRows - 1 : rng() % kRows;
      GuardedArray<Score> out(count);
      gather(query.data(), rows.data(), ids.data(), count, dim, out.data());
      for (size_t i = 0; i < count; ++i) {
        Score alone{};
        scan(query.data(), rows.data() + ids.data()[i] * dim, 1, dim, &alone);
        ASSERT_EQ(out.data()[i], alone) << "row " << i << " of " << count << ", dim " << dim;
      }
    }
  }
}

TEST_P(DistanceTest, GatherF32ScoresAsAScanDoes) {
  CheckGathers<float, float>(
      kernels_.gather_f32, kernels_.scan_f32, [&](size_t n) { return RandomF32(n); }, rng_);
}

TEST_P(DistanceTest, GatherBf16ScoresAsAScanDoes) {
  CheckGathers<bf16, float>(
      kernels_.gather_bf16, kernels_.scan_bf16, [&](size_t n) { return RandomBf16(n); }, rng_);
}

TEST_P(DistanceTest, GatherI8ScoresAsAScanDoes) {
  CheckGathers<int8_t, int32_t>(
      kernels_.gather_i8, kernels_.scan_i8, [&](size_t n) { return RandomI8(n); }, rng_);
}

INSTANTIATE_TEST_SUITE_P(EveryIsa, DistanceTest, ::testing::ValuesIn(SupportedIsas()),
                         [](const ::testing::TestParamInfo<Isa>& isa) {
                           return std::string(IsaName(isa.param));
                         });

TEST(DistanceKernels, DefaultTableIsThatOfTheActiveSet) {
  EXPECT_EQ(&GetDistanceKernels(), &GetDistanceKernels(ActiveIsa()));
}

}  // namespace
}  // namespace cairn::kernels
