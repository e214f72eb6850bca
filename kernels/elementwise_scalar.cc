#include <cmath>

#include "kernels/elementwise_variants.h"

namespace cairn::kernels {
namespace {

void RmsNorm(const float* x, const float* weight, size_t n, float epsilon, float* out) {
  double squares = 0;
  for (size_t i = 0; i < n; ++i) squares += static_cast<double>(x[i]) * x[i];
  const auto scale =
      static_cast<float>(1.0 / std::sqrt(squares / static_cast<double>(n) + epsilon));
  for (size_t i = 0; i < n; ++i) out[i] = x[i] * scale * weight[i];
}

void SiluMultiply(const float* gate, const float* up, size_t n, float* out) {
  for (size_t i = 0; i < n; ++i) out[i] = gate[i] / (1.0f + std::exp(-gate[i])) * up[i];
}

void Rotate(float* a, float* b, float cos, float sin) {
  const float x = *a, y = *b;
  *a = x * cos - y * sin;
  *b = x * sin + y * cos;
}

void RotateHalves(float* x, const float* cos, const float* sin, size_t half) {
  for (size_t i = 0; i < half; ++i) Rotate(x + i, x + i + half, cos[i], sin[i]);
}

void RotatePairs(float* x, const float* cos, const float* sin, size_t half) {
  for (size_t i = 0; i < half; ++i) Rotate(x + 2 * i, x + 2 * i + 1, cos[i], sin[i]);
}

void Add(const float* x, size_t n, float* out) {
  for (size_t i = 0; i < n; ++i) out[i] += x[i];
}

void LayerNorm(const float* x, const float* weight, const float* bias, size_t n, float epsilon,
               float* out) {
  double sum = 0, squares = 0;
  for (size_t i = 0; i < n; ++i) sum += x[i];
  const auto mean = static_cast<float>(sum / static_cast<double>(n));
  for (size_t i = 0; i < n; ++i) squares += static_cast<double>(x[i] - mean) * (x[i] - mean);
  const auto scale =
      static_cast<float>(1.0 / std::sqrt(squares / static_cast<double>(n) + epsilon));
  for (size_t i = 0; i < n; ++i) out[i] = (x[i] - mean) * scale * weight[i] + bias[i];
}

void Gelu(const float* x, const float* bias, size_t n, float* out) {
  constexpr float kRootHalf = 0.70710678f;
  for (size_t i = 0; i < n; ++i) {
    const float y = x[i] + bias[i];
    out[i] = 0.5f * y * std::erfc(-y * kRootHalf);
  }
}

void GeluTanh(const float* x, const float* bias, size_t n, float* out) {
  constexpr float kTwice = 2 * 0.79788456f;  // 2 sqrt(2 / pi)
  for (size_t i = 0; i < n; ++i) {
    const float y = x[i] + bias[i];
    out[i] = y / (1.0f + std::exp(-kTwice * (y + 0.044715f * y * y * y)));
  }
}

}  // namespace

const ElementwiseKernels kScalarElementwise = {RmsNorm, SiluMultiply, RotateHalves, RotatePairs,
                                               Add,     LayerNorm,    Gelu,         GeluTanh};

}  // namespace cairn::kernels
