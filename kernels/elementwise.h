// The arithmetic of a transformer layer between its products: norms, rotations, activations.
#ifndef CAIRN_KERNELS_ELEMENTWISE_H_
#define CAIRN_KERNELS_ELEMENTWISE_H_

#include <cstddef>

#include "kernels/isa.h"

namespace cairn::kernels {

// One implementation per instruction set; results differ by rounding. Pointers may be unaligned,
// and `out` may be an input.
struct ElementwiseKernels {
  // out[i] = x[i] * weight[i] / sqrt(mean(x^2) + epsilon): RMSNorm (arXiv 1910.07467).
  void (*rms_norm)(const float* x, const float* weight, size_t n, float epsilon, float* out);
  // out[i] = gate[i] / (1 + e^-gate[i]) * up[i]: SwiGLU (arXiv 2002.05202).
  void (*silu_multiply)(const float* gate, const float* up, size_t n, float* out);
  // Rotary position embedding (arXiv 2104.09864), in place: turns (x[i], x[i + half]), or
  // (x[2i], x[2i + 1]), by the angle whose cosine and sine are cos[i], sin[i], for i < half.
  void (*rotate_halves)(float* x, const float* cos, const float* sin, size_t half);
  void (*rotate_pairs)(float* x, const float* cos, const float* sin, size_t half);
  // out[i] += x[i]
  void (*add)(const float* x, size_t n, float* out);
  // out[i] = (x[i] - mean(x)) * weight[i] / sqrt(variance(x) + epsilon) + bias[i]: layer
  // normalisation (arXiv 1607.06450).
  void (*layer_norm)(const float* x, const float* weight, const float* bias, size_t n,
                     float epsilon, float* out);
  // With y = x[i] + bias[i]: out[i] = y * Phi(y), Phi being the normal distribution's: GELU
  // (arXiv 1606.08415), to an absolute error of 3e-7 |y|.
  void (*gelu)(const float* x, const float* bias, size_t n, float* out);
  // The same by the paper's approximation, y * sigmoid(2 sqrt(2 / pi) (y + 0.044715 y^3)), which
  // some models were trained with.
  void (*gelu_tanh)(const float* x, const float* bias, size_t n, float* out);
};

// The table of one instruction set, which must be supported; of ActiveIsa() by default.
const ElementwiseKernels& GetElementwiseKernels(Isa isa);
const ElementwiseKernels& GetElementwiseKernels();

}  // namespace cairn::kernels

#endif  // CAIRN_KERNELS_ELEMENTWISE_H_
