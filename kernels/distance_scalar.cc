// The reference: plain loops for any CPU. Independent partial sums let a compiler use whatever
// vectors the target has at least.
#include "kernels/distance_variants.h"

namespace cairn::kernels {
namespace {

constexpr size_t kLanes = 16;

float FromBf16(bf16 value) {
  const uint32_t bits = static_cast<uint32_t>(value) << 16;
  float result;
  __builtin_memcpy(&result, &bits, sizeof(result));
  return result;
}

// The partial sums, folded in halves.
template <typename Sum>
Sum Fold(Sum (&sums)[kLanes]) {
  for (size_t width = kLanes / 2; width > 0; width /= 2) {
    for (size_t lane = 0; lane < width; ++lane) sums[lane] += sums[lane + width];
  }
  return sums[0];
}

float DotF32(const float* a, const float* b, size_t n) {
  float sums[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  for (size_t lane = 0; i < n; ++i, ++lane) sums[lane] += a[i] * b[i];
  return Fold(sums);
}

float DotBf16(const bf16* a, const bf16* b, size_t n) {
  float sums[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      sums[lane] += FromBf16(a[i + lane]) * FromBf16(b[i + lane]);
    }
  }
  for (size_t lane = 0; i < n; ++i, ++lane) sums[lane] += FromBf16(a[i]) * FromBf16(b[i]);
  return Fold(sums);
}

int32_t DotI8(const int8_t* a, const int8_t* b, size_t n) {
  int32_t sums[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      sums[lane] += static_cast<int16_t>(a[i + lane]) * static_cast<int16_t>(b[i + lane]);
    }
  }
  for (size_t lane = 0; i < n; ++i, ++lane) sums[lane] += int32_t{a[i]} * int32_t{b[i]};
  return Fold(sums);
}

void ScanF32(const float* query, const float* rows, size_t count, size_t dim, float* out) {
  for (size_t r = 0; r < count; ++r) out[r] = DotF32(query, rows + r * dim, dim);
}

void ScanBf16(const bf16* query, const bf16* rows, size_t count, size_t dim, float* out) {
  for (size_t r = 0; r < count; ++r) out[r] = DotBf16(query, rows + r * dim, dim);
}

void ScanI8(const int8_t* query, const int8_t* rows, size_t count, size_t dim, int32_t* out) {
  for (size_t r = 0; r < count; ++r) out[r] = DotI8(query, rows + r * dim, dim);
}

void GatherF32(const float* query, const float* rows, const uint32_t* ids, size_t count, size_t dim,
               float* out) {
  for (size_t i = 0; i < count; ++i) out[i] = DotF32(query, rows + ids[i] * dim, dim);
}

void GatherBf16(const bf16* query, const bf16* rows, const uint32_t* ids, size_t count, size_t dim,
                float* out) {
  for (size_t i = 0; i < count; ++i) out[i] = DotBf16(query, rows + ids[i] * dim, dim);
}

void GatherI8(const int8_t* query, const int8_t* rows, const uint32_t* ids, size_t count,
              size_t dim, int32_t* out) {
  for (size_t i = 0; i < count; ++i) out[i] = DotI8(query, rows + ids[i] * dim, dim);
}

}  // namespace

const DistanceKernels kScalarDistance = {DotF32, DotBf16,   DotI8,      ScanF32, ScanBf16,
                                         ScanI8, GatherF32, GatherBf16, GatherI8};

}  // namespace cairn::kernels
