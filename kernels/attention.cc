#include "kernels/attention.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/attention_variants.h"
#include "kernels/block_format.h"
#include "kernels/matmul_variants.h"

namespace cairn::kernels {
namespace {

constexpr float kNothing = -std::numeric_limits<float>::infinity();

const AttentionKernels& KernelsOf(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx512) return kAvx512Attention;
  if (isa == Isa::kAvx2) return kAvx2Attention;
#endif
  (void)isa;
  return kScalarAttention;
}

size_t ElementBytes(KvType type) {
  switch (type) {
    case KvType::kF32:
      return 4;
    case KvType::kI8:
      return 1;
    default:
      return 2;
  }
}

// Position of dimension d of a token's key, and of its value, in elements.
size_t KeyIndex(KvType type, size_t d, size_t token) {
  if (type == KvType::kBF16) return (d / 2 * kKvTileTokens + token) * 2 + d % 2;
  return d * kKvTileTokens + token;
}
size_t ValueIndex(KvType type, size_t padded, size_t d, size_t token) {
  if (type == KvType::kBF16) return (token / 2 * padded + d) * 2 + token % 2;
  return token * padded + d;
}

float FromBf16(bf16 value) {
  const uint32_t bits = static_cast<uint32_t>(value) << 16;
  float out;
  std::memcpy(&out, &bits, 4);
  return out;
}

// The nearest value in [-limit, limit]; `limit` for NaN.
float Clamped(float x, float limit) { return x <= limit ? (x >= -limit ? x : -limit) : limit; }

constexpr float kLargestHalf = 65504.0f;
constexpr float kLargestBf16 = 3.3895314e38f;

// Writes x [n] as `type`; element i goes to `at(i)`. Returns the scale of kI8.
template <class At>
float Encode(KvType type, const float* x, size_t n, std::byte* to, At at) {
  float scale = 0, inverse = 0;
  if (type == KvType::kI8) {
    float largest = 0;
    for (size_t i = 0; i < n; ++i) {
      largest = std::max(largest, std::fabs(Clamped(x[i], kLargestBf16)));
    }
    scale = largest / 127.0f;
    inverse = scale > 1e-30f ? 1.0f / scale : 0.0f;
  }
  if (type == KvType::kBF16) {
    float values[kMaxHeadDim];
    bf16 narrow[kMaxHeadDim];
    for (size_t i = 0; i < n; ++i) values[i] = Clamped(x[i], kLargestBf16);
    EncodeBf16(values, n, narrow);
    for (size_t i = 0; i < n; ++i) std::memcpy(to + at(i) * 2, &narrow[i], 2);
    return scale;
  }
  for (size_t i = 0; i < n; ++i) {
    const size_t index = at(i);
    if (type == KvType::kF32) {
      const float value = Clamped(x[i], kLargestBf16);
      std::memcpy(to + index * 4, &value, 4);
    } else if (type == KvType::kF16) {
      const uint16_t half = FloatToHalf(Clamped(x[i], kLargestHalf));
      std::memcpy(to + index * 2, &half, 2);
    } else {
      const float scaled = Clamped(Clamped(x[i], kLargestBf16) * inverse, 127.0f);
      to[index] = static_cast<std::byte>(static_cast<int8_t>(std::lrintf(scaled)));
    }
  }
  return scale;
}

template <class At>
void Decode(KvType type, const std::byte* from, size_t n, float scale, float* out, At at) {
  for (size_t i = 0; i < n; ++i) {
    const size_t index = at(i);
    uint16_t two = 0;
    if (type == KvType::kF32) {
      std::memcpy(out + i, from + index * 4, 4);
      continue;
    }
    if (type == KvType::kI8) {
      out[i] = scale * static_cast<float>(static_cast<int8_t>(from[index]));
      continue;
    }
    std::memcpy(&two, from + index * 2, 2);
    out[i] = type == KvType::kF16 ? HalfToFloat(two) : FromBf16(two);
  }
}

}  // namespace

std::string_view KvTypeName(KvType type) {
  switch (type) {
    case KvType::kF32:
      return "f32";
    case KvType::kF16:
      return "f16";
    case KvType::kBF16:
      return "bf16";
    case KvType::kI8:
      return "int8";
  }
  return "unknown";
}

std::optional<KvType> ParseKvType(std::string_view name) {
  for (KvType type : {KvType::kF32, KvType::kF16, KvType::kBF16, KvType::kI8}) {
    if (KvTypeName(type) == name) return type;
  }
  return std::nullopt;
}

