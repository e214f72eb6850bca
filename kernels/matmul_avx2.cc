// AVX2 products of batches. See distance_variants.h for what must not be used here.
#include "kernels/matmul_avx2.h"

#include <immintrin.h>

#include <type_traits>

#include "kernels/matmul_variants.h"
#include "kernels/tile_avx2.h"

namespace cairn::kernels {
namespace {

// --- Tiles to panels ---------------------------------------------------------------------------

template <class F>
void UnpackBlocks(const std::byte* tile, size_t begin, size_t end, float* panel) {
  for (size_t column = begin; column < end; column += 32) {
    const Block<F> block = Block<F>::At(tile, column / 32);
    for (size_t half = 0; half < 2; ++half) {
      const ColumnsOf<F> of(block, half);
      float* to = panel + (column - begin) * kPanelWidth + 8 * half;
      Unrolled<0, 8>([&](auto quad) {
        constexpr int j = decltype(quad)::value;
        constexpr size_t s = Block<F>::kSteps == 2 ? j / 4 : 0;
        const __m256i q = block.template Quad<j>(half);
        Unrolled<0, 4>([&](auto byte) {
          constexpr int i = decltype(byte)::value;
          const __m256 level = ColumnsOf<F>::template Level<i>(q);
          // Minima are added to rounded products, as in Dequantize.
          const __m256 value = Block<F>::kMinima
                                   ? _mm256_add_ps(_mm256_mul_ps(of.scale[s], level), of.offset[s])
                                   : _mm256_fmadd_ps(of.scale[s], level, of.offset[s]);
          _mm256_storeu_ps(to + (4 * j + i) * kPanelWidth, value);
        });
      });
    }
  }
}

void UnpackPlain(BlockFormat format, const char* bytes, size_t begin, size_t end, float* panel) {
  for (size_t c = begin; c < end; c += 2, panel += 2 * kPanelWidth) {
    for (size_t half = 0; half < 2; ++half) {
      __m256 w[2];
      if (format == BlockFormat::kF32) {
        const float* at = reinterpret_cast<const float*>(bytes + c * 64) + 8 * half;
        w[0] = _mm256_loadu_ps(at);
        w[1] = _mm256_loadu_ps(at + 16);
      } else if (format == BlockFormat::kF16) {
        w[0] = LoadHalves(bytes + c * 32 + half * 16);
        w[1] = LoadHalves(bytes + c * 32 + half * 16 + 32);
      } else {
        const __m256i pairs =
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes + c * 32 + half * 32));
        w[0] = _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
        w[1] = _mm256_castsi256_ps(
            _mm256_and_si256(pairs, _mm256_set1_epi32(static_cast<int>(0xffff0000))));
      }
      _mm256_storeu_ps(panel + 8 * half, w[0]);
      _mm256_storeu_ps(panel + 8 * half + kPanelWidth, w[1]);
    }
  }
}

void UnpackF32(BlockFormat format, const std::byte* tile, size_t begin, size_t end, float* panel) {
  if (!Quantised(format)) {
    return UnpackPlain(format, reinterpret_cast<const char*>(tile), begin, end, panel);
  }
  VisitFormat(format, [&](auto f) { UnpackBlocks<decltype(f)>(tile, begin, end, panel); });
}

void UnpackI8(BlockFormat format, const std::byte* tile, size_t begin, size_t end, uint8_t* panel,
              float* scales, float* minima) {
  VisitFormat(format, [&](auto f) {
    using B = Block<decltype(f)>;
    for (size_t column = begin; column < end; column += 32) {
      const B block = B::At(tile, column / 32);
      const size_t step = (column - begin) / B::kStep;
      for (size_t half = 0; half < 2; ++half) {
        uint8_t* to = panel + (column - begin) / 4 * kPanelWidth * 4 + half * 32;
        Unrolled<0, 8>([&](auto quad) {
          constexpr int j = decltype(quad)::value;
          _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + j * kPanelWidth * 4),
                              block.template Quad<j>(half));
        });
        for (size_t s = 0; s < B::kSteps; ++s) {
          _mm256_storeu_ps(scales + (step + s) * kPanelWidth + 8 * half, block.Scales(s, half));
        }
        if constexpr (B::kMinima) {
          _mm256_storeu_ps(minima + step * kPanelWidth + 8 * half, block.Minima(half));
        }
      }
    }
  });
}

