// The product kernels of each instruction set; private to kernels. distance_variants.h says what
// their units must not use.
#ifndef CAIRN_KERNELS_MATMUL_VARIANTS_H_
#define CAIRN_KERNELS_MATMUL_VARIANTS_H_

#include <cstddef>
#include <cstdint>

#include "kernels/distance.h"
#include "kernels/packed_matrix.h"

namespace cairn::kernels {

// A panel is two tiles: 32 outputs wide. Columns run slowest in it:
//   float32   [columns][32]
//   bfloat16  [columns / 2][32][2]
//   int8      [columns / 4][32][4] unsigned, with scales [columns / step][32], minima likewise.
inline constexpr size_t kPanelWidth = 32;

// Columns that share a scale: 32, but 16 in Q6_K.
constexpr size_t ScaleStep(BlockFormat format) { return format == BlockFormat::kQ6_K ? 16 : 32; }
constexpr bool HasMinima(BlockFormat format) {
  return format == BlockFormat::kQ4_1 || format == BlockFormat::kQ5_1 ||
         format == BlockFormat::kQ4_K || format == BlockFormat::kQ5_K;
}

// Rows of int8 activations as a product reads them. value = q * scale of its group.
struct I8Rows {
  const int8_t* q = nullptr;      // [rows][columns]
  const float* scales = nullptr;  // [rows][groups]
  const int32_t* sums = nullptr;  // [rows][columns / 16]
  const int32_t* offsets =
      nullptr;                    // [rows][columns / step]: -zero * sum of the step. Panels only.
  const float* totals = nullptr;  // [rows][columns / step]: sum of the step. Panels only.
  size_t columns = 0;             // Stride of q; the other strides follow from it.
  size_t groups = 0;
};

struct I8Panel {
  const uint8_t* q = nullptr;
  const float* scales = nullptr;
  const float* minima = nullptr;  // Null where the format has none.
  size_t columns = 0;
  size_t step = 32;
  BlockFormat format = BlockFormat::kQ8_0;  // Which values q may hold.
};

struct MatmulKernels {
  // One tile's columns [begin, end) (multiples of 256, or the end of the row) into one half of a
  // panel, whose first column is `begin`; `panel` points at the tile's first output.
  void (*unpack_f32)(BlockFormat format, const std::byte* tile, size_t begin, size_t end,
                     float* panel);
  // Null where bfloat16 products are not supported.
  void (*unpack_bf16)(BlockFormat format, const std::byte* tile, size_t begin, size_t end,
                      bf16* panel);
  void (*unpack_i8)(BlockFormat format, const std::byte* tile, size_t begin, size_t end,
                    uint8_t* panel, float* scales, float* minima);

  // c[m][32] (+)= a[m][columns] * panel, for any m. `stride`: elements from one column (pair) of
  // the panel to the next.
  void (*gemm_f32)(const float* a, size_t lda, size_t m, const float* panel, size_t stride,
                   size_t columns, float* c, size_t ldc, bool accumulate);
  void (*gemm_bf16)(const bf16* a, size_t lda, size_t m, const bf16* panel, size_t stride,
                    size_t columns, float* c, size_t ldc, bool accumulate);
  // `first_column` (a multiple of 256) of the activations meets the panel's first.
  void (*gemm_i8)(const I8Rows& a, size_t first_column, size_t m, const I8Panel& panel, float* c,
                  size_t ldc, bool accumulate);

  // c[m][16] (+)= a[m][columns] * one tile, m in [1, 4], straight from the tile.
  void (*vector_f32)(BlockFormat format, const std::byte* tile, size_t columns, const float* a,
                     size_t m, float* c, size_t ldc, bool accumulate);
  void (*vector_i8)(BlockFormat format, const std::byte* tile, const I8Rows& a, size_t m, float* c,
                    size_t ldc, bool accumulate);

  // Rounds to nearest even.
  void (*encode_bf16)(const float* in, size_t n, bf16* out);
  // One row: int8 values, a scale for each group of 128, a sum for each 16 columns.
  void (*encode_i8)(const float* in, size_t n, int8_t* out, float* scales, int32_t* sums);
};

extern const MatmulKernels kScalarMatmul;
#if defined(__x86_64__)
extern const MatmulKernels kAvx2Matmul;
extern const MatmulKernels kAvx512Matmul;
#endif
const MatmulKernels& GetMatmulKernels(Isa isa);

}  // namespace cairn::kernels

#endif  // CAIRN_KERNELS_MATMUL_VARIANTS_H_
