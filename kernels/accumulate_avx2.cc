// AVX2. See distance_variants.h for what must not be used here. Compiled without contraction of
// products and sums, because every set gives the same bits.
#include <immintrin.h>

#include "kernels/accumulate_variants.h"

namespace cairn::kernels {
namespace {

constexpr size_t kAhead = 8;  // Rows prefetched ahead; they lie anywhere in some megabytes.

struct F32Rows {
  static constexpr size_t kBytes = 4;
  static __m256 Load(const char* at) { return _mm256_loadu_ps(reinterpret_cast<const float*>(at)); }
  static float Get(const char* at) { return _mm_cvtss_f32(_mm_castsi128_ps(_mm_loadu_si32(at))); }
};

// Integer decoding, because the set does not include F16C; accumulate_scalar.cc explains it.
struct F16Rows {
  static constexpr size_t kBytes = 2;
  static __m256 Decode(__m128i bits) {
    const __m256i wide = _mm256_cvtepu16_epi32(bits);
    const __m256i magnitude =
        _mm256_slli_epi32(_mm256_and_si256(wide, _mm256_set1_epi32(0x7fff)), 13);
    const __m256i sign = _mm256_slli_epi32(_mm256_and_si256(wide, _mm256_set1_epi32(0x8000)), 16);
    const __m256 value = _mm256_mul_ps(_mm256_castsi256_ps(magnitude), _mm256_set1_ps(0x1p112f));
    return _mm256_or_ps(value, _mm256_castsi256_ps(sign));
  }
  static __m256 Load(const char* at) {
    return Decode(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
  }
  static float Get(const char* at) { return _mm256_cvtss_f32(Decode(_mm_loadu_si16(at))); }
};

struct I8Rows {
  static constexpr size_t kBytes = 1;
  static __m256 Load(const char* at) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(at));
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
  }
  static float Get(const char* at) { return static_cast<signed char>(*at); }
};

// Columns [0, 8 * kVectors) of rows that are `stride` bytes apart; their sums stay in registers.
template <class Rows, int kVectors>
void Columns(const char* rows, size_t stride, const uint32_t* picks, const float* weights,
             size_t count, float* sum) {
  __m256 sums[kVectors];
  for (int v = 0; v < kVectors; ++v) sums[v] = _mm256_loadu_ps(sum + 8 * v);
  for (size_t i = 0; i < count; ++i) {
    if (i + kAhead < count) {
      const char* next = rows + picks[i + kAhead] * stride;
      for (size_t b = 0; b < 8 * kVectors * Rows::kBytes; b += 64) {
        _mm_prefetch(next + b, _MM_HINT_T0);
      }
    }
    const char* row = rows + picks[i] * stride;
    const __m256 weight = _mm256_set1_ps(weights[i]);
    for (int v = 0; v < kVectors; ++v) {
      const __m256 product = _mm256_mul_ps(weight, Rows::Load(row + 8 * v * Rows::kBytes));
      sums[v] = _mm256_add_ps(sums[v], product);
    }
  }
  for (int v = 0; v < kVectors; ++v) _mm256_storeu_ps(sum + 8 * v, sums[v]);
}

template <class Rows>
void Accumulate(const void* rows, const uint32_t* picks, const float* weights, size_t count,
                size_t dim, float* sum) {
  const char* bytes = static_cast<const char*>(rows);
  const size_t stride = dim * Rows::kBytes;
  size_t d = 0;
  for (; d + 64 <= dim; d += 64) {
    Columns<Rows, 8>(bytes + d * Rows::kBytes, stride, picks, weights, count, sum + d);
  }
  for (; d + 8 <= dim; d += 8) {
    Columns<Rows, 1>(bytes + d * Rows::kBytes, stride, picks, weights, count, sum + d);
  }
  for (; d < dim; ++d) {
    const char* column = bytes + d * Rows::kBytes;
    for (size_t i = 0; i < count; ++i) {
      sum[d] += weights[i] * Rows::Get(column + picks[i] * stride);
    }
  }
}

}  // namespace

const AccumulateKernels kAvx2Accumulate = {Accumulate<F32Rows>, Accumulate<F16Rows>,
                                           Accumulate<I8Rows>};

}  // namespace cairn::kernels
