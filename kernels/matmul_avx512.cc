// AVX-512 products of batches. See distance_variants.h for what must not be used here.
#include "kernels/matmul_avx512.h"

#include <immintrin.h>

#include <type_traits>

#include "kernels/matmul_variants.h"
#include "kernels/tile_avx512.h"

namespace cairn::kernels {
namespace {

// --- Tiles to panels ---------------------------------------------------------------------------

// Calls store(column, values of the sixteen rows) for the columns of blocks [begin, end) / 32.
template <class F, class Store>
void ForColumns(const std::byte* tile, size_t begin, size_t end, Store store) {
  for (size_t column = begin; column < end; column += 32) {
    const Block<F> block = Block<F>::At(tile, column / 32);
    __m512 minima = _mm512_setzero_ps();
    if constexpr (Block<F>::kMinima) minima = block.Minima();
    __m512 scales = block.Scales(0);
    Unrolled<0, 8>([&](auto quad) {
      constexpr int j = decltype(quad)::value;
      if constexpr (Block<F>::kSteps == 2 && j == 4) scales = block.Scales(1);
      const __m512i q = block.template Quad<j>();
      Unrolled<0, 4>([&](auto byte) {
        constexpr int i = decltype(byte)::value;
        const __m512i value =
            _mm512_sub_epi32(_mm512_and_si512(_mm512_srli_epi32(q, 8 * i), _mm512_set1_epi32(255)),
                             _mm512_set1_epi32(F::kZero));
        const __m512 scaled = _mm512_mul_ps(scales, _mm512_cvtepi32_ps(value));
        store(column - begin + 4 * j + i,
              Block<F>::kMinima ? _mm512_add_ps(scaled, minima) : scaled);
      });
    });
  }
}

// The same for plain floats.
template <class Store>
void ForFloatColumns(BlockFormat format, const std::byte* tile, size_t begin, size_t end,
                     Store store) {
  const char* bytes = reinterpret_cast<const char*>(tile);
  if (format == BlockFormat::kF32) {
    for (size_t c = begin; c < end; ++c) store(c - begin, _mm512_loadu_ps(bytes + c * 64));
  } else if (format == BlockFormat::kF16) {
    for (size_t c = begin; c < end; ++c) store(c - begin, LoadHalves(bytes + c * 32));
  } else {
    for (size_t c = begin; c < end; c += 2) {
      const __m512i pairs = _mm512_loadu_si512(bytes + c * 32);
      store(c - begin, _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)));
      store(c - begin + 1, _mm512_castsi512_ps(_mm512_and_si512(
                               pairs, _mm512_set1_epi32(static_cast<int>(0xffff0000)))));
    }
  }
}

template <class Store>
void ForAnyColumns(BlockFormat format, const std::byte* tile, size_t begin, size_t end,
                   Store store) {
  if (!Quantised(format)) return ForFloatColumns(format, tile, begin, end, store);
  VisitFormat(format, [&](auto f) { ForColumns<decltype(f)>(tile, begin, end, store); });
}

void UnpackF32(BlockFormat format, const std::byte* tile, size_t begin, size_t end, float* panel) {
  ForAnyColumns(format, tile, begin, end, [panel](size_t column, __m512 values) {
    _mm512_storeu_ps(panel + column * kPanelWidth, values);
  });
}

__m512i Widen(__m256bh values) { return _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(values)); }

void UnpackBf16(BlockFormat format, const std::byte* tile, size_t begin, size_t end, bf16* panel) {
  if (format == BlockFormat::kBF16) {
    const char* from = reinterpret_cast<const char*>(tile);
    for (size_t c = begin; c < end; c += 2) {
      _mm512_storeu_si512(panel + (c - begin) * kPanelWidth, _mm512_loadu_si512(from + c * 32));
    }
    return;
  }
  __m512 even = _mm512_setzero_ps();
  ForAnyColumns(format, tile, begin, end, [&](size_t column, __m512 values) {
    if (column % 2 == 0) {
      even = values;
      return;
    }
    const __m512i low = Widen(_mm512_cvtneps_pbh(even));
    const __m512i high = _mm512_slli_epi32(Widen(_mm512_cvtneps_pbh(values)), 16);
    _mm512_storeu_si512(panel + (column - 1) * kPanelWidth, _mm512_or_si512(low, high));
  });
}

