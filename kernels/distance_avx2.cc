// AVX2 with FMA. See distance_variants.h for what must not be used here.
#include <immintrin.h>

#include "kernels/distance_variants.h"

namespace cairn::kernels {
namespace {

constexpr size_t kF32 = 8;    // Values per 32-byte register.
constexpr size_t kWide = 16;  // bfloat16 and int8 values per step: 16 bits each once widened.
constexpr size_t kGroup =
    4;  // Rows per pass of a scan: each query register is loaded once for all.

// How far ahead of the loads a scan prefetches. The hardware's prefetchers stop at each 4 KiB page.
constexpr size_t kPrefetchBytes = 4096;

constexpr size_t kLineBytes = 64;
constexpr size_t kShortRowLines = 6;  // Of rows of which gathers prefetch two groups ahead.

void Prefetch(const void* p, size_t offset) {
  _mm_prefetch(static_cast<const char*>(p) + offset, _MM_HINT_T0);
}

// Where the rows of a group lie, and what to prefetch while row r is read at value i.
template <typename T>
struct ConsecutiveRows {
  const T* first;
  size_t dim;
  const T* Row(size_t r) const { return first + r * dim; }
  void PrefetchAhead(size_t r, size_t i) const { Prefetch(Row(r) + i, kPrefetchBytes); }
};
template <typename T>
struct GatheredRows {
  const T* rows[kGroup];
  const T* ahead[kGroup];  // Rows of a later group.
  const T* Row(size_t r) const { return rows[r]; }
  void PrefetchAhead(size_t r, size_t i) const { Prefetch(ahead[r] + i, 0); }
};

// Selects the first n < 8 values.
__m256i TailMask(size_t n) {
  const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), index);
}

// The first n < 16 values, zeros behind them. AVX2 has no masked loads this narrow.
__m256i LoadTailBf16(const bf16* p, size_t n) {
  bf16 values[kWide] = {};
  for (size_t i = 0; i < n; ++i) values[i] = p[i];
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(values));
}

__m256i LoadBf16(const bf16* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }

// int8 values widened to int16.
__m256i LoadI8(const int8_t* p) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

__m256i LoadTailI8(const int8_t* p, size_t n) {
  int8_t values[kWide] = {};
  for (size_t i = 0; i < n; ++i) values[i] = p[i];
  return LoadI8(values);
}

// A bfloat16 is the upper half of a float: the odd values of each pair are in place but for the
// even value below, which is masked off; the even ones are shifted up.
__m256 OddBf16(__m256i v) {
  return _mm256_castsi256_ps(_mm256_and_si256(v, _mm256_set1_epi32(static_cast<int>(0xffff0000))));
}
__m256 EvenBf16(__m256i v) { return _mm256_castsi256_ps(_mm256_slli_epi32(v, 16)); }

__m256 MulAddBf16(__m256 sum, __m256i a, __m256i b) {
  sum = _mm256_fmadd_ps(EvenBf16(a), EvenBf16(b), sum);
  return _mm256_fmadd_ps(OddBf16(a), OddBf16(b), sum);
}

// Pairs of int16 products summed to int32: exact.
__m256i MulAddI8(__m256i sum, __m256i a, __m256i b) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
}

// {sum of a, sum of b, sum of c, sum of d}.
__m128 ReduceF32(__m256 a, __m256 b, __m256 c, __m256 d) {
  const __m256 lanes = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
  return _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps(lanes, 1));
}

__m128i ReduceI32(__m256i a, __m256i b, __m256i c, __m256i d) {
  const __m256i lanes = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
  return _mm_add_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
}

float SumF32(__m256 v) {
  const __m256 zero = _mm256_setzero_ps();
  return _mm_cvtss_f32(ReduceF32(v, zero, zero, zero));
}

// The dot products advance pointers instead of an index: with an indexed address a multiply-add
// splits off its load, which is measurably slower on data in L1.

float DotF32(const float* a, const float* b, size_t n) {
  __m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
  for (; n >= 4 * kF32; n -= 4 * kF32, a += 4 * kF32, b += 4 * kF32) {
    s0 = _mm256_fmadd_ps(_mm256_loadu_ps(a), _mm256_loadu_ps(b), s0);
    s1 = _mm256_fmadd_ps(_mm256_loadu_ps(a + kF32), _mm256_loadu_ps(b + kF32), s1);
    s2 = _mm256_fmadd_ps(_mm256_loadu_ps(a + 2 * kF32), _mm256_loadu_ps(b + 2 * kF32), s2);
    s3 = _mm256_fmadd_ps(_mm256_loadu_ps(a + 3 * kF32), _mm256_loadu_ps(b + 3 * kF32), s3);
  }
  for (; n >= kF32; n -= kF32, a += kF32, b += kF32) {
    s0 = _mm256_fmadd_ps(_mm256_loadu_ps(a), _mm256_loadu_ps(b), s0);
  }
  if (n > 0) {
    const __m256i mask = TailMask(n);
    s1 = _mm256_fmadd_ps(_mm256_maskload_ps(a, mask), _mm256_maskload_ps(b, mask), s1);
  }
  return SumF32(_mm256_add_ps(_mm256_add_ps(s0, s1), _mm256_add_ps(s2, s3)));
}

