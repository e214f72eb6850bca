// AVX-512 with VNNI and BF16. See distance_variants.h for what must not be used here.
#include <immintrin.h>

#include "kernels/distance_variants.h"

namespace cairn::kernels {
namespace {

constexpr size_t kF32 = 16;  // Values per register.
constexpr size_t kBf16 = 32;
constexpr size_t kI8 = 64;
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

__mmask16 TailF32(size_t n) { return static_cast<__mmask16>((1u << n) - 1); }
__mmask32 TailBf16(size_t n) { return static_cast<__mmask32>((uint64_t{1} << n) - 1); }
__mmask64 TailI8(size_t n) { return (uint64_t{1} << n) - 1; }

__m512 MulAddBf16(__m512 sum, __m512i a, __m512i b) {
  return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}

// VNNI multiplies unsigned by signed bytes. Flipping the sign bit of x reads it as x + 128, so the
// products with y sum to x.y + 128 * sum(y); the callers subtract the latter. Wrap-around on the
// way cancels out.
__m512i BiasedMulAddI8(__m512i sum, __m512i x, __m512i y) {
  return _mm512_dpbusd_epi32(sum, _mm512_xor_si512(x, _mm512_set1_epi8(-128)), y);
}
__m512i SumI8(__m512i sum, __m512i y) { return _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(1), y); }

// The dot products advance pointers instead of an index: with an indexed address a multiply-add
// splits off its load, which is measurably slower on data in L1.

float DotF32(const float* a, const float* b, size_t n) {
  __m512 s0 = _mm512_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
  for (; n >= 4 * kF32; n -= 4 * kF32, a += 4 * kF32, b += 4 * kF32) {
    s0 = _mm512_fmadd_ps(_mm512_loadu_ps(a), _mm512_loadu_ps(b), s0);
    s1 = _mm512_fmadd_ps(_mm512_loadu_ps(a + kF32), _mm512_loadu_ps(b + kF32), s1);
    s2 = _mm512_fmadd_ps(_mm512_loadu_ps(a + 2 * kF32), _mm512_loadu_ps(b + 2 * kF32), s2);
    s3 = _mm512_fmadd_ps(_mm512_loadu_ps(a + 3 * kF32), _mm512_loadu_ps(b + 3 * kF32), s3);
  }
  for (; n >= kF32; n -= kF32, a += kF32, b += kF32) {
    s0 = _mm512_fmadd_ps(_mm512_loadu_ps(a), _mm512_loadu_ps(b), s0);
  }
  if (n > 0) {
    const __mmask16 mask = TailF32(n);
    s1 = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, a), _mm512_maskz_loadu_ps(mask, b), s1);
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(s0, s1), _mm512_add_ps(s2, s3)));
}

float DotBf16(const bf16* a, const bf16* b, size_t n) {
  __m512 s0 = _mm512_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
  for (; n >= 4 * kBf16; n -= 4 * kBf16, a += 4 * kBf16, b += 4 * kBf16) {
    s0 = MulAddBf16(s0, _mm512_loadu_si512(a), _mm512_loadu_si512(b));
    s1 = MulAddBf16(s1, _mm512_loadu_si512(a + kBf16), _mm512_loadu_si512(b + kBf16));
    s2 = MulAddBf16(s2, _mm512_loadu_si512(a + 2 * kBf16), _mm512_loadu_si512(b + 2 * kBf16));
    s3 = MulAddBf16(s3, _mm512_loadu_si512(a + 3 * kBf16), _mm512_loadu_si512(b + 3 * kBf16));
  }
  for (; n >= kBf16; n -= kBf16, a += kBf16, b += kBf16) {
    s0 = MulAddBf16(s0, _mm512_loadu_si512(a), _mm512_loadu_si512(b));
  }
  if (n > 0) {
    const __mmask32 mask = TailBf16(n);
    s1 = MulAddBf16(s1, _mm512_maskz_loadu_epi16(mask, a), _mm512_maskz_loadu_epi16(mask, b));
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(s0, s1), _mm512_add_ps(s2, s3)));
}

