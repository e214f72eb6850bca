#include "engine/kv/kv_encoding.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/block_format.h"

namespace cairn::engine {
namespace {

constexpr float kLargestScaled = 1e30f;  // Far from where 127 steps of it overflow.

// Finite, and at most `largest` either way.
float Bounded(float x, float largest) {
  return std::isnan(x) ? largest : std::clamp(x, -largest, largest);
}

size_t TokenBytes(KvEncoding encoding, const KvShape& shape) {
  switch (encoding) {
    case KvEncoding::kF32:
      return shape.width() * 4;
    case KvEncoding::kF16:
      return shape.width() * 2;
    case KvEncoding::kI8:
      return shape.width() + size_t{shape.kv_heads} * 4;
  }
  return 0;
}

// One token's keys or values: float32 or float16 numbers; or a float32 scale for each head, then
// the heads' numbers in int8.
void EncodeToken(KvEncoding encoding, const KvShape& shape, const float* from, std::byte* to) {
  const size_t width = shape.width();
  if (encoding == KvEncoding::kF32) {
    for (size_t i = 0; i < width; ++i) {
      const float bounded = Bounded(from[i], std::numeric_limits<float>::max());
      std::memcpy(to + i * 4, &bounded, 4);
    }
    return;
  }
  if (encoding == KvEncoding::kF16) {
    for (size_t i = 0; i < width; ++i) {
      const uint16_t half = kernels::FloatToHalf(Bounded(from[i], kernels::kLargestHalf));
      std::memcpy(to + i * 2, &half, 2);
    }
    return;
  }
  std::byte* numbers = to + size_t{shape.kv_heads} * 4;
  for (size_t h = 0; h < shape.kv_heads; ++h) {
    const float* head = from + h * shape.head_dim;
    float largest = 0;
    for (size_t d = 0; d < shape.head_dim; ++d) {
      largest = std::max(largest, std::fabs(Bounded(head[d], kLargestScaled)));
    }
    const float scale = largest / 127;
    const float inverse = scale > 0 ? 1 / scale : 0;
    std::memcpy(to + h * 4, &scale, 4);
    for (size_t d = 0; d < shape.head_dim; ++d) {
      const float steps =
          std::clamp(std::round(Bounded(head[d], largest) * inverse), -127.f, 127.f);
      numbers[h * shape.head_dim + d] = static_cast<std::byte>(static_cast<int8_t>(steps));
    }
  }
}

void DecodeToken(KvEncoding encoding, const KvShape& shape, const std::byte* from, float* to) {
  const size_t width = shape.width();
  if (encoding == KvEncoding::kF32) {
    std::memcpy(to, from, width * 4);
    return;
  }
  if (encoding == KvEncoding::kF16) {
    kernels::Dequantize(kernels::BlockFormat::kF16, from, width, to);
    return;
  }
  const std::byte* numbers = from + size_t{shape.kv_heads} * 4;
  for (size_t h = 0; h < shape.kv_heads; ++h) {
    float scale;
    std::memcpy(&scale, from + h * 4, 4);
    for (size_t d = 0; d < shape.head_dim; ++d) {
      const size_t i = h * shape.head_dim + d;
      to[i] = scale * static_cast<float>(static_cast<int8_t>(numbers[i]));
    }
  }
}

}  // namespace

std::string_view KvEncodingName(KvEncoding encoding) {
  switch (encoding) {
    case KvEncoding::kF32:
      return "f32";
    case KvEncoding::kF16:
      return "f16";
    case KvEncoding::kI8:
      return "int8";
  }
  return "unknown";
}

std::optional<KvEncoding> ParseKvEncoding(std::string_view name) {
  for (KvEncoding encoding : {KvEncoding::kF32, KvEncoding::kF16, KvEncoding::kI8}) {
    if (name == KvEncodingName(encoding)) return encoding;
  }
  return std::nullopt;
}

size_t KvLayerBytes(KvEncoding encoding, const KvShape& shape, size_t tokens) {
  return 2 * tokens * TokenBytes(encoding, shape);
}

void EncodeKvTokens(KvEncoding encoding, const KvShape& shape, size_t tokens, size_t first,
                    size_t count, const float* keys, const float* values, std::byte* layer) {
  const size_t bytes = TokenBytes(encoding, shape);
  for (size_t t = 0; t < count; ++t) {
    std::byte* token = layer + (first + t) * bytes;
    EncodeToken(encoding, shape, keys + t * shape.width(), token);
    EncodeToken(encoding, shape, values + t * shape.width(), token + tokens * bytes);
  }
}

void DecodeKvTokens(KvEncoding encoding, const KvShape& shape, size_t tokens, size_t first,
                    size_t count, const std::byte* layer, float* keys, float* values) {
  const size_t bytes = TokenBytes(encoding, shape);
  for (size_t t = 0; t < count; ++t) {
    const std::byte* token = layer + (first + t) * bytes;
    DecodeToken(encoding, shape, token, keys + t * shape.width());
    DecodeToken(encoding, shape, token + tokens * bytes, values + t * shape.width());
  }
}

}  // namespace cairn::engine
