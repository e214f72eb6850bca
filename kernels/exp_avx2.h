// Powers of two in AVX2 registers. Included by AVX2 units alone; internal linkage.
#ifndef CAIRN_KERNELS_EXP_AVX2_H_
#define CAIRN_KERNELS_EXP_AVX2_H_

#include <immintrin.h>

namespace cairn::kernels {
namespace {

// 2^n for n in [-126, 127], whole.
inline __m256 PowerOfTwo(__m256i n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}

// 2^x with a relative error below 3e-7 where it is a normal number; 0 below, infinity beyond; NaN
// for NaN.
inline __m256 Exp2(__m256 x) {
  // 2^x = 2^n * e^(f ln 2) with |f| <= 1/2; Taylor's series to the sixth power. Bounded so that
  // half of n is a float's exponent; NaN, the second operand, stays.
  const __m256 within =
      _mm256_min_ps(_mm256_set1_ps(254.0f), _mm256_max_ps(_mm256_set1_ps(-252.0f), x));
  const __m256 n = _mm256_round_ps(within, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m256 f = _mm256_sub_ps(within, n);
  __m256 p = _mm256_set1_ps(1.5403530393381610e-4f);
  p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(1.3333558146428443e-3f));
  p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(9.6181291076284772e-3f));
  p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(5.5504108664821580e-2f));
  p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(2.4022650695910072e-1f));
  p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(6.9314718055994531e-1f));
  p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(1.0f));
  // In two steps: n itself may be beyond the exponents of normal numbers.
  const __m256i whole = _mm256_cvtps_epi32(n);
  const __m256i first = _mm256_srai_epi32(whole, 1);
  const __m256 part = _mm256_mul_ps(p, PowerOfTwo(first));
  return _mm256_mul_ps(part, PowerOfTwo(_mm256_sub_epi32(whole, first)));
}

}  // namespace
}  // namespace cairn::kernels

#endif  // CAIRN_KERNELS_EXP_AVX2_H_