int32_t DotI8(const int8_t* a, const int8_t* b, size_t n) {
  __m512i s0 = _mm512_setzero_si512(), s1 = s0, bias0 = s0, bias1 = s0;
  for (; n >= 2 * kI8; n -= 2 * kI8, a += 2 * kI8, b += 2 * kI8) {
    const __m512i b0 = _mm512_loadu_si512(b);
    const __m512i b1 = _mm512_loadu_si512(b + kI8);
    s0 = BiasedMulAddI8(s0, _mm512_loadu_si512(a), b0);
    s1 = BiasedMulAddI8(s1, _mm512_loadu_si512(a + kI8), b1);
    bias0 = SumI8(bias0, b0);
    bias1 = SumI8(bias1, b1);
  }
  if (n >= kI8) {
    const __m512i b0 = _mm512_loadu_si512(b);
    s0 = BiasedMulAddI8(s0, _mm512_loadu_si512(a), b0);
    bias0 = SumI8(bias0, b0);
    n -= kI8, a += kI8, b += kI8;
  }
  if (n > 0) {
    const __mmask64 mask = TailI8(n);
    const __m512i b1 = _mm512_maskz_loadu_epi8(mask, b);
    s1 = BiasedMulAddI8(s1, _mm512_maskz_loadu_epi8(mask, a), b1);
    bias1 = SumI8(bias1, b1);
  }
  const __m512i bias = _mm512_slli_epi32(_mm512_add_epi32(bias0, bias1), 7);
  return _mm512_reduce_add_epi32(_mm512_sub_epi32(_mm512_add_epi32(s0, s1), bias));
}

// {sum of a, sum of b, sum of c, sum of d}.
__m128 ReduceF32(__m512 a, __m512 b, __m512 c, __m512 d) {
  const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
  const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
  const __m512 lanes = _mm512_add_ps(_mm512_shuffle_ps(ab, cd, _MM_SHUFFLE(1, 0, 1, 0)),
                                     _mm512_shuffle_ps(ab, cd, _MM_SHUFFLE(3, 2, 3, 2)));
  const __m256 half =
      _mm256_add_ps(_mm512_castps512_ps256(lanes), _mm512_extractf32x8_ps(lanes, 1));
  return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}