float DotBf16(const bf16* a, const bf16* b, size_t n) {
  __m256 s0 = _mm256_setzero_ps(), s1 = s0;
  for (; n >= 2 * kWide; n -= 2 * kWide, a += 2 * kWide, b += 2 * kWide) {
    s0 = MulAddBf16(s0, LoadBf16(a), LoadBf16(b));
    s1 = MulAddBf16(s1, LoadBf16(a + kWide), LoadBf16(b + kWide));
  }
  if (n >= kWide) {
    s0 = MulAddBf16(s0, LoadBf16(a), LoadBf16(b));
    n -= kWide, a += kWide, b += kWide;
  }
  if (n > 0) s1 = MulAddBf16(s1, LoadTailBf16(a, n), LoadTailBf16(b, n));
  return SumF32(_mm256_add_ps(s0, s1));
}

int32_t DotI8(const int8_t* a, const int8_t* b, size_t n) {
  __m256i s0 = _mm256_setzero_si256(), s1 = s0;
  for (; n >= 2 * kWide; n -= 2 * kWide, a += 2 * kWide, b += 2 * kWide) {
    s0 = MulAddI8(s0, LoadI8(a), LoadI8(b));
    s1 = MulAddI8(s1, LoadI8(a + kWide), LoadI8(b + kWide));
  }
  if (n >= kWide) {
    s0 = MulAddI8(s0, LoadI8(a), LoadI8(b));
    n -= kWide, a += kWide, b += kWide;
  }
  if (n > 0) s1 = MulAddI8(s1, LoadTailI8(a, n), LoadTailI8(b, n));
  const __m256i zero = _mm256_setzero_si256();
  return _mm_cvtsi128_si32(ReduceI32(_mm256_add_epi32(s0, s1), zero, zero, zero));
}

// The scans and gathers treat each row alike, in a full group or not, so that a row's score does
// not depend on where it lies. They return {score of row 0, ..., score of row kRows - 1, 0...}.
template <size_t kRows, typename Rows>
__m128 ScanGroupF32(const float* query, const Rows& rows, size_t dim) {
  __m256 s[kGroup];
  for (__m256& sum : s) sum = _mm256_setzero_ps();
  size_t i = 0;
  for (; i + kF32 <= dim; i += kF32) {
    const __m256 q = _mm256_loadu_ps(query + i);
    for (size_t r = 0; r < kRows; ++r) {
      rows.PrefetchAhead(r, i);
      s[r] = _mm256_fmadd_ps(q, _mm256_loadu_ps(rows.Row(r) + i), s[r]);
    }
  }
  if (i < dim) {
    const __m256i mask = TailMask(dim - i);
    const __m256 q = _mm256_maskload_ps(query + i, mask);
    for (size_t r = 0; r < kRows; ++r) {
      s[r] = _mm256_fmadd_ps(q, _mm256_maskload_ps(rows.Row(r) + i, mask), s[r]);
    }
  }
  return ReduceF32(s[0], s[1], s[2], s[3]);
}

template <size_t kRows, typename Rows>
__m128 ScanGroupBf16(const bf16* query, const Rows& rows, size_t dim) {
  __m256 s[kGroup];
  for (__m256& sum : s) sum = _mm256_setzero_ps();
  size_t i = 0;
  for (; i + kWide <= dim; i += kWide) {
    const __m256i q = LoadBf16(query + i);
    for (size_t r = 0; r < kRows; ++r) {
      rows.PrefetchAhead(r, i);
      s[r] = MulAddBf16(s[r], q, LoadBf16(rows.Row(r) + i));
    }
  }
  if (i < dim) {
    const __m256i q = LoadTailBf16(query + i, dim - i);
    for (size_t r = 0; r < kRows; ++r) {
      s[r] = MulAddBf16(s[r], q, LoadTailBf16(rows.Row(r) + i, dim - i));
    }
  }
  return ReduceF32(s[0], s[1], s[2], s[3]);
}

template <size_t kRows, typename Rows>
__m128i ScanGroupI8(const int8_t* query, const Rows& rows, size_t dim) {
  __m256i s[kGroup];
  for (__m256i& sum : s) sum = _mm256_setzero_si256();
  size_t i = 0;
  for (; i + kWide <= dim; i += kWide) {
    const __m256i q = LoadI8(query + i);
    for (size_t r = 0; r < kRows; ++r) {
      rows.PrefetchAhead(r, i);
      s[r] = MulAddI8(s[r], q, LoadI8(rows.Row(r) + i));
    }
  }
  if (i < dim) {
    const __m256i q = LoadTailI8(query + i, dim - i);
    for (size_t r = 0; r < kRows; ++r) {
      s[r] = MulAddI8(s[r], q, LoadTailI8(rows.Row(r) + i, dim - i));
    }
  }
  return ReduceI32(s[0], s[1], s[2], s[3]);
}

