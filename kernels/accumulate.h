// Weighted sums of matrix rows picked by number: what a static embedding model does per token.
#ifndef CAIRN_KERNELS_ACCUMULATE_H_
#define CAIRN_KERNELS_ACCUMULATE_H_

#include <cstddef>
#include <cstdint>

#include "kernels/isa.h"

namespace cairn::kernels {

// One implementation per instruction set. Every function computes, for d in [0, dim),
//
//   sum[d] += sum_i weights[i] * rows[picks[i] * dim + d]    i = 0 .. count - 1, in this order
//
// in float32, each product and each sum rounded by itself, so that all sets give the same bits.
// `sum` [dim], `weights` [count] and `picks` [count] are aligned as their types, `rows` need not
// be; nothing may overlap `sum`.
struct AccumulateKernels {
  void (*rows_f32)(const void* rows, const uint32_t* picks, const float* weights, size_t count,
                   size_t dim, float* sum);
  // IEEE 754 half precision.
  void (*rows_f16)(const void* rows, const uint32_t* picks, const float* weights, size_t count,
                   size_t dim, float* sum);
  void (*rows_i8)(const void* rows, const uint32_t* picks, const float* weights, size_t count,
                  size_t dim, float* sum);
};

// The table of one instruction set, which must be supported; of ActiveIsa() by default.
const AccumulateKernels& GetAccumulateKernels(Isa isa);
const AccumulateKernels& GetAccumulateKernels();

}  // namespace cairn::kernels

#endif  // CAIRN_KERNELS_ACCUMULATE_H_
