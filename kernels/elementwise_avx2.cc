// AVX2. See distance_variants.h for what must not be used here.
#include <immintrin.h>

#include "kernels/elementwise_variants.h"
#include "kernels/exp_avx2.h"

namespace cairn::kernels {
namespace {

// The first n values at an address, or all eight.
struct Some {
  size_t n;
  __m256i mask;

  explicit Some(size_t left) : n(left) {
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(left < 8 ? static_cast<int>(left) : 8), lanes);
  }
  __m256 Load(const float* at) const {
    return n >= 8 ? _mm256_loadu_ps(at) : _mm256_maskload_ps(at, mask);
  }
  void Store(float* at, __m256 values) const {
    if (n >= 8) {
      _mm256_storeu_ps(at, values);
    } else {
      _mm256_maskstore_ps(at, mask, values);
    }
  }
};

float Total(__m256 v) {
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_shuffle_ps(four, four, 1)));
}

void RmsNorm(const float* x, const float* weight, size_t n, float epsilon, float* out) {
  __m256 squares[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                       _mm256_setzero_ps()};
  size_t i = 0;
  for (; i + 32 <= n; i += 32) {
    for (size_t v = 0; v < 4; ++v) {
      const __m256 values = _mm256_loadu_ps(x + i + 8 * v);
      squares[v] = _mm256_fmadd_ps(values, values, squares[v]);
    }
  }
  for (; i < n; i += 8) {
    const __m256 values = Some(n - i).Load(x + i);
    squares[0] = _mm256_fmadd_ps(values, values, squares[0]);
  }
  const float total = Total(
      _mm256_add_ps(_mm256_add_ps(squares[0], squares[1]), _mm256_add_ps(squares[2], squares[3])));
  const float mean = total / static_cast<float>(n) + epsilon;
  const __m256 scale = _mm256_set1_ps(1.0f / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(mean))));
  for (i = 0; i < n; i += 8) {
    const Some some(n - i);
    const __m256 scaled = _mm256_mul_ps(some.Load(x + i), scale);
    some.Store(out + i, _mm256_mul_ps(scaled, some.Load(weight + i)));
  }
}

void SiluMultiply(const float* gate, const float* up, size_t n, float* out) {
  const __m256 one = _mm256_set1_ps(1.0f);
  const __m256 log2e = _mm256_set1_ps(-1.4426950408889634f);
  for (size_t i = 0; i < n; i += 8) {
    const Some some(n - i);
    const __m256 x = some.Load(gate + i);
    const __m256 silu = _mm256_div_ps(x, _mm256_add_ps(one, Exp2(_mm256_mul_ps(x, log2e))));
    some.Store(out + i, _mm256_mul_ps(silu, some.Load(up + i)));
  }
}

void RotateHalves(float* x, const float* cos, const float* sin, size_t half) {
  for (size_t i = 0; i < half; i += 8) {
    const Some some(half - i);
    const __m256 c = some.Load(cos + i);
    const __m256 s = some.Load(sin + i);
    const __m256 a = some.Load(x + i);
    const __m256 b = some.Load(x + i + half);
    some.Store(x + i, _mm256_fmsub_ps(a, c, _mm256_mul_ps(b, s)));
    some.Store(x + i + half, _mm256_fmadd_ps(a, s, _mm256_mul_ps(b, c)));
  }
}

void RotatePairs(float* x, const float* cos, const float* sin, size_t half) {
  // Each cosine and sine serves both of a pair.
  const __m256i spread = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
  for (size_t i = 0; i < half; i += 4) {
    const size_t left = half - i < 4 ? half - i : 4;
    const Some four(left), both(2 * left);
    const __m256 c = _mm256_permutevar8x32_ps(four.Load(cos + i), spread);
    const __m256 s = _mm256_permutevar8x32_ps(four.Load(sin + i), spread);
    const __m256 v = both.Load(x + 2 * i);
    const __m256 swapped = _mm256_permute_ps(v, 0xb1);
    // Even lanes: x c - y s, odd lanes: y c + x s.
    both.Store(x + 2 * i, _mm256_fmaddsub_ps(v, c, _mm256_mul_ps(swapped, s)));
  }
}

