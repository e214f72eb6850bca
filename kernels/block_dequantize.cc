// Blocks to floats. Compiled without contraction: products and sums round apart, as in ggml's
// reference.
#include <bit>
#include <cstring>

#include "kernels/block_format.h"
#include "kernels/block_packing.h"

namespace cairn::kernels {
namespace {

using Bytes = const uint8_t*;

float LoadHalf(Bytes at) {
  uint16_t half;
  std::memcpy(&half, at, sizeof half);
  return HalfToFloat(half);
}

void BlockQ8_0(Bytes in, float* out) {
  const float scale = LoadHalf(in);
  for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(static_cast<int8_t>(in[2 + i])) * scale;
}

void BlockQ4_0(Bytes in, float* out) {
  const float scale = LoadHalf(in);
  for (int i = 0; i < 16; ++i) {
    out[i] = static_cast<float>((in[2 + i] & 15) - 8) * scale;
    out[i + 16] = static_cast<float>((in[2 + i] >> 4) - 8) * scale;
  }
}

void BlockQ4_1(Bytes in, float* out) {
  const float scale = LoadHalf(in);
  const float offset = LoadHalf(in + 2);
  for (int i = 0; i < 16; ++i) {
    out[i] = static_cast<float>(in[4 + i] & 15) * scale + offset;
    out[i + 16] = static_cast<float>(in[4 + i] >> 4) * scale + offset;
  }
}

// The 32 values of Q5_0 and Q5_1: low four bits as in Q4_0, the fifth bits of all in one word.
void UnpackFiveBits(Bytes high, Bytes low, int* values) {
  uint32_t fifth;
  std::memcpy(&fifth, high, sizeof fifth);
  for (int i = 0; i < 16; ++i) {
    values[i] = static_cast<int>((low[i] & 15) | (fifth >> i & 1) << 4);
    values[i + 16] = static_cast<int>((low[i] >> 4) | (fifth >> (i + 16) & 1) << 4);
  }
}

void BlockQ5_0(Bytes in, float* out) {
  const float scale = LoadHalf(in);
  int values[32];
  UnpackFiveBits(in + 2, in + 6, values);
  for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(values[i] - 16) * scale;
}

void BlockQ5_1(Bytes in, float* out) {
  const float scale = LoadHalf(in);
  const float offset = LoadHalf(in + 2);
  int values[32];
  UnpackFiveBits(in + 4, in + 8, values);
  for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(values[i]) * scale + offset;
}

void BlockQ4_K(Bytes in, float* out) {
  const float scale = LoadHalf(in);
  const float offset = LoadHalf(in + 2);
  const Bytes packed = in + 4;
  const Bytes low = in + 16;
  for (int part = 0; part < 8; ++part) {
    const ScaleAndMin six = UnpackScaleAndMin(packed, part);
    const float s = scale * static_cast<float>(six.scale);
    const float m = offset * static_cast<float>(six.min);
    const int shift = part % 2 * 4;
    for (int i = 0; i < 32; ++i) {
      out[32 * part + i] = s * static_cast<float>(low[part / 2 * 32 + i] >> shift & 15) - m;
    }
  }
}

void BlockQ5_K(Bytes in, float* out) {
  const float scale = LoadHalf(in);
  const float offset = LoadHalf(in + 2);
  const Bytes packed = in + 4;
  const Bytes high = in + 16;
  const Bytes low = in + 48;
  for (int part = 0; part < 8; ++part) {
    const ScaleAndMin six = UnpackScaleAndMin(packed, part);
    const float s = scale * static_cast<float>(six.scale);
    const float m = offset * static_cast<float>(six.min);
    const int shift = part % 2 * 4;
    for (int i = 0; i < 32; ++i) {
      const int value = (low[part / 2 * 32 + i] >> shift & 15) | (high[i] >> part & 1) << 4;
      out[32 * part + i] = s * static_cast<float>(value) - m;
    }
  }
}

void BlockQ6_K(Bytes in, float* out) {
  const float scale = LoadHalf(in + 208);
  for (int half = 0; half < 2; ++half) {
    const Bytes low = in + 64 * half;
    const Bytes high = in + 128 + 32 * half;
    const Bytes scales = in + 192 + 8 * half;
    float* values = out + 128 * half;
    for (int part = 0; part < 4; ++part) {
      for (int i = 0; i < 32; ++i) {
        const int four = low[part % 2 * 32 + i] >> part / 2 * 4 & 15;
        const int value = (four | (high[i] >> 2 * part & 3) << 4) - 32;
        const float s = scale * static_cast<float>(static_cast<int8_t>(scales[2 * part + i / 16]));
        values[32 * part + i] = s * static_cast<float>(value);
      }
    }
  }
}

template <void (*kBlock)(Bytes, float*)>
void ForEachBlock(BlockShape shape, Bytes in, size_t n, float* out) {
  for (size_t i = 0; i < n; i += shape.values, in += shape.bytes) kBlock(in, out + i);
}

void FromHalf(Bytes in, size_t n, float* out) {
  for (size_t i = 0; i < n; ++i) out[i] = LoadHalf(in + 2 * i);
}

void FromBrain(Bytes in, size_t n, float* out) {
  for (size_t i = 0; i < n; ++i) {
    uint16_t bits;
    std::memcpy(&bits, in + 2 * i, sizeof bits);
    out[i] = std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
  }
}

}  // namespace

void Dequantize(BlockFormat format, const void* blocks, size_t n, float* out) {
  const Bytes in = static_cast<Bytes>(blocks);
  const BlockShape shape = ShapeOf(format);
  switch (format) {
    case BlockFormat::kF32:
      if (n > 0) std::memcpy(out, in, n * sizeof(float));
      return;
    case BlockFormat::kF16:
      return FromHalf(in, n, out);
    case BlockFormat::kBF16:
      return FromBrain(in, n, out);
    case BlockFormat::kQ8_0:
      return ForEachBlock<BlockQ8_0>(shape, in, n, out);
    case BlockFormat::kQ4_0:
      return ForEachBlock<BlockQ4_0>(shape, in, n, out);
    case BlockFormat::kQ4_1:
      return ForEachBlock<BlockQ4_1>(shape, in, n, out);
    case BlockFormat::kQ5_0:
      return ForEachBlock<BlockQ5_0>(shape, in, n, out);
    case BlockFormat::kQ5_1:
      return ForEachBlock<BlockQ5_1>(shape, in, n, out);
    case BlockFormat::kQ4_K:
      return ForEachBlock<BlockQ4_K>(shape, in, n, out);
    case BlockFormat::kQ5_K:
      return ForEachBlock<BlockQ5_K>(shape, in, n, out);
    case BlockFormat::kQ6_K:
      return ForEachBlock<BlockQ6_K>(shape, in, n, out);
  }
}

}  // namespace cairn::kernels
