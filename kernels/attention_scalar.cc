// Portable attention kernels: what every other set is tested against.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/attention_variants.h"
#include "kernels/block_format.h"

namespace cairn::kernels {
namespace {

float Bf16At(const std::byte* from, size_t index) {
  uint16_t narrow;
  std::memcpy(&narrow, from + 2 * index, 2);
  const uint32_t bits = static_cast<uint32_t>(narrow) << 16;
  float out;
  std::memcpy(&out, &bits, 4);
  return out;
}

float HalfAt(const std::byte* from, size_t index) {
  uint16_t half;
  std::memcpy(&half, from + 2 * index, 2);
  return HalfToFloat(half);
}

float FloatAt(const std::byte* from, size_t index) {
  float out;
  std::memcpy(&out, from + 4 * index, 4);
  return out;
}

void PanelsF32(KvType type, const std::byte* tile, size_t padded, float* keys, float* values) {
  const size_t n = kKvTileTokens * padded;
  const std::byte* scales = tile + 2 * n;  // kI8
  for (size_t d = 0; d < padded; ++d) {
    for (size_t t = 0; t < kKvTileTokens; ++t) {
      float& key = keys[d * kKvTileTokens + t];
      float& value = values[t * padded + d];
      if (type == KvType::kBF16) {
        key = Bf16At(tile, (d / 2 * kKvTileTokens + t) * 2 + d % 2);
        value = Bf16At(tile + 2 * n, (t / 2 * padded + d) * 2 + t % 2);
      } else if (type == KvType::kF16) {
        key = HalfAt(tile, d * kKvTileTokens + t);
        value = HalfAt(tile + 2 * n, t * padded + d);
      } else {
        key = FloatAt(scales, t) *
              static_cast<float>(static_cast<int8_t>(tile[d * kKvTileTokens + t]));
        value = FloatAt(scales, kKvTileTokens + t) *
                static_cast<float>(static_cast<int8_t>(tile[n + t * padded + d]));
      }
    }
  }
}

void SoftmaxF32(const float* scores, size_t begin, size_t end, size_t padded, float* maximum,
                float* sum, float* out, float* weights) {
  float most = *maximum;
  for (size_t i = begin; i < end; ++i) most = std::max(most, scores[i]);
  const float rescale = std::exp2(*maximum - most);  // 0 at first: the maximum was -infinity.
  *maximum = most;
  *sum *= rescale;
  for (size_t d = 0; d < padded; ++d) out[d] *= rescale;
  std::fill_n(weights, kKvTileTokens, 0.0f);
  for (size_t i = begin; i < end; ++i) {
    weights[i] = std::exp2(scores[i] - most);
    *sum += weights[i];
  }
}

}  // namespace

const AttentionKernels kScalarAttention = {PanelsF32, nullptr, SoftmaxF32, nullptr};

}  // namespace cairn::kernels
