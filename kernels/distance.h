// Inner products between vectors, and the encodings they are computed on.
#ifndef CAIRN_KERNELS_DISTANCE_H_
#define CAIRN_KERNELS_DISTANCE_H_

#include <cstddef>
#include <cstdint>

#include "kernels/isa.h"

namespace cairn::kernels {

// bfloat16 bits: the upper half of a float32, rounded to nearest even.
using bf16 = uint16_t;

// One implementation per instruction set. All pointers may be unaligned and n may be 0; inputs are
// finite. Results of different sets differ only by rounding (dot_i8 not at all).
struct DistanceKernels {
  // sum_i a[i] * b[i]
  float (*dot_f32)(const float* a, const float* b, size_t n);
  // The same over bfloat16 values, accumulated in float32. Magnitudes below 2^-126, in the inputs
  // or on the way, may count as 0: the instructions for bfloat16 flush them.
  float (*dot_bf16)(const bf16* a, const bf16* b, size_t n);
  // The same over int8 values in [-127, 127], exact in int32 for n < 2^17.
  int32_t (*dot_i8)(const int8_t* a, const int8_t* b, size_t n);

  // Scans: out[r] = dot(query [dim], rows + r * dim) for r in [0, count); rows is [count][dim].
  void (*scan_f32)(const float* query, const float* rows, size_t count, size_t dim, float* out);
  void (*scan_bf16)(const bf16* query, const bf16* rows, size_t count, size_t dim, float* out);
  void (*scan_i8)(const int8_t* query, const int8_t* rows, size_t count, size_t dim, int32_t* out);

  // Gathers: out[i] = dot(query [dim], rows + ids[i] * dim) for i in [0, count), for rows that lie
  // anywhere: those to come are prefetched. A row scores exactly as in a scan.
  void (*gather_f32)(const float* query, const float* rows, const uint32_t* ids, size_t count,
                     size_t dim, float* out);
  void (*gather_bf16)(const bf16* query, const bf16* rows, const uint32_t* ids, size_t count,
                      size_t dim, float* out);
  void (*gather_i8)(const int8_t* query, const int8_t* rows, const uint32_t* ids, size_t count,
                    size_t dim, int32_t* out);
};

// The table of one instruction set, which must be supported; of ActiveIsa() by default. A scan or
// gather gives a row the same score wherever it lies among the others.
const DistanceKernels& GetDistanceKernels(Isa isa);
const DistanceKernels& GetDistanceKernels();

// Encodings of finite values. Plain scalar code: they run once per stored vector. A float beyond
// the largest bfloat16 by half a step or more becomes infinity, as IEEE 754 rounding has it.
void EncodeBf16(const float* in, size_t n, bf16* out);
// Symmetric int8: out[i] = round(in[i] / scale), scale = max|in| / 127 (returned; 0 for all zeros).
float EncodeI8(const float* in, size_t n, int8_t* out);

}  // namespace cairn::kernels

#endif  // CAIRN_KERNELS_DISTANCE_H_
