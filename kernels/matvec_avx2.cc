// AVX2 products of one to four vectors, straight from the tiles: bound by reading these. See
// distance_variants.h for what must not be used here.
#include <immintrin.h>

#include <type_traits>

#include "kernels/matmul_avx2.h"
#include "kernels/tile_avx2.h"

namespace cairn::kernels {
namespace {

// A line so far ahead of the one in use that it arrives in time.
inline void PrefetchAhead(const void* at) {
  _mm_prefetch(static_cast<const char*>(at) + 4096, _MM_HINT_T0);
}

template <int kRows>
void Store(const __m256 (*sum)[2], float* c, size_t ldc, bool accumulate) {
  for (int r = 0; r < kRows; ++r) {
    for (int half = 0; half < 2; ++half) {
      float* to = c + r * ldc + 8 * half;
      const __m256 value = sum[r][half];
      _mm256_storeu_ps(to, accumulate ? _mm256_add_ps(value, _mm256_loadu_ps(to)) : value);
    }
  }
}

// Adds to sum[r] the products of half of a block with columns k to k + 31 of each row.
template <class F, int kRows>
inline __attribute__((always_inline)) void AddI8Block(const Block<F>& block, int half,
                                                      const I8Rows& a, size_t k, __m256 (*sum)[2]) {
  using B = Block<F>;
  using Quads = IntegerQuads<F>;
  __m256i dot[kRows][B::kSteps];
  for (int r = 0; r < kRows; ++r) {
    const int32_t* sums = a.sums + r * (a.columns / 16) + k / 16;
    if constexpr (Quads::kCorrection == 0) {
      for (__m256i& d : dot[r]) d = _mm256_setzero_si256();
    } else if constexpr (B::kSteps == 2) {
      for (int s = 0; s < 2; ++s) dot[r][s] = _mm256_set1_epi32(Quads::kCorrection * sums[s]);
    } else {
      dot[r][0] = _mm256_set1_epi32(Quads::kCorrection * (sums[0] + sums[1]));
    }
  }
  __m256i pairs[kRows];
  Unrolled<0, 8>([&](auto quad) {
    constexpr int j = decltype(quad)::value;
    const Quads w(block.template Quad<j>(half));
    for (int r = 0; r < kRows; ++r) {
      const __m256i product = w.Times(BroadcastQuad(a.q + r * a.columns + k + 4 * j));
      pairs[r] = j % Quads::kTogether == 0 ? product : _mm256_add_epi16(pairs[r], product);
      if constexpr ((j + 1) % Quads::kTogether == 0) {
        __m256i& total = dot[r][B::kSteps == 2 ? j / 4 : 0];
        total = _mm256_add_epi32(total, Widened(pairs[r]));
      }
    }
  });
  for (int r = 0; r < kRows; ++r) {
    for (size_t s = 0; s < B::kSteps; ++s) {
      const __m256 exact = _mm256_cvtepi32_ps(dot[r][s]);
      sum[r][half] = _mm256_fmadd_ps(exact, block.Scales(s, half), sum[r][half]);
    }
    if constexpr (B::kMinima) {
      const int32_t* sums = a.sums + r * (a.columns / 16) + k / 16;
      const __m256 x = _mm256_set1_ps(static_cast<float>(sums[0] + sums[1]));
      sum[r][half] = _mm256_fmadd_ps(block.Minima(half), x, sum[r][half]);
    }
  }
}

template <class F, int kRows>
void I8Vectors(const std::byte* tile, const I8Rows& a, float* c, size_t ldc, bool accumulate) {
  using B = Block<F>;
  __m256 total[kRows][2];
  for (auto& row : total) row[0] = row[1] = _mm256_setzero_ps();
  for (size_t group = 0; group * 128 < a.columns; ++group) {
    const size_t end = group * 128 + 128 < a.columns ? group * 128 + 128 : a.columns;
    __m256 sum[kRows][2];
    for (auto& row : sum) row[0] = row[1] = _mm256_setzero_ps();
    for (size_t k = group * 128; k < end; k += 32) {
      const B block = B::At(tile, k / 32);
      for (size_t line = 0; line < F::kBytes; line += 64) PrefetchAhead(block.at + line);
      for (int half = 0; half < 2; ++half) AddI8Block<F, kRows>(block, half, a, k, sum);
    }
    for (int r = 0; r < kRows; ++r) {
      const __m256 scale = _mm256_set1_ps(a.scales[r * a.groups + group]);
      for (int half = 0; half < 2; ++half) {
        total[r][half] = _mm256_fmadd_ps(sum[r][half], scale, total[r][half]);
      }
    }
  }
  Store<kRows>(total, c, ldc, accumulate);
}

// Values of quantised blocks as float32, times float32 activations.
template <class F, int kRows>
void BlockVectors(const std::byte* tile, size_t columns, const float* a, float* c, size_t ldc,
                  bool accumulate) {
  using B = Block<F>;
  __m256 sum[kRows][2];
  for (auto& row : sum) row[0] = row[1] = _mm256_setzero_ps();
  for (size_t k = 0; k < columns; k += 32) {
    const B block = B::At(tile, k / 32);
    for (size_t line = 0; line < F::kBytes; line += 64) PrefetchAhead(block.at + line);
    for (int half = 0; half < 2; ++half) {
      const ColumnsOf<F> of(block, half);
      // Two chains of additions: the latency of one would be longer than the conversions.
      __m256 chain[kRows][2];
      for (int r = 0; r < kRows; ++r) {
        chain[r][0] = sum[r][half];
        chain[r][1] = _mm256_setzero_ps();
      }
      Unrolled<0, 8>([&](auto quad) {
        constexpr int j = decltype(quad)::value;
        constexpr size_t s = B::kSteps == 2 ? j / 4 : 0;
        const __m256i q = block.template Quad<j>(half);
        Unrolled<0, 4>([&](auto byte) {
          constexpr int i = decltype(byte)::value;
          const __m256 w =
              _mm256_fmadd_ps(of.scale[s], ColumnsOf<F>::template Level<i>(q), of.offset[s]);
          for (int r = 0; r < kRows; ++r) {
            const __m256 x = _mm256_set1_ps(a[r * columns + k + 4 * j + i]);
            chain[r][i % 2] = _mm256_fmadd_ps(w, x, chain[r][i % 2]);
          }
        });
      });
      for (int r = 0; r < kRows; ++r) sum[r][half] = _mm256_add_ps(chain[r][0], chain[r][1]);
    }
  }
  Store<kRows>(sum, c, ldc, accumulate);
}

// Plain floats, two columns at a time: load(k, half, w) sets w[2]. One or two rows have a sum for
// each of the two columns, which hides the latency of adding; more rows do without.
template <int kRows, class Load>
void FloatVectors(size_t columns, const float* a, float* c, size_t ldc, bool accumulate,
                  Load load) {
  constexpr int kChains = kRows <= 2 ? 2 : 1;
  __m256 sum[kRows][kChains][2];
  for (auto& row : sum) {
    for (auto& chain : row) chain[0] = chain[1] = _mm256_setzero_ps();
  }
  for (size_t k = 0; k < columns; k += 2) {
    for (int half = 0; half < 2; ++half) {
      __m256 w[2];
      load(k, half, w);
      for (int r = 0; r < kRows; ++r) {
        for (int i = 0; i < 2; ++i) {
          __m256& chain = sum[r][i % kChains][half];
          chain = _mm256_fmadd_ps(w[i], _mm256_set1_ps(a[r * columns + k + i]), chain);
        }
      }
    }
  }
  __m256 total[kRows][2];
  for (int r = 0; r < kRows; ++r) {
    for (int half = 0; half < 2; ++half) {
      total[r][half] = kChains == 2 ? _mm256_add_ps(sum[r][0][half], sum[r][kChains - 1][half])
                                    : sum[r][0][half];
    }
  }
  Store<kRows>(total, c, ldc, accumulate);
}

template <int kRows>
void PlainVectors(BlockFormat format, const std::byte* tile, size_t columns, const float* a,
                  float* c, size_t ldc, bool accumulate) {
  const char* bytes = reinterpret_cast<const char*>(tile);
  if (format == BlockFormat::kF32) {
    FloatVectors<kRows>(columns, a, c, ldc, accumulate, [bytes](size_t k, int half, __m256* w) {
      const char* at = bytes + k * 64 + half * 32;
      PrefetchAhead(bytes + k * 64 + half * 64);
      w[0] = _mm256_loadu_ps(reinterpret_cast<const float*>(at));
      w[1] = _mm256_loadu_ps(reinterpret_cast<const float*>(at + 64));
    });
  } else if (format == BlockFormat::kF16) {
    FloatVectors<kRows>(columns, a, c, ldc, accumulate, [bytes](size_t k, int half, __m256* w) {
      const char* at = bytes + k * 32 + half * 16;
      if (half == 0) PrefetchAhead(at);
      w[0] = LoadHalves(at);
      w[1] = LoadHalves(at + 32);
    });
  } else {
    FloatVectors<kRows>(columns, a, c, ldc, accumulate, [bytes](size_t k, int half, __m256* w) {
      const char* at = bytes + k * 32 + half * 32;
      if (half == 0) PrefetchAhead(at);
      const __m256i pairs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
      w[0] = _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
      w[1] = _mm256_castsi256_ps(
          _mm256_and_si256(pairs, _mm256_set1_epi32(static_cast<int>(0xffff0000))));
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

void Avx2VectorF32(BlockFormat format, const std::byte* tile, size_t columns, const float* a,
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

void Avx2VectorI8(BlockFormat format, const std::byte* tile, const I8Rows& a, size_t m, float* c,
                  size_t ldc, bool accumulate) {
  VisitRows(m, [&](auto rows) {
    VisitFormat(format, [&](auto f) {
      I8Vectors<decltype(f), decltype(rows)::value>(tile, a, c, ldc, accumulate);
    });
  });
}

}  // namespace cairn::kernels
