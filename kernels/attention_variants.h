// The attention kernels of each instruction set; private to kernels. distance_variants.h says what
// their units must not use.
#ifndef CAIRN_KERNELS_ATTENTION_VARIANTS_H_
#define CAIRN_KERNELS_ATTENTION_VARIANTS_H_

#include "kernels/attention.h"

namespace cairn::kernels {

struct AttentionKernels {
  // A tile's keys and values as float32 panels: keys [padded][64], values [64][padded].
  void (*panels_f32)(KvType type, const std::byte* tile, size_t padded, float* keys, float* values);
  // As bfloat16 panels: keys [padded / 2][64][2], values [32][padded][2]; null where products of
  // bfloat16 are not supported. Not called for kBF16, whose tiles are such panels.
  void (*panels_bf16)(KvType type, const std::byte* tile, size_t padded, bf16* keys, bf16* values);

  // One row's step of the online softmax over scores [64], of which [begin, end) count: weights
  // [64] = 2^(score - new maximum), zero outside; `sum` and `out` [padded] are brought to the new
  // maximum, and the weights added to `sum`. begin < end.
  void (*softmax_f32)(const float* scores, size_t begin, size_t end, size_t padded, float* maximum,
                      float* sum, float* out, float* weights);
  // The same, weights as bfloat16; `sum` adds the rounded weights.
  void (*softmax_bf16)(const float* scores, size_t begin, size_t end, size_t padded, float* maximum,
                       float* sum, float* out, bf16* weights);
};

extern const AttentionKernels kScalarAttention;
#if defined(__x86_64__)
extern const AttentionKernels kAvx2Attention;
extern const AttentionKernels kAvx512Attention;
#endif

}  // namespace cairn::kernels

#endif  // CAIRN_KERNELS_ATTENTION_VARIANTS_H_
