// AVX-512. See distance_variants.h for what must not be used here.
#include <immintrin.h>

#include "kernels/elementwise_variants.h"
#include "kernels/exp_avx512.h"

namespace cairn::kernels {
namespace {

__mmask16 First(size_t n) { return n >= 16 ? 0xffff : static_cast<__mmask16>((1u << n) - 1); }

void RmsNorm(const float* x, const float* weight, size_t n, float epsilon, float* out) {
  __m512 squares[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                       _mm512_setzero_ps()};
  size_t i = 0;
  for (; i + 64 <= n; i += 64) {
    for (size_t v = 0; v < 4; ++v) {
      const __m512 values = _mm512_loadu_ps(x + i + 16 * v);
      squares[v] = _mm512_fmadd_ps(values, values, squares[v]);
    }
  }
  for (; i < n; i += 16) {
    const __m512 values = _mm512_maskz_loadu_ps(First(n - i), x + i);
    squares[0] = _mm512_fmadd_ps(values, values, squares[0]);
  }
  const float total = _mm512_reduce_add_ps(
      _mm512_add_ps(_mm512_add_ps(squares[0], squares[1]), _mm512_add_ps(squares[2], squares[3])));
  const float mean = total / static_cast<float>(n) + epsilon;
  const __m512 scale = _mm512_set1_ps(1.0f / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(mean))));
  for (i = 0; i < n; i += 16) {
    const __mmask16 some = First(n - i);
    const __m512 scaled = _mm512_mul_ps(_mm512_maskz_loadu_ps(some, x + i), scale);
    _mm512_mask_storeu_ps(out + i, some,
                          _mm512_mul_ps(scaled, _mm512_maskz_loadu_ps(some, weight + i)));
  }
}

void SiluMultiply(const float* gate, const float* up, size_t n, float* out) {
  const __m512 one = _mm512_set1_ps(1.0f);
  const __m512 log2e = _mm512_set1_ps(-1.4426950408889634f);
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 some = First(n - i);
    const __m512 x = _mm512_maskz_loadu_ps(some, gate + i);
    const __m512 silu = _mm512_div_ps(x, _mm512_add_ps(one, Exp2(_mm512_mul_ps(x, log2e))));
    const __m512 product = _mm512_mul_ps(silu, _mm512_maskz_loadu_ps(some, up + i));
    _mm512_mask_storeu_ps(out + i, some, product);
  }
}

void RotateHalves(float* x, const float* cos, const float* sin, size_t half) {
  for (size_t i = 0; i < half; i += 16) {
    const __mmask16 some = First(half - i);
    const __m512 c = _mm512_maskz_loadu_ps(some, cos + i);
    const __m512 s = _mm512_maskz_loadu_ps(some, sin + i);
    const __m512 a = _mm512_maskz_loadu_ps(some, x + i);
    const __m512 b = _mm512_maskz_loadu_ps(some, x + i + half);
    _mm512_mask_storeu_ps(x + i, some, _mm512_fmsub_ps(a, c, _mm512_mul_ps(b, s)));
    _mm512_mask_storeu_ps(x + i + half, some, _mm512_fmadd_ps(a, s, _mm512_mul_ps(b, c)));
  }
}

void RotatePairs(float* x, const float* cos, const float* sin, size_t half) {
  // Each cosine and sine serves both of a pair.
  const __m512i spread = _mm512_set_epi32(7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0);
  for (size_t i = 0; i < half; i += 8) {
    const size_t left = half - i < 8 ? half - i : 8;
    const __mmask16 some = First(left);
    const __mmask16 both = First(2 * left);
    const __m512 c = _mm512_permutexvar_ps(spread, _mm512_maskz_loadu_ps(some, cos + i));
    const __m512 s = _mm512_permutexvar_ps(spread, _mm512_maskz_loadu_ps(some, sin + i));
    const __m512 v = _mm512_maskz_loadu_ps(both, x + 2 * i);
    const __m512 swapped = _mm512_permute_ps(v, 0xb1);
    // Even lanes: x c - y s, odd lanes: y c + x s.
    const __m512 turned = _mm512_fmaddsub_ps(v, c, _mm512_mul_ps(swapped, s));
    _mm512_mask_storeu_ps(x + 2 * i, both, turned);
  }
}

void Add(const float* x, size_t n, float* out) {
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 some = First(n - i);
    const __m512 sum =
        _mm512_add_ps(_mm512_maskz_loadu_ps(some, x + i), _mm512_maskz_loadu_ps(some, out + i));
    _mm512_mask_storeu_ps(out + i, some, sum);
  }
}

