// Floats to blocks. Compiled without contraction, so that every machine chooses the same blocks.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/block_format.h"
#include "kernels/block_packing.h"

namespace cairn::kernels {
namespace {

using Bytes = uint8_t*;

// Stores and returns what a reader will see; beyond half's range, its largest number.
float StoreHalf(float value, Bytes at) {
  const uint16_t half = FloatToHalf(std::clamp(value, -65504.0f, 65504.0f));
  std::memcpy(at, &half, sizeof half);
  return HalfToFloat(half);
}

// 0 also where the inverse would overflow.
float InverseOrZero(float x) {
  return std::fabs(x) >= std::numeric_limits<float>::min() ? 1 / x : 0;
}

// `x` within [low, high], and `high` for what is no number: what may be cast to an integer.
float Within(float x, float low, float high) { return std::max(low, std::min(high, x)); }

// To the nearest integer, halves to even, without a call: 1.5 * 2^23 leaves no bits for fractions.
// Beyond 2^22 something else as large.
float Nearest(float x) {
  constexpr float kNoFraction = 12582912.0f;
  return (x + kNoFraction) - kNoFraction;
}

// To the nearest integer, halves away from zero; exact, since a double holds x +- 0.5.
int NearestAway(float x) { return static_cast<int>(double{x} + (x < 0 ? -0.5 : 0.5)); }

void BlockQ8_0(const float* in, Bytes out) {
  float largest = 0;
  for (int i = 0; i < 32; ++i) largest = std::max(largest, std::fabs(in[i]));
  const float scale = largest / 127;
  const float inverse = InverseOrZero(scale);
  StoreHalf(scale, out);
  for (int i = 0; i < 32; ++i) {
    out[2 + i] = static_cast<uint8_t>(NearestAway(Within(in[i] * inverse, -127, 127)));
  }
}

// The value of the largest magnitude becomes -levels / 2 exactly, so all levels are used.
float SymmetricScale(const float* in, int levels) {
  float largest = 0;
  for (int i = 0; i < 32; ++i) {
    if (std::fabs(in[i]) > std::fabs(largest)) largest = in[i];
  }
  return largest / static_cast<float>(-levels / 2);
}

// out[i] in [0, levels): in[i] in units of `scale`, counted from `zero`.
void ToLevels(const float* in, float scale, float zero, float shift, int levels, int* out) {
  const float inverse = InverseOrZero(scale);
  const float top = static_cast<float>(levels - 1);
  for (int i = 0; i < 32; ++i) {
    out[i] = static_cast<int>(Within((in[i] - zero) * inverse + shift + 0.5f, 0, top));
  }
}

void PackNibbles(const int* values, Bytes out) {
  for (int i = 0; i < 16; ++i) {
    out[i] = static_cast<uint8_t>((values[i] & 15) | (values[i + 16] & 15) << 4);
  }
}

void PackFifthBits(const int* values, Bytes out) {
  uint32_t fifth = 0;
  for (int i = 0; i < 32; ++i) fifth |= static_cast<uint32_t>(values[i] >> 4) << i;
  std::memcpy(out, &fifth, sizeof fifth);
}

void BlockQ4_0(const float* in, Bytes out) {
  const float scale = SymmetricScale(in, 16);
  int values[32];
  ToLevels(in, scale, 0, 8, 16, values);
  StoreHalf(scale, out);
  PackNibbles(values, out + 2);
}

void BlockQ5_0(const float* in, Bytes out) {
  const float scale = SymmetricScale(in, 32);
  int values[32];
  ToLevels(in, scale, 0, 16, 32, values);
  StoreHalf(scale, out);
  PackFifthBits(values, out + 2);
  PackNibbles(values, out + 6);
}

// Scale and offset that spread `levels` levels from the smallest value to the largest.
void RangeBlock(const float* in, int levels, Bytes out, int* values) {
  const auto [min, max] = std::minmax_element(in, in + 32);
  const float scale = (*max - *min) / static_cast<float>(levels - 1);
  ToLevels(in, scale, *min, 0, levels, values);
  StoreHalf(scale, out);
  StoreHalf(*min, out + 2);
}

void BlockQ4_1(const float* in, Bytes out) {
  int values[32];
  RangeBlock(in, 16, out, values);
  PackNibbles(values, out + 4);
}

void BlockQ5_1(const float* in, Bytes out) {
  int values[32];
  RangeBlock(in, 32, out, values);
  PackFifthBits(values, out + 4);
  PackNibbles(values, out + 8);
}

// value = scale * level - min, both at least 0.
struct AffineFit {
  float scale = 0;
  float min = 0;
};

// For given levels, the scale and minimum of the least weighted squared error, by the normal
// equations of linear regression; where the minimum would be negative, it is held at 0.
AffineFit Regress(const float* in, const float* weights, const float* levels) {
  float w = 0, wl = 0, wll = 0, wx = 0, wlx = 0;
  for (int i = 0; i < 32; ++i) {
    const float weighted = weights[i] * levels[i];
    w += weights[i];
    wl += weighted;
    wll += weighted * levels[i];
    wx += weights[i] * in[i];
    wlx += weighted * in[i];
  }
  const float determinant = w * wll - wl * wl;
  if (!(determinant > 0)) return {};
  AffineFit fit = {(w * wlx - wl * wx) / determinant, (wl * wlx - wll * wx) / determinant};
  if (fit.min < 0) fit = {wll > 0 ? wlx / wll : 0, 0};
  return fit;
}

float AffineError(const float* in, const float* weights, const float* levels, AffineFit fit) {
  float error = 0;
  for (int i = 0; i < 32; ++i) {
    const float difference = fit.scale * levels[i] - fit.min - in[i];
    error += weights[i] * difference * difference;
  }
  return error;
}

// Searches 32 values' scale and minimum: levels are assigned for a row of trial scales around the
// one that spans the range, each time the best fit to those levels is computed, and the one of the
// smallest error kept. Large values weigh more, since they contribute more to a product.
AffineFit SearchAffine(const float* in, int max_level) {
  constexpr int kTrials = 21;
  float square = 0, low = 0, high = in[0];
  for (int i = 0; i < 32; ++i) {
    square += in[i] * in[i];
    low = std::min(low, in[i]);  // At most 0: the minimum's sign is fixed.
    high = std::max(high, in[i]);
  }
  if (!(high > low)) return {0, -low};
  const float typical = std::sqrt(square / 32);
  float weights[32], levels[32];
  for (int i = 0; i < 32; ++i) weights[i] = typical + std::fabs(in[i]);

  const float top = static_cast<float>(max_level);
  AffineFit best;
  float least = -1;
  for (int trial = -1; trial < kTrials; ++trial) {
    // The first keeps scale and minimum as the range gives them.
    const float reach = trial < 0 ? top : top - 1 + 0.1f * static_cast<float>(trial);
    const float inverse = reach / (high - low);
    for (int i = 0; i < 32; ++i) {
      levels[i] = Within(Nearest(inverse * (in[i] - low)), 0, top);
    }
    const AffineFit fit = trial < 0 ? AffineFit{1 / inverse, -low} : Regress(in, weights, levels);
    if (!(fit.scale > 0)) continue;
    const float error = AffineError(in, weights, levels, fit);
    if (least < 0 || error < least) {
      least = error;
      best = fit;
    }
  }
  return best;
}

// The part that Q4_K and Q5_K share: writes both halves and the packed scales, fills levels[256].
void AffineSuperBlock(const float* in, int max_level, Bytes out, uint8_t* levels) {
  AffineFit fits[8];
  float max_scale = 0, max_min = 0;
  for (int part = 0; part < 8; ++part) {
    fits[part] = SearchAffine(in + 32 * part, max_level);
    max_scale = std::max(max_scale, fits[part].scale);
    max_min = std::max(max_min, fits[part].min);
  }
  const float inverse_scale = max_scale > 0 ? 63 / max_scale : 0;
  const float inverse_min = max_min > 0 ? 63 / max_min : 0;
  const float scale = StoreHalf(max_scale / 63, out);
  const float offset = StoreHalf(max_min / 63, out + 2);
  std::memset(out + 4, 0, 12);
  for (int part = 0; part < 8; ++part) {
    const float s = Within(Nearest(inverse_scale * fits[part].scale), 0, 63);
    const float m = Within(Nearest(inverse_min * fits[part].min), 0, 63);
    PackScaleAndMin({static_cast<uint8_t>(s), static_cast<uint8_t>(m)}, part, out + 4);
    // Levels again, for the scales as they are stored.
    const float step = scale * s;
    const float min = offset * m;
    const float inverse = InverseOrZero(step);
    for (int i = 32 * part; i < 32 * part + 32; ++i) {
      const float level = Nearest((in[i] + min) * inverse);
      levels[i] = static_cast<uint8_t>(Within(level, 0, static_cast<float>(max_level)));
    }
  }
}

void PackLowBits(const uint8_t* levels, Bytes out) {
  for (int pair = 0; pair < 4; ++pair) {
    for (int i = 0; i < 32; ++i) {
      out[32 * pair + i] = static_cast<uint8_t>((levels[64 * pair + i] & 15) |
                                                (levels[64 * pair + 32 + i] & 15) << 4);
    }
  }
}

void BlockQ4_K(const float* in, Bytes out) {
  uint8_t levels[256];
  AffineSuperBlock(in, 15, out, levels);
  PackLowBits(levels, out + 16);
}

void BlockQ5_K(const float* in, Bytes out) {
  uint8_t levels[256];
  AffineSuperBlock(in, 31, out, levels);
  for (int i = 0; i < 32; ++i) {
    int high = 0;
    for (int part = 0; part < 8; ++part) high |= levels[32 * part + i] >> 4 << part;
    out[16 + i] = static_cast<uint8_t>(high);
  }
  PackLowBits(levels, out + 48);
}

// Searches the scale of 16 values with levels -32..31, in the same way as SearchAffine. For given
// levels l the best scale is sum(wxl) / sum(wll), and the error shrinks by sum(wxl)^2 / sum(wll).
float SearchSymmetric(const float* in) {
  float largest = 0;
  for (int i = 0; i < 16; ++i) {
    if (std::fabs(in[i]) > std::fabs(largest)) largest = in[i];
  }
  if (largest == 0) return 0;
  float best = 0, most = 0;
  for (int trial = -9; trial <= 9; ++trial) {
    const float inverse = -(32 + 0.1f * static_cast<float>(trial)) / largest;
    float wxl = 0, wll = 0;
    for (int i = 0; i < 16; ++i) {
      const float level = Within(Nearest(inverse * in[i]), -32, 31);
      const float weight = in[i] * in[i];
      wxl += weight * in[i] * level;
      wll += weight * level * level;
    }
    if (wll > 0 && wxl * wxl > most * wll) {
      most = wxl * wxl / wll;
      best = wxl / wll;
    }
  }
  return best;
}

void BlockQ6_K(const float* in, Bytes out) {
  float scales[16];
  float largest = 0;
  for (int part = 0; part < 16; ++part) {
    scales[part] = SearchSymmetric(in + 16 * part);
    if (std::fabs(scales[part]) > std::fabs(largest)) largest = scales[part];
  }
  std::memset(out, 0, 210);
  const float scale = StoreHalf(largest / -128, out + 208);
  if (scale == 0) return;
  const float inverse_scale = -128 / largest;
  uint8_t levels[256];
  for (int part = 0; part < 16; ++part) {
    const float s = Within(Nearest(inverse_scale * scales[part]), -128, 127);
    out[192 + part] = static_cast<uint8_t>(static_cast<int8_t>(s));
    const float inverse = InverseOrZero(scale * s);
    for (int i = 16 * part; i < 16 * part + 16; ++i) {
      const float level = Within(Nearest(in[i] * inverse), -32, 31);
      levels[i] = static_cast<uint8_t>(static_cast<int>(level) + 32);
    }
  }
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128, part = i % 128 / 32, at = i % 32;
    out[64 * half + part % 2 * 32 + at] |= static_cast<uint8_t>((levels[i] & 15) << part / 2 * 4);
    out[128 + 32 * half + at] |= static_cast<uint8_t>(levels[i] >> 4 << 2 * part);
  }
}

template <void (*kBlock)(const float*, Bytes)>
void ForEachBlock(BlockShape shape, const float* in, size_t n, Bytes out) {
  for (size_t i = 0; i < n; i += shape.values, out += shape.bytes) kBlock(in + i, out);
}

void ToHalf(const float* in, size_t n, Bytes out) {
  for (size_t i = 0; i < n; ++i) {
    const uint16_t half = FloatToHalf(in[i]);
    std::memcpy(out + 2 * i, &half, sizeof half);
  }
}

void ToBrain(const float* in, size_t n, Bytes out) {
  for (size_t i = 0; i < n; ++i) {
    const uint32_t bits = std::bit_cast<uint32_t>(in[i]);
    const bool nan = (bits & 0x7fffffff) > 0x7f800000;
    const uint32_t rounded = nan ? bits | 0x400000 : bits + 0x7fff + (bits >> 16 & 1);
    const uint16_t brain = static_cast<uint16_t>(rounded >> 16);
    std::memcpy(out + 2 * i, &brain, sizeof brain);
  }
}

}  // namespace

void Quantize(BlockFormat format, const float* in, size_t n, void* blocks) {
  const Bytes out = static_cast<Bytes>(blocks);
  const BlockShape shape = ShapeOf(format);
  switch (format) {
    case BlockFormat::kF32:
      if (n > 0) std::memcpy(out, in, n * sizeof(float));
      return;
    case BlockFormat::kF16:
      return ToHalf(in, n, out);
    case BlockFormat::kBF16:
      return ToBrain(in, n, out);
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
