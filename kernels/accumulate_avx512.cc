// AVX-512. See distance_variants.h for what must not be used here. Compiled without contraction of
// products and sums, because every set gives the same bits.
#include <immintrin.h>

#include "kernels/accumulate_variants.h"

namespace cairn::kernels {
namespace {

constexpr size_t kAhead = 8;  // Rows prefetched ahead; they lie anywhere in some megabytes.

struct F32Rows {
  static constexpr size_t kBytes = 4;
  static __m512 Load(const char* at) { return _mm512_loadu_ps(at); }
  static __m512 Load(const char* at, __mmask16 some) { return _mm512_maskz_loadu_ps(some, at); }
};

struct F16Rows {
  static constexpr size_t kBytes = 2;
  static __m512 Load(const char* at) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
  }
  static __m512 Load(const char* at, __mmask16 some) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(some, at));
  }
};

struct I8Rows {
  static constexpr size_t kBytes = 1;
  static __m512 Load(const char* at) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
  }
  static __m512 Load(const char* at, __mmask16 some) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(some, at)));
  }
};

// Columns [0, 16 * kVectors) of rows that are `stride` bytes apart; their sums stay in registers.
template <class Rows, int kVectors>
void Columns(const char* rows, size_t stride, const uint32_t* picks, const float* weights,
             size_t count, float* sum) {
  __m512 sums[kVectors];
  for (int v = 0; v < kVectors; ++v) sums[v] = _mm512_loadu_ps(sum + 16 * v);
  for (size_t i = 0; i < count; ++i) {
    if (i + kAhead < count) {
      const char* next = rows + picks[i + kAhead] * stride;
      for (size_t b = 0; b < 16 * kVectors * Rows::kBytes; b += 64) {
        _mm_prefetch(next + b, _MM_HINT_T0);
      }
    }
    const char* row = rows + picks[i] * stride;
    const __m512 weight = _mm512_set1_ps(weights[i]);
    for (int v = 0; v < kVectors; ++v) {
      const __m512 product = _mm512_mul_ps(weight, Rows::Load(row + 16 * v * Rows::kBytes));
      sums[v] = _mm512_add_ps(sums[v], product);
    }
  }
  for (int v = 0; v < kVectors; ++v) _mm512_storeu_ps(sum + 16 * v, sums[v]);
}

template <class Rows>
void Accumulate(const void* rows, const uint32_t* picks, const float* weights, size_t count,
                size_t dim, float* sum) {
  const char* bytes = static_cast<const char*>(rows);
  const size_t stride = dim * Rows::kBytes;
  size_t d = 0;
  for (; d + 256 <= dim; d += 256) {
    Columns<Rows, 16>(bytes + d * Rows::kBytes, stride, picks, weights, count, sum + d);
  }
  for (; d + 64 <= dim; d += 64) {
    Columns<Rows, 4>(bytes + d * Rows::kBytes, stride, picks, weights, count, sum + d);
  }
  for (; d < dim; d += 16) {
    const size_t left = dim - d;
    const __mmask16 some = left >= 16 ? 0xffff : static_cast<__mmask16>((1u << left) - 1);
    const char* column = bytes + d * Rows::kBytes;
    __m512 total = _mm512_maskz_loadu_ps(some, sum + d);
    for (size_t i = 0; i < count; ++i) {
      const __m512 values = Rows::Load(column + picks[i] * stride, some);
      total = _mm512_add_ps(total, _mm512_mul_ps(_mm512_set1_ps(weights[i]), values));
    }
    _mm512_mask_storeu_ps(sum + d, some, total);
  }
}

}  // namespace

const AccumulateKernels kAvx512Accumulate = {Accumulate<F32Rows>, Accumulate<F16Rows>,
                                             Accumulate<I8Rows>};

}  // namespace cairn::kernels
