// Reads packed tiles into AVX-512 registers. Included by AVX-512 units alone; everything here has
// internal linkage (distance_variants.h says why).
#ifndef CAIRN_KERNELS_TILE_AVX512_H_
#define CAIRN_KERNELS_TILE_AVX512_H_

#include <immintrin.h>

#include "kernels/matmul_variants.h"
#include "kernels/packed_matrix.h"
#include "kernels/tile_formats.h"

namespace cairn::kernels {
namespace {

inline __m512i LoadBytes(const uint8_t* at) { return _mm512_loadu_si512(at); }

inline __m512 LoadHalves(const void* at) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(at)));
}

inline __m512 LoadUnsigned(const uint8_t* at) {
  return _mm512_cvtepi32_ps(
      _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at))));
}

inline __m512 LoadSigned(const uint8_t* at) {
  return _mm512_cvtepi32_ps(
      _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at))));
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

  // The quantised values of quad j, [16 rows][4 columns], unsigned.
  template <int j>
  __m512i Quad() const {
    if constexpr (F::kLowBits == 8) {
      return LoadBytes(at + F::kLow + j * 64);
    } else {
      const __m512i nibbles = LoadBytes(at + F::kLow + j % 4 * 64);
      const __m512i shifted = j < 4 ? nibbles : _mm512_srli_epi16(nibbles, 4);
      const __m512i low = _mm512_and_si512(shifted, _mm512_set1_epi8(15));
      if constexpr (F::kHighBits == 0) {
        return low;
      } else if constexpr (F::kHighBits == 1) {
        return _mm512_or_si512(low, High(LoadBytes(at + F::kHigh), j, 16));
      } else {
        return _mm512_or_si512(low, High(LoadBytes(at + F::kHigh + j / 4 * 64), 2 * (j % 4), 48));
      }
    }
  }

  // Scales of columns [16 s, 16 s + 16) for Q6_K, of all 32 otherwise (s = 0).
  __m512 Scales(size_t s) const {
    if constexpr (F::kHeader == 0) {
      return LoadHalves(at);
    } else if constexpr (F::kFormat == BlockFormat::kQ6_K) {
      return _mm512_mul_ps(LoadHalves(header), LoadSigned(at + s * 16));
    } else {
      return _mm512_mul_ps(LoadHalves(header), LoadUnsigned(at));
    }
  }

  // What is added to each value.
  __m512 Minima() const {
    if constexpr (F::kHeader == 0) {
      return LoadHalves(at + F::kMin);
    } else {
      const __m512 minima = _mm512_mul_ps(LoadHalves(header + 32), LoadUnsigned(at + F::kMin));
      return _mm512_sub_ps(_mm512_setzero_ps(), minima);
    }
  }

 private:
  // Bits of `mask` (16: one, 48: two) of each byte, taken from bit `from` upwards.
  static __m512i High(__m512i bits, int from, char mask) {
    const __m512i moved = from < 4 ? _mm512_slli_epi16(bits, static_cast<unsigned>(4 - from))
                                   : _mm512_srli_epi16(bits, static_cast<unsigned>(from - 4));
    return _mm512_and_si512(moved, _mm512_set1_epi8(mask));
  }
};

}  // namespace
}  // namespace cairn::kernels

#endif  // CAIRN_KERNELS_TILE_AVX512_H_
