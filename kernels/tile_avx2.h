// Reads packed tiles into AVX2 registers, eight rows ("half" 0 or 1 of the sixteen) at a time.
// Included by AVX2 units alone; everything here has internal linkage (distance_variants.h says
// why).
#ifndef CAIRN_KERNELS_TILE_AVX2_H_
#define CAIRN_KERNELS_TILE_AVX2_H_

#include <immintrin.h>

#include "kernels/matmul_variants.h"
#include "kernels/packed_matrix.h"
#include "kernels/tile_formats.h"

namespace cairn::kernels {
namespace {

inline __m256i LoadBytes(const uint8_t* at) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
}

inline __m256 LoadHalves(const void* at) {
  return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(at)));
}

inline __m256 LoadUnsigned(const uint8_t* at) {
  return _mm256_cvtepi32_ps(
      _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at))));
}

inline __m256 LoadSigned(const uint8_t* at) {
  return _mm256_cvtepi32_ps(
      _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at))));
}

// Four neighbouring int8 activations, eight times.
inline __m256i BroadcastQuad(const int8_t* at) {
  int quad;
  __builtin_memcpy(&quad, at, 4);
  return _mm256_set1_epi32(quad);
}

// One block of 32 columns and sixteen rows.
template <class F>
struct Block {
  static constexpr size_t kStep = F::kFormat == BlockFormat::kQ6_K ? 16 : 32;
  static constexpr size_t kSteps = 32 / kStep;  // Scales of each row.
  static constexpr bool kMinima = F::kMin != 0;

  const uint8_t* header;  // K formats
  const uint8_t* at;

  // Block `b` of the tile.
  static Block At(const std::byte* tile, size_t b) {
    const uint8_t* bytes = reinterpret_cast<const uint8_t*>(tile);
    const uint8_t* header = bytes + b / F::kGroup * (F::kHeader + F::kGroup * F::kBytes);
    return {header, header + F::kHeader + b % F::kGroup * F::kBytes};
  }

  // The quantised values of quad j, [8 rows][4 columns], unsigned.
  template <int j>
  __m256i Quad(size_t half) const {
    const uint8_t* low = at + F::kLow + half * 32;
    if constexpr (F::kLowBits == 8) {
      return LoadBytes(low + j * 64);
    } else {
      const __m256i nibbles = LoadBytes(low + j % 4 * 64);
      const __m256i shifted = j < 4 ? nibbles : _mm256_srli_epi16(nibbles, 4);
      const __m256i four = _mm256_and_si256(shifted, _mm256_set1_epi8(15));
      const uint8_t* high = at + F::kHigh + half * 32;
      if constexpr (F::kHighBits == 0) {
        return four;
      } else if constexpr (F::kHighBits == 1) {
        return _mm256_or_si256(four, High<j, 16>(LoadBytes(high)));
      } else {
        return _mm256_or_si256(four, High<2 * (j % 4), 48>(LoadBytes(high + j / 4 * 64)));
      }
    }
  }

  // Scales of columns [16 s, 16 s + 16) for Q6_K, of all 32 otherwise (s = 0).
  __m256 Scales(size_t s, size_t half) const {
    if constexpr (F::kHeader == 0) {
      return LoadHalves(at + half * 16);
    } else if constexpr (F::kFormat == BlockFormat::kQ6_K) {
      return _mm256_mul_ps(LoadHalves(header + half * 16), LoadSigned(at + s * 16 + half * 8));
    } else {
      return _mm256_mul_ps(LoadHalves(header + half * 16), LoadUnsigned(at + half * 8));
    }
  }

  // What is added to each value.
  __m256 Minima(size_t half) const {
    if constexpr (F::kHeader == 0) {
      return LoadHalves(at + F::kMin + half * 16);
    } else {
      const __m256 minima =
          _mm256_mul_ps(LoadHalves(header + 32 + half * 16), LoadUnsigned(at + F::kMin + half * 8));
      return _mm256_sub_ps(_mm256_setzero_ps(), minima);
    }
  }

 private:
  // Bits of `mask` (16: one, 48: two) of each byte, taken from bit `from` upwards.
  template <int from, char mask>
  static __m256i High(__m256i bits) {
    if constexpr (from < 4) {
      return _mm256_and_si256(_mm256_slli_epi16(bits, 4 - from), _mm256_set1_epi8(mask));
    } else {
      return _mm256_and_si256(_mm256_srli_epi16(bits, from - 4), _mm256_set1_epi8(mask));
    }
  }
};

// The values of a block one column at a time, as floats of eight rows.
template <class F>
struct ColumnsOf {
  __m256 scale[Block<F>::kSteps];
  __m256 offset[Block<F>::kSteps];  // Added to scale * q.

  ColumnsOf(const Block<F>& block, size_t half) {
    for (size_t s = 0; s < Block<F>::kSteps; ++s) {
      scale[s] = block.Scales(s, half);
      if constexpr (Block<F>::kMinima) {
        offset[s] = block.Minima(half);
      } else {
        // A power of two times the scale: exact, and so scale * q + offset is rounded once.
        offset[s] = _mm256_mul_ps(scale[s], _mm256_set1_ps(static_cast<float>(-F::kZero)));
      }
    }
  }

  // Byte `i` of each row's four, as a float.
  template <int i>
  static __m256 Level(__m256i quad) {
    const __m256i only =
        _mm256_set_epi8(-1, -1, -1, 12 + i, -1, -1, -1, 8 + i, -1, -1, -1, 4 + i, -1, -1, -1, i,  //
                        -1, -1, -1, 12 + i, -1, -1, -1, 8 + i, -1, -1, -1, 4 + i, -1, -1, -1, i);
    return _mm256_cvtepi32_ps(_mm256_shuffle_epi8(quad, only));
  }
};

// Products of unsigned quantised values with int8 activations, neighbouring pairs summed in int16.
// maddubs would saturate beyond int16, so:
// - Values below 64 times 127, twice, stay below 2^14: 2 of the sums fit (below 32: 4, below 16:
//   8), and are widened together.
// - Values of eight bits are taken as signed (minus 128), their signs moved to the activations:
//   2 * 128 * 127 fits, once. Sums need no correction by `zero` then. Activations are never -128.
template <class F>
struct IntegerQuads {
  static constexpr bool kSigned = F::kLowBits == 8;
  static constexpr int kTogether = kSigned ? 1 : 8 >> F::kHighBits;
  // What is added to the sum of products, for each unit of the activations' sum.
  static constexpr int kCorrection = kSigned ? 0 : -F::kZero;

  __m256i values;
  __m256i magnitudes;

  explicit IntegerQuads(__m256i quad) {
    if constexpr (kSigned) {
      values = _mm256_xor_si256(quad, _mm256_set1_epi8(-128));
      magnitudes = _mm256_abs_epi8(values);
    } else {
      values = magnitudes = quad;
    }
  }
  __m256i Times(__m256i x) const {
    if constexpr (kSigned) x = _mm256_sign_epi8(x, values);
    return _mm256_maddubs_epi16(magnitudes, x);
  }
};

// Pairs of int16 sums added up in int32.
inline __m256i Widened(__m256i pairs) { return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)); }

}  // namespace
}  // namespace cairn::kernels

#endif  // CAIRN_KERNELS_TILE_AVX2_H_