void UnpackI8(BlockFormat format, const std::byte* tile, size_t begin, size_t end, uint8_t* panel,
              float* scales, float* minima) {
  VisitFormat(format, [&](auto f) {
    using B = Block<decltype(f)>;
    for (size_t column = begin; column < end; column += 32) {
      const B block = B::At(tile, column / 32);
      uint8_t* to = panel + (column - begin) / 4 * kPanelWidth * 4;
      Unrolled<0, 8>([&](auto quad) {
        constexpr int j = decltype(quad)::value;
        _mm512_storeu_si512(to + j * kPanelWidth * 4, block.template Quad<j>());
      });
      const size_t step = (column - begin) / B::kStep;
      for (size_t s = 0; s < B::kSteps; ++s) {
        _mm512_storeu_ps(scales + (step + s) * kPanelWidth, block.Scales(s));
      }
      if constexpr (B::kMinima) _mm512_storeu_ps(minima + step * kPanelWidth, block.Minima());
    }
  });
}

// --- Panels times rows -------------------------------------------------------------------------

int LoadInt(const void* at) {
  int value;
  __builtin_memcpy(&value, at, 4);
  return value;
}

struct F32Arithmetic {
  using Element = float;
  static constexpr size_t kRun = 1;  // Columns that one instruction takes.
  using Vector = __m512;
  static Vector Load(const float* at) { return _mm512_loadu_ps(at); }
  static Vector Broadcast(const float* at) { return _mm512_set1_ps(*at); }
  static __m512 Add(__m512 sum, Vector a, Vector b) { return _mm512_fmadd_ps(a, b, sum); }
};

struct Bf16Arithmetic {
  using Element = bf16;
  static constexpr size_t kRun = 2;
  using Vector = __m512bh;
  static Vector Load(const bf16* at) { return reinterpret_cast<__m512bh>(_mm512_loadu_si512(at)); }
  static Vector Broadcast(const bf16* at) {
    return reinterpret_cast<__m512bh>(_mm512_set1_epi32(LoadInt(at)));
  }
  static __m512 Add(__m512 sum, Vector a, Vector b) { return _mm512_dpbf16_ps(sum, a, b); }
};

// `kRows` rows times the panel: 2 * kRows sums in registers.
template <class A, int kRows>
void FloatRows(const typename A::Element* a, size_t lda, const typename A::Element* panel,
               size_t stride, size_t columns, float* c, size_t ldc, bool accumulate) {
  __m512 sum[kRows][2];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < 2; ++v) {
      sum[r][v] = accumulate ? _mm512_loadu_ps(c + r * ldc + 16 * v) : _mm512_setzero_ps();
    }
  }
  for (size_t k = 0; k < columns; k += A::kRun) {
    const typename A::Vector w0 = A::Load(panel);
    const typename A::Vector w1 = A::Load(panel + 16 * A::kRun);
    panel += stride;
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
      const typename A::Vector x = A::Broadcast(a + r * lda + k);
      sum[r][0] = A::Add(sum[r][0], x, w0);
      sum[r][1] = A::Add(sum[r][1], x, w1);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < 2; ++v) _mm512_storeu_ps(c + r * ldc + 16 * v, sum[r][v]);
  }
}

template <class A, int kRows>
void FloatRest(size_t rows, const typename A::Element* a, size_t lda,
               const typename A::Element* panel, size_t stride, size_t columns, float* c,
               size_t ldc, bool accumulate) {
  if constexpr (kRows > 0) {
    if (rows == kRows) {
      FloatRows<A, kRows>(a, lda, panel, stride, columns, c, ldc, accumulate);
    } else {
      FloatRest<A, kRows - 1>(rows, a, lda, panel, stride, columns, c, ldc, accumulate);
    }
  }
}

constexpr int kFloatRows = 12;

