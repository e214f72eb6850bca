// Powers of two in AVX-512 registers. Included by AVX-512 units alone; internal linkage.
#ifndef CAIRN_KERNELS_EXP_AVX512_H_
#define CAIRN_KERNELS_EXP_AVX512_H_

#include <immintrin.h>

namespace cairn::kernels {
namespace {

// 2^x with a relative error below 3e-7; 0 for -infinity, NaN for NaN.
inline __m512 Exp2(__m512 x) {
  // 2^x = 2^n * e^(f ln 2) with |f| <= 1/2; Taylor's series to the sixth power.
  const __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  // Below -200 all is 0, and -infinity minus itself would be NaN.
  const __m512 f = _mm512_sub_ps(_mm512_max_ps(_mm512_set1_ps(-200.0f), x),
                                 _mm512_max_ps(_mm512_set1_ps(-200.0f), n));
  __m512 p = _mm512_set1_ps(1.5403530393381610e-4f);
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.3333558146428443e-3f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(9.6181291076284772e-3f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(5.5504108664821580e-2f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(2.4022650695910072e-1f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(6.9314718055994531e-1f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0f));
  return _mm512_scalef_ps(p, n);
}

}  // namespace
}  // namespace cairn::kernels

#endif  // CAIRN_KERNELS_EXP_AVX512_H_
