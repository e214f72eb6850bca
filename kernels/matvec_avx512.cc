// AVX-512 products of one to four vectors, straight from the tiles: bound by reading these, which
// the CPU's own prefetching does best: asking for lines ahead made it slower, up to a quarter. See
// distance_variants.h for what must not be used here.
#include <immintrin.h>

#include <type_traits>

#include "kernels/matmul_avx512.h"
#include "kernels/tile_avx512.h"

namespace cairn::kernels {
namespace {

int LoadInt(const void* at) {
  int value;
  __builtin_memcpy(&value, at, 4);
  return value;
}

template <int kRows>
void Store(const __m512* sum, float* c, size_t ldc, bool accumulate) {
  for (int r = 0; r < kRows; ++r) {
    float* to = c + r * ldc;
    _mm512_storeu_ps(to, accumulate ? _mm512_add_ps(sum[r], _mm512_loadu_ps(to)) : sum[r]);
  }
}

template <class F, int kRows>
void I8Vectors(const std::byte* tile, const I8Rows& a, float* c, size_t ldc, bool accumulate) {
  using B = Block<F>;
  __m512 total[kRows];
  for (int r = 0; r < kRows; ++r) total[r] = _mm512_setzero_ps();
  for (size_t group = 0; group * 128 < a.columns; ++group) {
    const size_t end = group * 128 + 128 < a.columns ? group * 128 + 128 : a.columns;
    __m512 sum[kRows];
    for (int r = 0; r < kRows; ++r) sum[r] = _mm512_setzero_ps();
    for (size_t k = group * 128; k < end; k += 32) {
      const B block = B::At(tile, k / 32);
      // Two chains of additions: the latency of one would be longer than the memory's pace.
      __m512i dot[kRows][2];
      for (int r = 0; r < kRows; ++r) {
        const int32_t* sums = a.sums + r * (a.columns / 16) + k / 16;
        if constexpr (B::kSteps == 2) {
          dot[r][0] = _mm512_set1_epi32(-F::kZero * sums[0]);
          dot[r][1] = _mm512_set1_epi32(-F::kZero * sums[1]);
        } else {
          dot[r][0] = _mm512_set1_epi32(-F::kZero * (sums[0] + sums[1]));
          dot[r][1] = _mm512_setzero_si512();
        }
      }
      Unrolled<0, 8>([&](auto quad) {
        constexpr int j = decltype(quad)::value;
        const __m512i w = block.template Quad<j>();
        for (int r = 0; r < kRows; ++r) {
          const __m512i x = _mm512_set1_epi32(LoadInt(a.q + r * a.columns + k + 4 * j));
          dot[r][j / 4] = _mm512_dpbusd_epi32(dot[r][j / 4], w, x);
        }
      });
      const __m512 scales = block.Scales(0);
      for (int r = 0; r < kRows; ++r) {
        if constexpr (B::kSteps == 2) {
          sum[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[r][0]), scales, sum[r]);
          sum[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[r][1]), block.Scales(1), sum[r]);
        } else {
          const __m512i both = _mm512_add_epi32(dot[r][0], dot[r][1]);
          sum[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(both), scales, sum[r]);
        }
        if constexpr (B::kMinima) {
          const int32_t* sums = a.sums + r * (a.columns / 16) + k / 16;
          const __m512 x = _mm512_set1_ps(static_cast<float>(sums[0] + sums[1]));
          sum[r] = _mm512_fmadd_ps(block.Minima(), x, sum[r]);
        }
      }
    }
    for (int r = 0; r < kRows; ++r) {
      const __m512 scale = _mm512_set1_ps(a.scales[r * a.groups + group]);
      total[r] = _mm512_fmadd_ps(sum[r], scale, total[r]);
    }
  }
  Store<kRows>(total, c, ldc, accumulate);
}

// Values of quantised blocks as float32, times float32 activations.
template <class F, int kRows>
void BlockVectors(const std::byte* tile, size_t columns, const float* a, float* c, size_t ldc,
                  bool accumulate) {
  using B = Block<F>;
  __m512 sum[kRows];
  for (int r = 0; r < kRows; ++r) sum[r] = _mm512_setzero_ps();
  for (size_t k = 0; k < columns; k += 32) {
    const B block = B::At(tile, k / 32);
    __m512 minima = _mm512_setzero_ps();
    if constexpr (B::kMinima) minima = block.Minima();
    __m512 scales = block.Scales(0);
    Unrolled<0, 8>([&](auto quad) {
      constexpr int j = decltype(quad)::value;
      if constexpr (B::kSteps == 2 && j == 4) scales = block.Scales(1);
      const __m512i q = block.template Quad<j>();
      Unrolled<0, 4>([&](auto byte) {
        constexpr int i = decltype(byte)::value;
        const __m512i value =
            _mm512_sub_epi32(_mm512_and_si512(_mm512_srli_epi32(q, 8 * i), _mm512_set1_epi32(255)),
                             _mm512_set1_epi32(F::kZero));
        __m512 w = _mm512_mul_ps(scales, _mm512_cvtepi32_ps(value));
        if constexpr (B::kMinima) w = _mm512_add_ps(w, minima);
        for (int r = 0; r < kRows; ++r) {
          sum[r] = _mm512_fmadd_ps(w, _mm512_set1_ps(a[r * columns + k + 4 * j + i]), sum[r]);
        }
      });
    });
  }
  Store<kRows>(sum, c, ldc, accumulate);
}

