// The AVX-512 kernels for single vectors, in a unit of their own; private to matmul_avx512.cc.
#ifndef CAIRN_KERNELS_MATMUL_AVX512_H_
#define CAIRN_KERNELS_MATMUL_AVX512_H_

#include "kernels/matmul_variants.h"

namespace cairn::kernels {

// MatmulKernels::vector_f32 and vector_i8.
void Avx512VectorF32(BlockFormat format, const std::byte* tile, size_t columns, const float* a,
                     size_t m, float* c, size_t ldc, bool accumulate);
void Avx512VectorI8(BlockFormat format, const std::byte* tile, const I8Rows& a, size_t m, float* c,
                    size_t ldc, bool accumulate);

}  // namespace cairn::kernels

#endif  // CAIRN_KERNELS_MATMUL_AVX512_H_