void ScanF32(const float* query, const float* rows, size_t count, size_t dim, float* out) {
  size_t r = 0;
  for (; r + kGroup <= count; r += kGroup) {
    _mm_storeu_ps(out + r,
                  ScanGroupF32<kGroup>(query, ConsecutiveRows<float>{rows + r * dim, dim}, dim));
  }
  for (; r < count; ++r)
    out[r] =
        _mm_cvtss_f32(ScanGroupF32<1>(query, ConsecutiveRows<float>{rows + r * dim, dim}, dim));
}

void ScanBf16(const bf16* query, const bf16* rows, size_t count, size_t dim, float* out) {
  size_t r = 0;
  for (; r + kGroup <= count; r += kGroup) {
    _mm_storeu_ps(out + r,
                  ScanGroupBf16<kGroup>(query, ConsecutiveRows<bf16>{rows + r * dim, dim}, dim));
  }
  for (; r < count; ++r)
    out[r] =
        _mm_cvtss_f32(ScanGroupBf16<1>(query, ConsecutiveRows<bf16>{rows + r * dim, dim}, dim));
}

void ScanI8(const int8_t* query, const int8_t* rows, size_t count, size_t dim, int32_t* out) {
  size_t r = 0;
  for (; r + kGroup <= count; r += kGroup) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + r),
                     ScanGroupI8<kGroup>(query, ConsecutiveRows<int8_t>{rows + r * dim, dim}, dim));
  }
  for (; r < count; ++r)
    out[r] =
        _mm_cvtsi128_si32(ScanGroupI8<1>(query, ConsecutiveRows<int8_t>{rows + r * dim, dim}, dim));
}

// Calls group(rows, i) for each full group of ids from i on, then single(rows, i) for the rest.
template <typename T, typename Group, typename Single>
void ForGatheredRows(const T* data, const uint32_t* ids, size_t count, size_t dim, Group group,
                     Single single) {
  const size_t row_lines = (dim * sizeof(T) + kLineBytes - 1) / kLineBytes;
  // Rows up to `ahead` before a row are read between its prefetch and its use: enough bytes in
  // flight for the latency of memory, few enough for the line fill buffers.
  const size_t ahead = row_lines <= kShortRowLines ? 2 * kGroup : kGroup;
  for (size_t i = 0; i < ahead && i < count; ++i) {
    const char* const row = reinterpret_cast<const char*>(data + ids[i] * dim);
    for (size_t line = 0; line < row_lines; ++line) Prefetch(row, line * kLineBytes);
  }
  GatheredRows<T> rows;
  size_t i = 0;
  for (; i + kGroup <= count; i += kGroup) {
    for (size_t r = 0; r < kGroup; ++r) {
      rows.rows[r] = data + ids[i + r] * dim;
      // Past the end: something that is in the cache already.
      rows.ahead[r] = i + r + ahead < count ? data + ids[i + r + ahead] * dim : rows.rows[r];
    }
    group(rows, i);
  }
  for (; i < count; ++i) {
    rows.rows[0] = rows.ahead[0] = data + ids[i] * dim;
    single(rows, i);
  }
}

void GatherF32(const float* query, const float* rows, const uint32_t* ids, size_t count, size_t dim,
               float* out) {
  const auto group = [=](const GatheredRows<float>& r, size_t i) {
    _mm_storeu_ps(out + i, ScanGroupF32<kGroup>(query, r, dim));
  };
  const auto single = [=](const GatheredRows<float>& r, size_t i) {
    out[i] = _mm_cvtss_f32(ScanGroupF32<1>(query, r, dim));
  };
  ForGatheredRows(rows, ids, count, dim, group, single);
}

void GatherBf16(const bf16* query, const bf16* rows, const uint32_t* ids, size_t count, size_t dim,
                float* out) {
  const auto group = [=](const GatheredRows<bf16>& r, size_t i) {
    _mm_storeu_ps(out + i, ScanGroupBf16<kGroup>(query, r, dim));
  };
  const auto single = [=](const GatheredRows<bf16>& r, size_t i) {
    out[i] = _mm_cvtss_f32(ScanGroupBf16<1>(query, r, dim));
  };
  ForGatheredRows(rows, ids, count, dim, group, single);
}

void GatherI8(const int8_t* query, const int8_t* rows, const uint32_t* ids, size_t count,
              size_t dim, int32_t* out) {
  const auto group = [=](const GatheredRows<int8_t>& r, size_t i) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), ScanGroupI8<kGroup>(query, r, dim));
  };
  const auto single = [=](const GatheredRows<int8_t>& r, size_t i) {
    out[i] = _mm_cvtsi128_si32(ScanGroupI8<1>(query, r, dim));
  };
  ForGatheredRows(rows, ids, count, dim, group, single);
}

}  // namespace

const DistanceKernels kAvx2Distance = {DotF32, DotBf16,   DotI8,      ScanF32, ScanBf16,
                                       ScanI8, GatherF32, GatherBf16, GatherI8};

}  // namespace cairn::kernels
