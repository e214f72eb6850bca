// AVX2 attention kernels. See distance_variants.h for what must not be used here.
#include <immintrin.h>

#include "kernels/attention_variants.h"
#include "kernels/exp_avx2.h"

namespace cairn::kernels {
namespace {

constexpr size_t kTokens = 64;
constexpr size_t kVectors = kTokens / 8;

__m256 FromBytes(const void* at) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(at))));
}

__m256 FromHalves(const void* at) {
  return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(at)));
}

// Eight pairs of bfloat16: the first of each to `even`, the second to `odd`.
void FromPairs(const char* pairs, float* even, float* odd) {
  const __m256i both = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(pairs));
  _mm256_storeu_ps(even, _mm256_castsi256_ps(_mm256_slli_epi32(both, 16)));
  const __m256i mask = _mm256_set1_epi32(static_cast<int>(0xffff0000));
  _mm256_storeu_ps(odd, _mm256_castsi256_ps(_mm256_and_si256(both, mask)));
}

void PanelsFromBf16(const char* tile, size_t padded, float* keys, float* values) {
  const char* from = tile + 2 * kTokens * padded;
  for (size_t d = 0; d < padded; d += 2) {
    for (size_t t = 0; t < kTokens; t += 8) {
      FromPairs(tile + (d / 2 * kTokens + t) * 4, keys + d * kTokens + t,
                keys + (d + 1) * kTokens + t);
    }
  }
  for (size_t t = 0; t < kTokens; t += 2) {
    for (size_t d = 0; d < padded; d += 8) {
      FromPairs(from + (t / 2 * padded + d) * 4, values + t * padded + d,
                values + (t + 1) * padded + d);
    }
  }
}

void PanelsFromBytes(const char* tile, size_t padded, float* keys, float* values) {
  const char* from = tile + kTokens * padded;
  const float* scales = reinterpret_cast<const float*>(from + kTokens * padded);
  for (size_t t = 0; t < kTokens; t += 8) {
    const __m256 scale = _mm256_loadu_ps(scales + t);
    for (size_t d = 0; d < padded; ++d) {
      const size_t index = d * kTokens + t;
      _mm256_storeu_ps(keys + index, _mm256_mul_ps(FromBytes(tile + index), scale));
    }
  }
  for (size_t t = 0; t < kTokens; ++t) {
    const __m256 scale = _mm256_set1_ps(scales[kTokens + t]);
    for (size_t d = 0; d < padded; d += 8) {
      const size_t index = t * padded + d;
      _mm256_storeu_ps(values + index, _mm256_mul_ps(FromBytes(from + index), scale));
    }
  }
}

void PanelsF32(KvType type, const std::byte* tile, size_t padded, float* keys, float* values) {
  const char* bytes = reinterpret_cast<const char*>(tile);
  if (type == KvType::kBF16) return PanelsFromBf16(bytes, padded, keys, values);
  if (type == KvType::kI8) return PanelsFromBytes(bytes, padded, keys, values);
  const size_t n = kTokens * padded;
  for (size_t i = 0; i < n; i += 8) {
    _mm256_storeu_ps(keys + i, FromHalves(bytes + 2 * i));
    _mm256_storeu_ps(values + i, FromHalves(bytes + 2 * (n + i)));
  }
}

float Largest(__m256 v) {
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  four = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(four, _mm_shuffle_ps(four, four, 1)));
}

float Total(__m256 v) {
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_shuffle_ps(four, four, 1)));
}

// -infinity outside of [begin, end), whatever lies there.
__m256 ScoresWithin(const float* scores, size_t begin, size_t end, size_t from) {
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i index = _mm256_add_epi32(lanes, _mm256_set1_epi32(static_cast<int>(from)));
  const __m256i early = _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(begin)), index);
  const __m256i counted = _mm256_andnot_si256(
      early, _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(end)), index));
  return _mm256_blendv_ps(_mm256_set1_ps(-__builtin_inff()), _mm256_loadu_ps(scores + from),
                          _mm256_castsi256_ps(counted));
}

void SoftmaxF32(const float* scores, size_t begin, size_t end, size_t padded, float* maximum,
                float* sum, float* out, float* weights) {
  __m256 s[kVectors];
  __m256 most_of_all = _mm256_set1_ps(-__builtin_inff());
  for (size_t v = 0; v < kVectors; ++v) {
    s[v] = ScoresWithin(scores, begin, end, 8 * v);
    most_of_all = _mm256_max_ps(most_of_all, s[v]);
  }
  const float most = Largest(most_of_all);
  if (most > *maximum) {
    const __m256 ratio = Exp2(_mm256_set1_ps(*maximum - most));
    *sum *= _mm256_cvtss_f32(ratio);
    *maximum = most;
    for (size_t d = 0; d < padded; d += 8) {
      _mm256_storeu_ps(out + d, _mm256_mul_ps(ratio, _mm256_loadu_ps(out + d)));
    }
  }
  const __m256 top = _mm256_set1_ps(*maximum);
  __m256 total = _mm256_setzero_ps();
  for (size_t v = 0; v < kVectors; ++v) {
    const __m256 weight = Exp2(_mm256_sub_ps(s[v], top));
    total = _mm256_add_ps(total, weight);
    _mm256_storeu_ps(weights + 8 * v, weight);
  }
  *sum += Total(total);
}

}  // namespace

const AttentionKernels kAvx2Attention = {PanelsF32, nullptr, SoftmaxF32, nullptr};

}  // namespace cairn::kernels