// --- Panels times rows -------------------------------------------------------------------------

// All rows pass by a stretch of the panel that stays in the first-level cache, three at a time:
// twelve registers of sums, three of activations, one of weights.
constexpr int kFloatRows = 3;
constexpr size_t kFloatStretch = 128;  // Columns: 16 KiB.

template <int kRows>
void FloatRows(const float* a, size_t lda, const float* panel, size_t stride, size_t columns,
               float* c, size_t ldc, bool accumulate) {
  __m256 sum[kRows][4];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < 4; ++v) {
      sum[r][v] = accumulate ? _mm256_loadu_ps(c + r * ldc + 8 * v) : _mm256_setzero_ps();
    }
  }
  for (size_t k = 0; k < columns; ++k, panel += stride) {
    __m256 x[kRows];
    for (int r = 0; r < kRows; ++r) x[r] = _mm256_set1_ps(a[r * lda + k]);
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      const __m256 w = _mm256_loadu_ps(panel + 8 * v);
      for (int r = 0; r < kRows; ++r) sum[r][v] = _mm256_fmadd_ps(x[r], w, sum[r][v]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < 4; ++v) _mm256_storeu_ps(c + r * ldc + 8 * v, sum[r][v]);
  }
}

template <int kRows>
void FloatRest(size_t rows, const float* a, size_t lda, const float* panel, size_t stride,
               size_t columns, float* c, size_t ldc, bool accumulate) {
  if constexpr (kRows > 0) {
    if (rows == kRows) {
      FloatRows<kRows>(a, lda, panel, stride, columns, c, ldc, accumulate);
    } else {
      FloatRest<kRows - 1>(rows, a, lda, panel, stride, columns, c, ldc, accumulate);
    }
  }
}

void GemmF32(const float* a, size_t lda, size_t m, const float* panel, size_t stride,
             size_t columns, float* c, size_t ldc, bool accumulate) {
  for (size_t begin = 0; begin < columns; begin += kFloatStretch) {
    const size_t n = columns - begin < kFloatStretch ? columns - begin : kFloatStretch;
    const bool add = accumulate || begin > 0;
    const float* w = panel + begin * stride;
    size_t r = 0;
    for (; r + kFloatRows <= m; r += kFloatRows) {
      FloatRows<kFloatRows>(a + r * lda + begin, lda, w, stride, n, c + r * ldc, ldc, add);
    }
    FloatRest<kFloatRows - 1>(m - r, a + r * lda + begin, lda, w, stride, n, c + r * ldc, ldc, add);
  }
}

// Half a panel by four rows at a time.
constexpr size_t kHalfPanel = 16;
constexpr int kI8Rows = 4;
constexpr size_t kI8Stretch = 512;  // Columns: 8 KiB of half a panel. Whole activation groups.

// Where a product of some rows with half a panel stands.
struct I8Place {
  size_t row;    // The first of the rows.
  size_t first;  // Of the panel's outputs: 0 or 16.
};

// Additions that happen here and now: left to itself, GCC puts off those of a whole step, and runs
// out of registers for the products.
inline __attribute__((always_inline)) void Add(bool first, __m256i products, __m256i* sum) {
  *sum = first ? products : _mm256_add_epi16(*sum, products);
  asm("" : "+x"(*sum));
}
inline __attribute__((always_inline)) void AddWidened(bool first, __m256i pairs, __m256i* sum) {
  *sum = first ? Widened(pairs) : _mm256_add_epi32(*sum, Widened(pairs));
  asm("" : "+x"(*sum));
}