template <class A>
void GemmFloat(const typename A::Element* a, size_t lda, size_t m, const typename A::Element* panel,
               size_t stride, size_t columns, float* c, size_t ldc, bool accumulate) {
  for (; m >= kFloatRows; m -= kFloatRows, a += kFloatRows * lda, c += kFloatRows * ldc) {
    FloatRows<A, kFloatRows>(a, lda, panel, stride, columns, c, ldc, accumulate);
  }
  FloatRest<A, kFloatRows - 1>(m, a, lda, panel, stride, columns, c, ldc, accumulate);
}

template <int kRows, size_t kStep, bool kMinima>
void I8RowsTimesPanel(const I8Rows& a, size_t first, size_t row, const I8Panel& panel, float* c,
                      size_t ldc, bool accumulate) {
  const int8_t* q = a.q + row * a.columns + first;
  const size_t steps = a.columns / kStep;
  const int32_t* offsets = a.offsets + row * steps + first / kStep;
  const float* totals = kMinima ? a.totals + row * steps + first / kStep : nullptr;
  const float* row_scales = a.scales + row * a.groups + first / 128;
  const uint8_t* w = panel.q;
  size_t step = 0;
  for (size_t group = 0; group < panel.columns; group += 128) {
    const size_t group_end = group + 128 < panel.columns ? group + 128 : panel.columns;
    __m512 sum[kRows][2];
    for (int r = 0; r < kRows; ++r) sum[r][0] = sum[r][1] = _mm512_setzero_ps();
    for (size_t k = group; k < group_end; k += kStep, ++step) {
      __m512i dot[kRows][2];
      for (int r = 0; r < kRows; ++r) {
        dot[r][0] = dot[r][1] = _mm512_set1_epi32(offsets[r * steps + step]);
      }
#pragma GCC unroll 8
      for (size_t quad = 0; quad < kStep; quad += 4, w += kPanelWidth * 4) {
        const __m512i w0 = LoadBytes(w);
        const __m512i w1 = LoadBytes(w + 64);
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
          const __m512i x = _mm512_set1_epi32(LoadInt(q + r * a.columns + k + quad));
          dot[r][0] = _mm512_dpbusd_epi32(dot[r][0], w0, x);
          dot[r][1] = _mm512_dpbusd_epi32(dot[r][1], w1, x);
        }
      }
      const __m512 s0 = _mm512_loadu_ps(panel.scales + step * kPanelWidth);
      const __m512 s1 = _mm512_loadu_ps(panel.scales + step * kPanelWidth + 16);
      for (int r = 0; r < kRows; ++r) {
        sum[r][0] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[r][0]), s0, sum[r][0]);
        sum[r][1] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[r][1]), s1, sum[r][1]);
      }
      if constexpr (kMinima) {
        const __m512 m0 = _mm512_loadu_ps(panel.minima + step * kPanelWidth);
        const __m512 m1 = _mm512_loadu_ps(panel.minima + step * kPanelWidth + 16);
        for (int r = 0; r < kRows; ++r) {
          const __m512 total = _mm512_set1_ps(totals[r * steps + step]);
          sum[r][0] = _mm512_fmadd_ps(total, m0, sum[r][0]);
          sum[r][1] = _mm512_fmadd_ps(total, m1, sum[r][1]);
        }
      }
    }
    for (int r = 0; r < kRows; ++r) {
      const __m512 scale = _mm512_set1_ps(row_scales[r * a.groups + group / 128]);
      for (int v = 0; v < 2; ++v) {
        float* to = c + r * ldc + 16 * v;
        const __m512 old = accumulate || group > 0 ? _mm512_loadu_ps(to) : _mm512_setzero_ps();
        _mm512_storeu_ps(to, _mm512_fmadd_ps(sum[r][v], scale, old));
      }
    }
  }
}

constexpr int kI8Rows = 6;