void Add(const float* x, size_t n, float* out) {
  for (size_t i = 0; i < n; i += 8) {
    const Some some(n - i);
    some.Store(out + i, _mm256_add_ps(some.Load(x + i), some.Load(out + i)));
  }
}

void LayerNorm(const float* x, const float* weight, const float* bias, size_t n, float epsilon,
               float* out) {
  __m256 sums[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
  for (size_t i = 0; i < n; i += 8) {
    sums[i / 8 % 2] = _mm256_add_ps(sums[i / 8 % 2], Some(n - i).Load(x + i));
  }
  const float total = Total(_mm256_add_ps(sums[0], sums[1]));
  const __m256 mean = _mm256_set1_ps(total / static_cast<float>(n));
  __m256 squares[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
  for (size_t i = 0; i < n; i += 8) {
    const Some some(n - i);
    __m256 apart = _mm256_sub_ps(some.Load(x + i), mean);
    if (n - i < 8) apart = _mm256_and_ps(apart, _mm256_castsi256_ps(some.mask));
    squares[i / 8 % 2] = _mm256_fmadd_ps(apart, apart, squares[i / 8 % 2]);
  }
  const float variance =
      Total(_mm256_add_ps(squares[0], squares[1])) / static_cast<float>(n) + epsilon;
  const __m256 scale = _mm256_set1_ps(1.0f / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(variance))));
  for (size_t i = 0; i < n; i += 8) {
    const Some some(n - i);
    const __m256 scaled = _mm256_mul_ps(_mm256_sub_ps(some.Load(x + i), mean), scale);
    some.Store(out + i, _mm256_fmadd_ps(scaled, some.Load(weight + i), some.Load(bias + i)));
  }
}

// erfc(|z|) / 2 by Abramowitz and Stegun 7.1.26: within 8e-8.
__m256 HalfErfc(__m256 size) {
  const __m256 one = _mm256_set1_ps(1.0f);
  const __m256 t = _mm256_div_ps(one, _mm256_fmadd_ps(size, _mm256_set1_ps(0.3275911f), one));
  __m256 p = _mm256_set1_ps(0.5f * 1.061405429f);
  p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(0.5f * -1.453152027f));
  p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(0.5f * 1.421413741f));
  p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(0.5f * -0.284496736f));
  p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(0.5f * 0.254829592f));
  const __m256 power = _mm256_mul_ps(_mm256_mul_ps(size, size), _mm256_set1_ps(-1.442695041f));
  return _mm256_mul_ps(_mm256_mul_ps(p, t), Exp2(power));
}

void Gelu(const float* x, const float* bias, size_t n, float* out) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  for (size_t i = 0; i < n; i += 8) {
    const Some some(n - i);
    const __m256 y = _mm256_add_ps(some.Load(x + i), some.Load(bias + i));
    const __m256 size = _mm256_andnot_ps(sign, y);
    // max(y, 0) - |y| erfc(|y| / sqrt 2) / 2
    const __m256 tail = HalfErfc(_mm256_mul_ps(size, _mm256_set1_ps(0.70710678f)));
    some.Store(out + i, _mm256_fnmadd_ps(size, tail, _mm256_max_ps(_mm256_setzero_ps(), y)));
  }
}

void GeluTanh(const float* x, const float* bias, size_t n, float* out) {
  const __m256 one = _mm256_set1_ps(1.0f);
  // -2 sqrt(2 / pi) log2(e), and that times 0.044715.
  const __m256 linear = _mm256_set1_ps(-2.3022082f);
  const __m256 cubic = _mm256_set1_ps(-2.3022082f * 0.044715f);
  for (size_t i = 0; i < n; i += 8) {
    const Some some(n - i);
    const __m256 y = _mm256_add_ps(some.Load(x + i), some.Load(bias + i));
    const __m256 power = _mm256_mul_ps(y, _mm256_fmadd_ps(_mm256_mul_ps(y, y), cubic, linear));
    some.Store(out + i, _mm256_div_ps(y, _mm256_add_ps(one, Exp2(power))));
  }
}

}  // namespace

const ElementwiseKernels kAvx2Elementwise = {RmsNorm, SiluMultiply, RotateHalves, RotatePairs,
                                             Add,     LayerNorm,    Gelu,         GeluTanh};

}  // namespace cairn::kernels