// dot[r][v] = exact products of one step's columns, from column `k` of the panel on.
template <class F, int kRows>
inline __attribute__((always_inline)) void I8Step(const I8Rows& a, const int8_t* q,
                                                  const uint8_t* w, __m256i (*dot)[2]) {
  using Quads = IntegerQuads<F>;
  constexpr int kTogether = Quads::kTogether;
  constexpr int kParts = static_cast<int>(Block<F>::kStep / 4) / kTogether;
#pragma GCC unroll 8
  for (int part = 0; part < kParts; ++part) {
    __m256i pairs[kRows][2];
#pragma GCC unroll 8
    for (int i = 0; i < kTogether; ++i, w += kPanelWidth * 4, q += 4) {
      const Quads w0(LoadBytes(w)), w1(LoadBytes(w + 32));
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        const __m256i x = BroadcastQuad(q + r * a.columns);
        Add(i == 0, w0.Times(x), &pairs[r][0]);
        Add(i == 0, w1.Times(x), &pairs[r][1]);
        if (i + 1 < kTogether) continue;
        AddWidened(part == 0, pairs[r][0], &dot[r][0]);
        AddWidened(part == 0, pairs[r][1], &dot[r][1]);
      }
    }
  }
}

// Columns [begin, end) of the panel, which meets the activations' column `first_column`.
template <class F, int kRows>
void I8RowsTimesPanel(const I8Rows& a, size_t first_column, I8Place place, const I8Panel& panel,
                      size_t begin, size_t end, float* c, size_t ldc, bool accumulate) {
  constexpr size_t kStep = Block<F>::kStep;
  const size_t steps = a.columns / kStep;
  const int8_t* q = a.q + place.row * a.columns + first_column;
  const int32_t* offsets = a.offsets + place.row * steps + first_column / kStep;
  const float* totals =
      Block<F>::kMinima ? a.totals + place.row * steps + first_column / kStep : nullptr;
  const float* row_scales = a.scales + place.row * a.groups + first_column / 128;
  for (size_t group = begin; group < end; group += 128) {
    const size_t group_end = group + 128 < end ? group + 128 : end;
    __m256 sum[kRows][2];
    for (auto& row : sum) row[0] = row[1] = _mm256_setzero_ps();
    for (size_t k = group; k < group_end; k += kStep) {
      const size_t step = k / kStep;
      __m256i dot[kRows][2];
      I8Step<F, kRows>(a, q + k, panel.q + k * kPanelWidth + place.first * 4, dot);
      for (int v = 0; v < 2; ++v) {
        const size_t at = step * kPanelWidth + place.first + 8 * v;
        const __m256 scales = _mm256_loadu_ps(panel.scales + at);
        for (int r = 0; r < kRows; ++r) {
          __m256i exact = dot[r][v];
          if constexpr (IntegerQuads<F>::kCorrection != 0) {
            exact = _mm256_add_epi32(exact, _mm256_set1_epi32(offsets[r * steps + step]));
          }
          sum[r][v] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(exact), scales, sum[r][v]);
          if constexpr (Block<F>::kMinima) {
            const __m256 total = _mm256_set1_ps(totals[r * steps + step]);
            sum[r][v] = _mm256_fmadd_ps(total, _mm256_loadu_ps(panel.minima + at), sum[r][v]);
          }
        }
      }
    }
    for (int r = 0; r < kRows; ++r) {
      const __m256 scale = _mm256_set1_ps(row_scales[r * a.groups + group / 128]);
      for (int v = 0; v < 2; ++v) {
        float* to = c + r * ldc + 8 * v;
        const __m256 old = accumulate || group > 0 ? _mm256_loadu_ps(to) : _mm256_setzero_ps();
        _mm256_storeu_ps(to, _mm256_fmadd_ps(sum[r][v], scale, old));
      }
    }
  }
}

template <class F, int kRows>
void I8Rest(const I8Rows& a, size_t first_column, I8Place place, size_t m, const I8Panel& panel,
            size_t begin, size_t end, float* c, size_t ldc, bool accumulate) {
  if constexpr (kRows > 0) {
    if (m - place.row == kRows) {
      I8RowsTimesPanel<F, kRows>(a, first_column, place, panel, begin, end, c, ldc, accumulate);
    } else {
      I8Rest<F, kRows - 1>(a, first_column, place, m, panel, begin, end, c, ldc, accumulate);
    }
  }
}