// Plain floats, two columns at a time. Rows times four sums, which hide the latency of adding.
template <int kRows, class Load>
void FloatVectors(size_t columns, const float* a, float* c, size_t ldc, bool accumulate,
                  Load load) {
  __m512 sum[kRows][4];
  for (int r = 0; r < kRows; ++r) {
    for (__m512& s : sum[r]) s = _mm512_setzero_ps();
  }
  size_t k = 0;
  for (; k + 4 <= columns; k += 4) {
    __m512 w[4];
    load(k, w);
    load(k + 2, w + 2);
    for (int r = 0; r < kRows; ++r) {
      for (int i = 0; i < 4; ++i) {
        sum[r][i] = _mm512_fmadd_ps(w[i], _mm512_set1_ps(a[r * columns + k + i]), sum[r][i]);
      }
    }
  }
  for (; k < columns; k += 2) {
    __m512 w[2];
    load(k, w);
    for (int r = 0; r < kRows; ++r) {
      for (int i = 0; i < 2; ++i) {
        sum[r][i] = _mm512_fmadd_ps(w[i], _mm512_set1_ps(a[r * columns + k + i]), sum[r][i]);
      }
    }
  }
  __m512 total[kRows];
  for (int r = 0; r < kRows; ++r) {
    total[r] =
        _mm512_add_ps(_mm512_add_ps(sum[r][0], sum[r][1]), _mm512_add_ps(sum[r][2], sum[r][3]));
  }
  Store<kRows>(total, c, ldc, accumulate);
}

template <int kRows>
void PlainVectors(BlockFormat format, const std::byte* tile, size_t columns, const float* a,
                  float* c, size_t ldc, bool accumulate) {
  const char* bytes = reinterpret_cast<const char*>(tile);
  if (format == BlockFormat::kF32) {
    FloatVectors<kRows>(columns, a, c, ldc, accumulate, [bytes](size_t k, __m512* w) {
      w[0] = _mm512_loadu_ps(bytes + k * 64);
      w[1] = _mm512_loadu_ps(bytes + k * 64 + 64);
    });
  } else if (format == BlockFormat::kF16) {
    FloatVectors<kRows>(columns, a, c, ldc, accumulate, [bytes](size_t k, __m512* w) {
      w[0] = LoadHalves(bytes + k * 32);
      w[1] = LoadHalves(bytes + k * 32 + 32);
    });
  } else {
    FloatVectors<kRows>(columns, a, c, ldc, accumulate, [bytes](size_t k, __m512* w) {
      const __m512i pairs = _mm512_loadu_si512(bytes + k * 32);
      w[0] = _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
      w[1] = _mm512_castsi512_ps(
          _mm512_and_si512(pairs, _mm512_set1_epi32(static_cast<int>(0xffff0000))));
    });
  }
}

// visit(rows) with rows in [1, 4] as a constant.
template <class Visit>
void VisitRows(size_t rows, Visit visit) {
  switch (rows) {
    case 1:
      return visit(std::integral_constant<int, 1>());
    case 2:
      return visit(std::integral_constant<int, 2>());
    case 3:
      return visit(std::integral_constant<int, 3>());
    default:
      return visit(std::integral_constant<int, 4>());
  }
}

}  // namespace

void Avx512VectorF32(BlockFormat format, const std::byte* tile, size_t columns, const float* a,
                     size_t m, float* c, size_t ldc, bool accumulate) {
  VisitRows(m, [&](auto rows) {
    constexpr int kRows = decltype(rows)::value;
    if (!Quantised(format)) {
      return PlainVectors<kRows>(format, tile, columns, a, c, ldc, accumulate);
    }
    VisitFormat(format, [&](auto f) {
      BlockVectors<decltype(f), kRows>(tile, columns, a, c, ldc, accumulate);
    });
  });
}

void Avx512VectorI8(BlockFormat format, const std::byte* tile, const I8Rows& a, size_t m, float* c,
                    size_t ldc, bool accumulate) {
  VisitRows(m, [&](auto rows) {
    VisitFormat(format, [&](auto f) {
      I8Vectors<decltype(f), decltype(rows)::value>(tile, a, c, ldc, accumulate);
    });
  });
}

}  // namespace cairn::kernels
