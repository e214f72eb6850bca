// AVX-512 attention kernels. See distance_variants.h for what must not be used here.
#include <immintrin.h>

#include "kernels/attention_variants.h"
#include "kernels/exp_avx512.h"

namespace cairn::kernels {
namespace {

constexpr size_t kTokens = 64;

__m512 FromBytes(const void* at) {
  const __m128i bytes = _mm_loadu_si128(static_cast<const __m128i*>(at));
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
}

__m512 FromHalves(const void* at) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(at)));
}

// [16] pairs: `even` in the lower halves, `odd` in the upper ones.
__m512i Pairs(__m512 even, __m512 odd) {
  const __m512i low = _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(even)));
  const __m512i high = _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(odd)));
  return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

// Keys [padded][64] and values [64][padded] of a kF16 or kI8 tile, sixteen at a time.
struct TileReader {
  KvType type;
  const char* tile;
  size_t padded;

  __m512 Keys(size_t d, size_t token) const {
    const size_t index = d * kTokens + token;
    if (type == KvType::kF16) return FromHalves(tile + index * 2);
    return _mm512_mul_ps(FromBytes(tile + index), _mm512_loadu_ps(Scales() + token));
  }
  __m512 Values(size_t token, size_t d) const {
    const size_t index = (kTokens + token) * padded + d;
    if (type == KvType::kF16) return FromHalves(tile + index * 2);
    return _mm512_mul_ps(FromBytes(tile + index), _mm512_set1_ps(Scales()[kTokens + token]));
  }
  const float* Scales() const {
    return reinterpret_cast<const float*>(tile + 2 * kTokens * padded);
  }
};

void Bf16ToF32(const char* pairs, float* even, float* odd) {
  const __m512i both = _mm512_loadu_si512(pairs);
  _mm512_storeu_ps(even, _mm512_castsi512_ps(_mm512_slli_epi32(both, 16)));
  const __m512i mask = _mm512_set1_epi32(static_cast<int>(0xffff0000));
  _mm512_storeu_ps(odd, _mm512_castsi512_ps(_mm512_and_si512(both, mask)));
}

void PanelsF32(KvType type, const std::byte* tile, size_t padded, float* keys, float* values) {
  const char* bytes = reinterpret_cast<const char*>(tile);
  if (type == KvType::kBF16) {
    const char* from = bytes + 2 * kTokens * padded;
    for (size_t d = 0; d < padded; d += 2) {
      for (size_t t = 0; t < kTokens; t += 16) {
        Bf16ToF32(bytes + (d / 2 * kTokens + t) * 4, keys + d * kTokens + t,
                  keys + (d + 1) * kTokens + t);
      }
    }
    for (size_t t = 0; t < kTokens; t += 2) {
      for (size_t d = 0; d < padded; d += 16) {
        Bf16ToF32(from + (t / 2 * padded + d) * 4, values + t * padded + d,
                  values + (t + 1) * padded + d);
      }
    }
    return;
  }
  const TileReader reader = {type, bytes, padded};
  for (size_t d = 0; d < padded; ++d) {
    for (size_t t = 0; t < kTokens; t += 16) {
      _mm512_storeu_ps(keys + d * kTokens + t, reader.Keys(d, t));
    }
  }
  for (size_t t = 0; t < kTokens; ++t) {
    for (size_t d = 0; d < padded; d += 16) {
      _mm512_storeu_ps(values + t * padded + d, reader.Values(t, d));
    }
  }
}

void PanelsBf16(KvType type, const std::byte* tile, size_t padded, bf16* keys, bf16* values) {
  const TileReader reader = {type, reinterpret_cast<const char*>(tile), padded};
  for (size_t d = 0; d < padded; d += 2) {
    for (size_t t = 0; t < kTokens; t += 16) {
      _mm512_storeu_si512(keys + (d / 2 * kTokens + t) * 2,
                          Pairs(reader.Keys(d, t), reader.Keys(d + 1, t)));
    }
  }
  for (size_t t = 0; t < kTokens; t += 2) {
    for (size_t d = 0; d < padded; d += 16) {
      _mm512_storeu_si512(values + (t / 2 * padded + d) * 2,
                          Pairs(reader.Values(t, d), reader.Values(t + 1, d)));
    }
  }
}

// Bits [begin, end) of the sixteen that begin at `from`.
__mmask16 Between(size_t begin, size_t end, size_t from) {
  const auto below = [from](size_t bound) {
    if (bound <= from) return 0u;
    return bound - from >= 16 ? 0xffffu : (1u << (bound - from)) - 1u;
  };
  return static_cast<__mmask16>(below(end) & ~below(begin));
}

// The common part: w[4] become the weights, `maximum` and `out` the new ones; returns what `sum`
// is to be multiplied by.
float Step(const float* scores, size_t begin, size_t end, size_t padded, float* maximum, float* out,
           __m512* w) {
  const __m512 nothing = _mm512_set1_ps(-__builtin_inff());
  __m512 s[4];
  for (size_t v = 0; v < 4; ++v) {
    s[v] = _mm512_mask_loadu_ps(nothing, Between(begin, end, 16 * v), scores + 16 * v);
  }
  const float most =
      _mm512_reduce_max_ps(_mm512_max_ps(_mm512_max_ps(s[0], s[1]), _mm512_max_ps(s[2], s[3])));
  float rescale = 1.0f;
  if (most > *maximum) {
    const __m512 ratio = Exp2(_mm512_set1_ps(*maximum - most));
    rescale = _mm512_cvtss_f32(ratio);
    *maximum = most;
    for (size_t d = 0; d < padded; d += 16) {
      _mm512_storeu_ps(out + d, _mm512_mul_ps(ratio, _mm512_loadu_ps(out + d)));
    }
  }
  const __m512 top = _mm512_set1_ps(*maximum);
  for (size_t v = 0; v < 4; ++v) w[v] = Exp2(_mm512_sub_ps(s[v], top));
  return rescale;
}

float Total(const __m512* w) {
  return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(w[0], w[1]), _mm512_add_ps(w[2], w[3])));
}

void SoftmaxF32(const float* scores, size_t begin, size_t end, size_t padded, float* maximum,
                float* sum, float* out, float* weights) {
  __m512 w[4];
  const float rescale = Step(scores, begin, end, padded, maximum, out, w);
  *sum = *sum * rescale + Total(w);
  for (size_t v = 0; v < 4; ++v) _mm512_storeu_ps(weights + 16 * v, w[v]);
}

void SoftmaxBf16(const float* scores, size_t begin, size_t end, size_t padded, float* maximum,
                 float* sum, float* out, bf16* weights) {
  __m512 w[4];
  const float rescale = Step(scores, begin, end, padded, maximum, out, w);
  for (size_t v = 0; v < 4; ++v) {
    const auto narrow = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(w[v]));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(weights + 16 * v), narrow);
    w[v] = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(narrow), 16));
  }
  *sum = *sum * rescale + Total(w);
}

}  // namespace

const AttentionKernels kAvx512Attention = {PanelsF32, PanelsBf16, SoftmaxF32, SoftmaxBf16};

}  // namespace cairn::kernels