template <int kRows, size_t kStep, bool kMinima>
void I8Rest(const I8Rows& a, size_t first, size_t row, size_t m, const I8Panel& panel, float* c,
            size_t ldc, bool accumulate) {
  if constexpr (kRows > 0) {
    if (m - row == kRows) {
      I8RowsTimesPanel<kRows, kStep, kMinima>(a, first, row, panel, c, ldc, accumulate);
    } else {
      I8Rest<kRows - 1, kStep, kMinima>(a, first, row, m, panel, c, ldc, accumulate);
    }
  }
}

template <size_t kStep, bool kMinima>
void GemmI8Of(const I8Rows& a, size_t first, size_t m, const I8Panel& panel, float* c, size_t ldc,
              bool accumulate) {
  size_t row = 0;
  for (; row + kI8Rows <= m; row += kI8Rows) {
    I8RowsTimesPanel<kI8Rows, kStep, kMinima>(a, first, row, panel, c + row * ldc, ldc, accumulate);
  }
  I8Rest<kI8Rows - 1, kStep, kMinima>(a, first, row, m, panel, c + row * ldc, ldc, accumulate);
}

void GemmI8(const I8Rows& a, size_t first, size_t m, const I8Panel& panel, float* c, size_t ldc,
            bool accumulate) {
  if (panel.step == 16) {
    GemmI8Of<16, false>(a, first, m, panel, c, ldc, accumulate);
  } else if (panel.minima != nullptr) {
    GemmI8Of<32, true>(a, first, m, panel, c, ldc, accumulate);
  } else {
    GemmI8Of<32, false>(a, first, m, panel, c, ldc, accumulate);
  }
}

// --- Activations -------------------------------------------------------------------------------

__mmask16 First(size_t n) { return n >= 16 ? 0xffff : static_cast<__mmask16>((1u << n) - 1); }

// By integer arithmetic and not by vcvtneps2bf16, which flushes denormals: every set gives the
// same bits.
void EncodeBf16Row(const float* in, size_t n, bf16* out) {
  for (size_t i = 0; i < n; i += 16) {
    const __mmask16 some = First(n - i);
    const __m512i bits = _mm512_castps_si512(_mm512_maskz_loadu_ps(some, in + i));
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded =
        _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    _mm256_mask_storeu_epi16(out + i, some, _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16)));
  }
}

void EncodeI8Row(const float* in, size_t n, int8_t* out, float* scales, int32_t* sums) {
  for (size_t begin = 0; begin < n; begin += 128, ++scales) {
    const size_t end = begin + 128 < n ? begin + 128 : n;
    // Magnitudes are ordered as their bits are, with NaN above all: it comes through.
    __m512i largest = _mm512_setzero_si512();
    for (size_t i = begin; i < end; i += 16) {
      largest =
          _mm512_max_epi32(largest, _mm512_castps_si512(_mm512_abs_ps(_mm512_loadu_ps(in + i))));
    }
    const float scale =
        _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(_mm512_reduce_max_epi32(largest)))) /
        127.0f;
    *scales = scale;
    const float inverse = scale > 1e-30f ? 1.0f / scale : 0.0f;
    if (scale <= 1e-30f) *scales = 0.0f;  // Not where it is NaN: that must show in the result.
    for (size_t i = begin; i < end; i += 16) {
      const __m512 scaled = _mm512_mul_ps(_mm512_loadu_ps(in + i), _mm512_set1_ps(inverse));
      // 0 for NaN, as in every set.
      const __mmask16 numbers = _mm512_cmp_ps_mask(scaled, scaled, _CMP_ORD_Q);
      const __m512i q = _mm512_maskz_cvtps_epi32(numbers, scaled);
      *sums++ = _mm512_reduce_add_epi32(q);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), _mm512_cvtsepi32_epi8(q));
    }
  }
}

}  // namespace

const MatmulKernels kAvx512Matmul = {UnpackF32,
                                     UnpackBf16,
                                     UnpackI8,
                                     GemmFloat<F32Arithmetic>,
                                     GemmFloat<Bf16Arithmetic>,
                                     GemmI8,
                                     Avx512VectorF32,
                                     Avx512VectorI8,
                                     EncodeBf16Row,
                                     EncodeI8Row};

}  // namespace cairn::kernels