__m128i ReduceI32(__m512i a, __m512i b, __m512i c, __m512i d) {
  const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
  const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
  const __m512i lanes =
      _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
  const __m256i half =
      _mm256_add_epi32(_mm512_castsi512_si256(lanes), _mm512_extracti64x4_epi64(lanes, 1));
  return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

// The scans and gathers treat each row alike, in a full group or not, so that a row's score does
// not depend on where it lies.
template <size_t kRows, typename Rows>
void ScanGroupF32(const float* query, const Rows& rows, size_t dim, float* out) {
  __m512 s[kGroup];
  for (__m512& sum : s) sum = _mm512_setzero_ps();
  size_t i = 0;
  for (; i + kF32 <= dim; i += kF32) {
    const __m512 q = _mm512_loadu_ps(query + i);
    for (size_t r = 0; r < kRows; ++r) {
      rows.PrefetchAhead(r, i);
      s[r] = _mm512_fmadd_ps(q, _mm512_loadu_ps(rows.Row(r) + i), s[r]);
    }
  }
  if (i < dim) {
    const __mmask16 mask = TailF32(dim - i);
    const __m512 q = _mm512_maskz_loadu_ps(mask, query + i);
    for (size_t r = 0; r < kRows; ++r) {
      s[r] = _mm512_fmadd_ps(q, _mm512_maskz_loadu_ps(mask, rows.Row(r) + i), s[r]);
    }
  }
  _mm_mask_storeu_ps(out, (1u << kRows) - 1, ReduceF32(s[0], s[1], s[2], s[3]));
}

template <size_t kRows, typename Rows>
void ScanGroupBf16(const bf16* query, const Rows& rows, size_t dim, float* out) {
  __m512 s[kGroup];
  for (__m512& sum : s) sum = _mm512_setzero_ps();
  size_t i = 0;
  for (; i + kBf16 <= dim; i += kBf16) {
    const __m512i q = _mm512_loadu_si512(query + i);
    for (size_t r = 0; r < kRows; ++r) {
      rows.PrefetchAhead(r, i);
      s[r] = MulAddBf16(s[r], q, _mm512_loadu_si512(rows.Row(r) + i));
    }
  }
  if (i < dim) {
    const __mmask32 mask = TailBf16(dim - i);
    const __m512i q = _mm512_maskz_loadu_epi16(mask, query + i);
    for (size_t r = 0; r < kRows; ++r) {
      s[r] = MulAddBf16(s[r], q, _mm512_maskz_loadu_epi16(mask, rows.Row(r) + i));
    }
  }
  _mm_mask_storeu_ps(out, (1u << kRows) - 1, ReduceF32(s[0], s[1], s[2], s[3]));
}

// `bias` is 128 times the sum of the query.
template <size_t kRows, typename Rows>
void ScanGroupI8(const int8_t* query, const Rows& rows, size_t dim, __m128i bias, int32_t* out) {
  __m512i s[kGroup];
  for (__m512i& sum : s) sum = _mm512_setzero_si512();
  size_t i = 0;
  for (; i + kI8 <= dim; i += kI8) {
    const __m512i q = _mm512_loadu_si512(query + i);
    for (size_t r = 0; r < kRows; ++r) {
      rows.PrefetchAhead(r, i);
      s[r] = BiasedMulAddI8(s[r], _mm512_loadu_si512(rows.Row(r) + i), q);
    }
  }
  if (i < dim) {
    const __mmask64 mask = TailI8(dim - i);
    const __m512i q = _mm512_maskz_loadu_epi8(mask, query + i);
    for (size_t r = 0; r < kRows; ++r) {
      s[r] = BiasedMulAddI8(s[r], _mm512_maskz_loadu_epi8(mask, rows.Row(r) + i), q);
    }
  }
  _mm_mask_storeu_epi32(out, (1u << kRows) - 1,
                        _mm_sub_epi32(ReduceI32(s[0], s[1], s[2], s[3]), bias));
}

void ScanF32(const float* query, const float* rows, size_t count, size_t dim, float* out) {
  size_t r = 0;
  for (; r + kGroup <= count; r += kGroup) {
    ScanGroupF32<kGroup>(query, ConsecutiveRows<float>{rows + r * dim, dim}, dim, out + r);
  }
  for (; r < count; ++r)
    ScanGroupF32<1>(query, ConsecutiveRows<float>{rows + r * dim, dim}, dim, out + r);
}

void ScanBf16(const bf16* query, const bf16* rows, size_t count, size_t dim, float* out) {
  size_t r = 0;
  for (; r + kGroup <= count; r += kGroup) {
    ScanGroupBf16<kGroup>(query, ConsecutiveRows<bf16>{rows + r * dim, dim}, dim, out + r);
  }
  for (; r < count; ++r)
    ScanGroupBf16<1>(query, ConsecutiveRows<bf16>{rows + r * dim, dim}, dim, out + r);
}

// 128 times the sum of the query, in each element.
__m128i BiasOf(const int8_t* query, size_t dim) {
  __m512i sum = _mm512_setzero_si512();
  for (size_t i = 0; i < dim; i += kI8) {
    const __mmask64 mask = dim - i < kI8 ? TailI8(dim - i) : ~__mmask64{0};
    sum = SumI8(sum, _mm512_maskz_loadu_epi8(mask, query + i));
  }
  return _mm_slli_epi32(_mm_set1_epi32(_mm512_reduce_add_epi32(sum)), 7);
}

void ScanI8(const int8_t* query, const int8_t* rows, size_t count, size_t dim, int32_t* out) {
  const __m128i bias = BiasOf(query, dim);
  size_t r = 0;
  for (; r + kGroup <= count; r += kGroup) {
    ScanGroupI8<kGroup>(query, ConsecutiveRows<int8_t>{rows + r * dim, dim}, dim, bias, out + r);
  }
  for (; r < count; ++r)
    ScanGroupI8<1>(query, ConsecutiveRows<int8_t>{rows + r * dim, dim}, dim, bias, out + r);
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
    ScanGroupF32<kGroup>(query, r, dim, out + i);
  };
  const auto single = [=](const GatheredRows<float>& r, size_t i) {
    ScanGroupF32<1>(query, r, dim, out + i);
  };
  ForGatheredRows(rows, ids, count, dim, group, single);
}

void GatherBf16(const bf16* query, const bf16* rows, const uint32_t* ids, size_t count, size_t dim,
                float* out) {
  const auto group = [=](const GatheredRows<bf16>& r, size_t i) {
    ScanGroupBf16<kGroup>(query, r, dim, out + i);
  };
  const auto single = [=](const GatheredRows<bf16>& r, size_t i) {
    ScanGroupBf16<1>(query, r, dim, out + i);
  };
  ForGatheredRows(rows, ids, count, dim, group, single);
}

void GatherI8(const int8_t* query, const int8_t* rows, const uint32_t* ids, size_t count,
              size_t dim, int32_t* out) {
  const __m128i bias = BiasOf(query, dim);
  const auto group = [=](const GatheredRows<int8_t>& r, size_t i) {
    ScanGroupI8<kGroup>(query, r, dim, bias, out + i);
  };
  const auto single = [=](const GatheredRows<int8_t>& r, size_t i) {
    ScanGroupI8<1>(query, r, dim, bias, out + i);
  };
  ForGatheredRows(rows, ids, count, dim, group, single);
}

}  // namespace

const DistanceKernels kAvx512Distance = {DotF32, DotBf16,   DotI8,      ScanF32, ScanBf16,
                                         ScanI8, GatherF32, GatherBf16, GatherI8};

}  // namespace cairn::kernels