KvType DefaultKvType() {
  return KernelsOf(ActiveIsa()).panels_bf16 != nullptr ? KvType::kBF16 : KvType::kF16;
}

size_t KvTileBytes(KvType type, size_t head_dim) {
  const size_t scales = type == KvType::kI8 ? 2 * kKvTileTokens * sizeof(float) : 0;
  return 2 * kKvTileTokens * PaddedHeadDim(head_dim) * ElementBytes(type) + scales;
}

void StoreKv(KvType type, std::byte* tile, size_t head_dim, size_t token, const float* key,
             const float* value) {
  const size_t padded = PaddedHeadDim(head_dim);
  std::byte* values = tile + kKvTileTokens * padded * ElementBytes(type);
  const float key_scale =
      Encode(type, key, head_dim, tile, [&](size_t d) { return KeyIndex(type, d, token); });
  const float value_scale = Encode(type, value, head_dim, values,
                                   [&](size_t d) { return ValueIndex(type, padded, d, token); });
  if (type != KvType::kI8) return;
  std::byte* scales = tile + 2 * kKvTileTokens * padded;
  std::memcpy(scales + token * 4, &key_scale, 4);
  std::memcpy(scales + (kKvTileTokens + token) * 4, &value_scale, 4);
}

void LoadKv(KvType type, const std::byte* tile, size_t head_dim, size_t token, float* key,
            float* value) {
  const size_t padded = PaddedHeadDim(head_dim);
  float scale[2] = {};
  if (type == KvType::kI8) {
    const std::byte* scales = tile + 2 * kKvTileTokens * padded;
    std::memcpy(&scale[0], scales + token * 4, 4);
    std::memcpy(&scale[1], scales + (kKvTileTokens + token) * 4, 4);
  }
  if (key != nullptr) {
    Decode(type, tile, head_dim, scale[0], key, [&](size_t d) { return KeyIndex(type, d, token); });
  }
  if (value != nullptr) {
    Decode(type, tile + kKvTileTokens * padded * ElementBytes(type), head_dim, scale[1], value,
           [&](size_t d) { return ValueIndex(type, padded, d, token); });
  }
}

void AttentionRows::Begin(KvType type, size_t head_dim, size_t rows) {
  assert(rows <= kAttentionRows);
  type_ = type;
  head_dim_ = head_dim;
  padded_ = PaddedHeadDim(head_dim);
  rows_ = rows;
  // Half precision is worth keeping: its products are float32's.
  narrow_ =
      (type == KvType::kBF16 || type == KvType::kI8) && KernelsOf(isa_).panels_bf16 != nullptr;
  scale_ = static_cast<float>(1.4426950408889634 / std::sqrt(static_cast<double>(head_dim)));
  Grow(&queries_, kAttentionRows * padded_);
  Grow(&out_, kAttentionRows * padded_);
  Grow(&maximum_, kAttentionRows);
  Grow(&sum_, kAttentionRows);
  Grow(&scores_, kAttentionRows * kKvTileTokens);
  Grow(&weights_, kAttentionRows * kKvTileTokens);
  std::fill_n(out_.data(), rows * padded_, 0.0f);
  std::fill_n(maximum_.data(), rows, kNothing);
  std::fill_n(sum_.data(), rows, 0.0f);
}

void AttentionRows::SetRow(size_t r, const float* query, uint32_t first, uint32_t limit) {
  first_[r] = first;
  limit_[r] = limit;
  float scaled[kMaxHeadDim];
  for (size_t d = 0; d < head_dim_; ++d) scaled[d] = query[d] * scale_;
  std::fill(scaled + head_dim_, scaled + padded_, 0.0f);
  if (narrow_) {
    EncodeBf16(scaled, padded_, reinterpret_cast<bf16*>(queries_.data()) + r * padded_);
  } else {
    std::copy_n(scaled, padded_, queries_.data() + r * padded_);
  }
}