// The sum of f(x[i]) over i < n, where f gives zero for lanes that are not in its mask.
template <class F>
float SumOf(const float* x, size_t n, F f) {
  __m512 sums[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                    _mm512_setzero_ps()};
  size_t i = 0;
  for (; i + 64 <= n; i += 64) {
    for (size_t v = 0; v < 4; ++v) sums[v] = f(sums[v], _mm512_loadu_ps(x + i + 16 * v), 0xffff);
  }
  for (; i < n; i += 16) {
    const __mmask16 some = First(n - i);
    sums[0] = f(sums[0], _mm512_maskz_loadu_ps(some, x + i), some);
  }
  return _mm512_reduce_add_ps(
      _mm512_add_ps(_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3])));
}

void LayerNorm(const float* x, const float* weight, const float* bias, size_t n, float epsilon,
               float* out) {
  const float sum =
      SumOf(x, n, [](__m512 total, __m512 v, __mmask16) { return _mm512_add_ps(total, v); });
  const __m512 mean = _mm512_set1_ps(sum / static_cast<float>(n));
  const float squares = SumOf(x, n, [mean](__m512 total, __m512 v, __mmask16 some) {
    const __m512 apart = _mm512_maskz_sub_ps(some, v, mean);
    return _mm512_fmadd_ps(apart, apart, total);
  });
  const float variance = squares / static_cast<float>(n) + epsilon;
  const __m512 scale = _mm512_set1_ps(1.0f / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(variance))));
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 some = First(n - i);
    const __m512 apart = _mm512_sub_ps(_mm512_maskz_loadu_ps(some, x + i), mean);
    const __m512 scaled = _mm512_mul_ps(apart, scale);
    const __m512 result = _mm512_fmadd_ps(scaled, _mm512_maskz_loadu_ps(some, weight + i),
                                          _mm512_maskz_loadu_ps(some, bias + i));
    _mm512_mask_storeu_ps(out + i, some, result);
  }
}

// erfc(|z|) / 2 by Abramowitz and Stegun 7.1.26: within 8e-8.
__m512 HalfErfc(__m512 z) {
  const __m512 size = _mm512_abs_ps(z);
  const __m512 one = _mm512_set1_ps(1.0f);
  const __m512 t = _mm512_div_ps(one, _mm512_fmadd_ps(size, _mm512_set1_ps(0.3275911f), one));
  __m512 p = _mm512_set1_ps(0.5f * 1.061405429f);
  p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(0.5f * -1.453152027f));
  p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(0.5f * 1.421413741f));
  p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(0.5f * -0.284496736f));
  p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(0.5f * 0.254829592f));
  const __m512 power = _mm512_mul_ps(_mm512_mul_ps(size, size), _mm512_set1_ps(-1.442695041f));
  return _mm512_mul_ps(_mm512_mul_ps(p, t), Exp2(power));
}

void Gelu(const float* x, const float* bias, size_t n, float* out) {
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 some = First(n - i);
    const __m512 y =
        _mm512_add_ps(_mm512_maskz_loadu_ps(some, x + i), _mm512_maskz_loadu_ps(some, bias + i));
    // max(y, 0) - |y| erfc(|y| / sqrt 2) / 2
    const __m512 tail = HalfErfc(_mm512_mul_ps(y, _mm512_set1_ps(0.70710678f)));
    const __m512 result =
        _mm512_fnmadd_ps(_mm512_abs_ps(y), tail, _mm512_max_ps(_mm512_setzero_ps(), y));
    _mm512_mask_storeu_ps(out + i, some, result);
  }
}

void GeluTanh(const float* x, const float* bias, size_t n, float* out) {
  const __m512 one = _mm512_set1_ps(1.0f);
  // -2 sqrt(2 / pi) log2(e), and that times 0.044715.
  const __m512 linear = _mm512_set1_ps(-2.3022082f);
  const __m512 cubic = _mm512_set1_ps(-2.3022082f * 0.044715f);
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 some = First(n - i);
    const __m512 y =
        _mm512_add_ps(_mm512_maskz_loadu_ps(some, x + i), _mm512_maskz_loadu_ps(some, bias + i));
    const __m512 power = _mm512_mul_ps(y, _mm512_fmadd_ps(_mm512_mul_ps(y, y), cubic, linear));
    _mm512_mask_storeu_ps(out + i, some, _mm512_div_ps(y, _mm512_add_ps(one, Exp2(power))));
  }
}

}  // namespace

const ElementwiseKernels kAvx512Elementwise = {RmsNorm, SiluMultiply, RotateHalves, RotatePairs,
                                               Add,     LayerNorm,    Gelu,         GeluTanh};

}  // namespace cairn::kernels