void GemmI8(const I8Rows& a, size_t first_column, size_t m, const I8Panel& panel, float* c,
            size_t ldc, bool accumulate) {
  VisitFormat(panel.format, [&](auto f) {
    using F = decltype(f);
    for (size_t begin = 0; begin < panel.columns; begin += kI8Stretch) {
      const size_t end = begin + kI8Stretch < panel.columns ? begin + kI8Stretch : panel.columns;
      for (size_t first = 0; first < kPanelWidth; first += kHalfPanel) {
        I8Place place = {0, first};
        for (; place.row + kI8Rows <= m; place.row += kI8Rows) {
          I8RowsTimesPanel<F, kI8Rows>(a, first_column, place, panel, begin, end,
                                       c + place.row * ldc + first, ldc, accumulate);
        }
        I8Rest<F, kI8Rows - 1>(a, first_column, place, m, panel, begin, end,
                               c + place.row * ldc + first, ldc, accumulate);
      }
    }
  });
}

// --- Activations -------------------------------------------------------------------------------

uint32_t BitsOf(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, 4);
  return bits;
}

__m256i RoundedToBf16(const float* in) {
  const __m256i bits = _mm256_castps_si256(_mm256_loadu_ps(in));
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  return _mm256_srli_epi32(rounded, 16);
}

void EncodeBf16Row(const float* in, size_t n, bf16* out) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const __m256i packed = _mm256_packus_epi32(RoundedToBf16(in + i), RoundedToBf16(in + i + 8));
    // Packing works within each half of the registers.
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i),
                        _mm256_permute4x64_epi64(packed, 0xd8));
  }
  for (; i < n; ++i) {
    const uint32_t bits = BitsOf(in[i]);
    out[i] = static_cast<bf16>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
  }
}

// The largest magnitude of in[0, n), n a multiple of 8. Magnitudes are ordered as their bits are,
// with NaN above all: it comes through.
float LargestMagnitude(const float* in, size_t n) {
  const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
  __m256i largest = _mm256_setzero_si256();
  for (size_t i = 0; i < n; i += 8) {
    const __m256i bits = _mm256_castps_si256(_mm256_loadu_ps(in + i));
    largest = _mm256_max_epi32(largest, _mm256_and_si256(bits, magnitude));
  }
  __m128i four =
      _mm_max_epi32(_mm256_castsi256_si128(largest), _mm256_extracti128_si256(largest, 1));
  four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0xb1));
  return _mm_cvtss_f32(_mm_castsi128_ps(four));
}

// In units of 1 / inverse; 0 for NaN, as in every set.
__m256i Quantised8(const float* in, __m256 inverse) {
  const __m256 scaled = _mm256_mul_ps(_mm256_loadu_ps(in), inverse);
  const __m256 numbers = _mm256_cmp_ps(scaled, scaled, _CMP_ORD_Q);
  return _mm256_and_si256(_mm256_cvtps_epi32(scaled), _mm256_castps_si256(numbers));
}

void EncodeI8Row(const float* in, size_t n, int8_t* out, float* scales, int32_t* sums) {
  for (size_t begin = 0; begin < n; begin += 128, ++scales) {
    const size_t end = begin + 128 < n ? begin + 128 : n;
    const float scale = LargestMagnitude(in + begin, end - begin) / 127.0f;
    *scales = scale <= 1e-30f ? 0.0f : scale;  // Not where it is NaN: that must show.
    const __m256 inverse = _mm256_set1_ps(scale > 1e-30f ? 1.0f / scale : 0.0f);
    for (size_t i = begin; i < end; i += 16) {
      const __m256i packed =
          _mm256_packs_epi32(Quantised8(in + i, inverse), Quantised8(in + i + 8, inverse));
      const __m256i q = _mm256_permute4x64_epi64(packed, 0xd8);
      const __m128i low = _mm256_castsi256_si128(q), high = _mm256_extracti128_si256(q, 1);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), _mm_packs_epi16(low, high));
      __m128i sum = _mm_madd_epi16(_mm_add_epi16(low, high), _mm_set1_epi16(1));
      sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
      sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1));
      *sums++ = _mm_cvtsi128_si32(sum);
    }
  }
}

}  // namespace

const MatmulKernels kAvx2Matmul = {UnpackF32,     nullptr,    UnpackI8,      GemmF32,
                                   nullptr,       GemmI8,     Avx2VectorF32, Avx2VectorI8,
                                   EncodeBf16Row, EncodeI8Row};

}  // namespace cairn::kernels