void AttentionRows::Attend(const std::byte* const* tiles, size_t offset, size_t begin, size_t end) {
  const AttentionKernels& attention = KernelsOf(isa_);
  const MatmulKernels& matmul = GetMatmulKernels(isa_);
  const size_t half = kKvTileTokens * padded_;  // Elements of a tile's keys.
  for (size_t t = begin; t < end; ++t) {
    const auto base = static_cast<uint32_t>(t * kKvTileTokens);
    uint32_t seen = 0;  // Tokens of this tile that any row sees end here.
    for (size_t r = 0; r < rows_; ++r) {
      if (first_[r] < base + kKvTileTokens && limit_[r] > base) {
        seen = std::max(seen, std::min<uint32_t>(limit_[r] - base, kKvTileTokens));
      }
    }
    if (seen == 0) continue;
    const size_t value_tokens = (seen + 1) / 2 * 2;
    const std::byte* tile = tiles[t] + offset;

    const float* keys = reinterpret_cast<const float*>(tile);
    const float* values = keys + half;
    if (narrow_ && type_ == KvType::kBF16) {
      values = reinterpret_cast<const float*>(tile + half * sizeof(bf16));
    } else if (narrow_) {
      bf16* k = reinterpret_cast<bf16*>(Grow(&keys_, half));
      bf16* v = reinterpret_cast<bf16*>(Grow(&values_, half));
      attention.panels_bf16(type_, tile, padded_, k, v);
      keys = keys_.data();
      values = values_.data();
    } else if (type_ != KvType::kF32) {
      attention.panels_f32(type_, tile, padded_, Grow(&keys_, half), Grow(&values_, half));
      keys = keys_.data();
      values = values_.data();
    }

    const bf16* queries16 = reinterpret_cast<const bf16*>(queries_.data());
    bf16* weights16 = reinterpret_cast<bf16*>(weights_.data());
    for (size_t n = 0; n < seen; n += kPanelWidth) {
      if (narrow_) {
        matmul.gemm_bf16(queries16, padded_, rows_, reinterpret_cast<const bf16*>(keys) + 2 * n,
                         kKvTileTokens * 2, padded_, scores_.data() + n, kKvTileTokens, false);
      } else {
        matmul.gemm_f32(queries_.data(), padded_, rows_, keys + n, kKvTileTokens, padded_,
                        scores_.data() + n, kKvTileTokens, false);
      }
    }
    for (size_t r = 0; r < rows_; ++r) {
      const uint32_t from = first_[r] > base ? first_[r] - base : 0;
      const uint32_t to =
          limit_[r] > base ? std::min<uint32_t>(limit_[r] - base, kKvTileTokens) : 0;
      float* weights = weights_.data() + r * kKvTileTokens;
      bf16* narrow_weights = weights16 + r * kKvTileTokens;
      if (from >= to) {
        if (narrow_) {
          std::fill_n(narrow_weights, kKvTileTokens, bf16{0});
        } else {
          std::fill_n(weights, kKvTileTokens, 0.0f);
        }
        continue;
      }
      const float* scores = scores_.data() + r * kKvTileTokens;
      float* out = out_.data() + r * padded_;
      if (narrow_) {
        attention.softmax_bf16(scores, from, to, padded_, &maximum_[r], &sum_[r], out,
                               narrow_weights);
      } else {
        attention.softmax_f32(scores, from, to, padded_, &maximum_[r], &sum_[r], out, weights);
      }
    }
    for (size_t d = 0; d < padded_; d += kPanelWidth) {
      if (narrow_) {
        matmul.gemm_bf16(weights16, kKvTileTokens, rows_,
                         reinterpret_cast<const bf16*>(values) + 2 * d, padded_ * 2, value_tokens,
                         out_.data() + d, padded_, true);
      } else {
        matmul.gemm_f32(weights_.data(), kKvTileTokens, rows_, values + d, padded_, value_tokens,
                        out_.data() + d, padded_, true);
      }
    }
  }
}

void AttentionRows::Finish(size_t r, float* out) const {
  const float inverse = sum_[r] > 0 ? 1.0f / sum_[r] : (sum_[r] == 0 ? 0.0f : sum_[r]);
  const float* row = out_.data() + r * padded_;
  for (size_t d = 0; d < head_dim_; ++d) out[d] = row[d] * inverse;
}

float AttentionRows::FinishPartial(size_t r, float* out) const {
  Finish(r, out);
  return sum_[r] == 0 ? kNothing : maximum_[r] + std::log2(sum_[r]);
}

void MergeAttention(const float* logs, const float* parts, size_t count, size_t dim, float* out) {
  float most = kNothing;
  for (size_t i = 0; i < count; ++i) {
    if (!(logs[i] <= most)) most = logs[i];  // NaN comes through.
  }
  std::fill_n(out, dim, 0.0f);
  if (most == kNothing) return;
  float total = 0;
  for (size_t i = 0; i < count; ++i) total += std::exp2(logs[i] - most);
  for (size_t i = 0; i < count; ++i) {
    const float weight = std::exp2(logs[i] - most) / total;
    for (size_t d = 0; d < dim; ++d) out[d] += weight * parts[i * dim + d];
  }
}

}  // namespace cairn::kernels
