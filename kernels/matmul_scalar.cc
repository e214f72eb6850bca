// Portable products: what every other set is tested against, and what runs where there is none.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/matmul.h"
#include "kernels/matmul_variants.h"

namespace cairn::kernels {
namespace {

float Half(const uint8_t* at) {
  uint16_t half;
  std::memcpy(&half, at, 2);
  return HalfToFloat(half);
}

float FromBf16(bf16 value) {
  const uint32_t bits = static_cast<uint32_t>(value) << 16;
  float out;
  std::memcpy(&out, &bits, 4);
  return out;
}

// One row of one block of 32 columns: value = scale[c / step] * (q[c] - zero) + minimum.
struct RowOfBlock {
  float scale[2];
  float minimum = 0;
  uint8_t q[32];
};

RowOfBlock ReadRow(BlockFormat format, const std::byte* tile, size_t b, size_t r) {
  const TileBlock& layout = TileBlockOf(format);
  const size_t group_bytes = layout.header_bytes + layout.group_blocks * layout.bytes;
  const uint8_t* header =
      reinterpret_cast<const uint8_t*>(tile) + b / layout.group_blocks * group_bytes;
  const uint8_t* block = header + layout.header_bytes + b % layout.group_blocks * layout.bytes;
  RowOfBlock out;
  if (layout.header_bytes == 0) {
    out.scale[0] = out.scale[1] = Half(block + 2 * r);
    if (layout.minimum_offset != 0) out.minimum = Half(block + layout.minimum_offset + 2 * r);
  } else if (layout.minimum_offset != 0) {
    out.scale[0] = out.scale[1] = Half(header + 2 * r) * static_cast<float>(block[r]);
    out.minimum =
        -(Half(header + 32 + 2 * r) * static_cast<float>(block[layout.minimum_offset + r]));
  } else {
    for (size_t s = 0; s < 2; ++s) {
      const auto sub_scale = static_cast<int8_t>(block[s * kTileRows + r]);
      out.scale[s] = Half(header + 2 * r) * static_cast<float>(sub_scale);
    }
  }
  for (size_t c = 0; c < 32; ++c) {
    const size_t quad = c / 4, lane = r * 4 + c % 4;
    if (layout.low_bits == 8) {
      out.q[c] = block[layout.low_offset + quad * 64 + lane];
      continue;
    }
    const uint8_t both = block[layout.low_offset + quad % 4 * 64 + lane];
    unsigned q = quad < 4 ? both & 15u : both >> 4;
    if (layout.high_bits == 1) q |= (block[layout.high_offset + lane] >> quad & 1u) << 4;
    if (layout.high_bits == 2) {
      q |= (block[layout.high_offset + quad / 4 * 64 + lane] >> (2 * (quad % 4)) & 3u) << 4;
    }
    out.q[c] = static_cast<uint8_t>(q);
  }
  return out;
}

// Calls store(column, row, value) for all values in columns [begin, end) of a tile.
template <class Store>
void ForValues(BlockFormat format, const std::byte* tile, size_t begin, size_t end, Store store) {
  if (IsQuantised(format)) {
    const int zero = TileBlockOf(format).zero;
    for (size_t b = begin / 32; b < end / 32; ++b) {
      for (size_t r = 0; r < kTileRows; ++r) {
        const RowOfBlock row = ReadRow(format, tile, b, r);
        for (size_t c = 0; c < 32; ++c) {
          store(b * 32 + c, r,
                row.scale[c / 16] * static_cast<float>(row.q[c] - zero) + row.minimum);
        }
      }
    }
    return;
  }
  const uint8_t* bytes = reinterpret_cast<const uint8_t*>(tile);
  for (size_t c = begin; c < end; ++c) {
    for (size_t r = 0; r < kTileRows; ++r) {
      float value;
      if (format == BlockFormat::kF32) {
        std::memcpy(&value, bytes + (c * kTileRows + r) * 4, 4);
      } else if (format == BlockFormat::kF16) {
        value = Half(bytes + (c * kTileRows + r) * 2);
      } else {
        bf16 narrow;
        std::memcpy(&narrow, bytes + (c / 2 * kTileRows * 2 + r * 2 + c % 2) * 2, 2);
        value = FromBf16(narrow);
      }
      store(c, r, value);
    }
  }
}

void UnpackF32(BlockFormat format, const std::byte* tile, size_t begin, size_t end, float* panel) {
  ForValues(format, tile, begin, end, [&](size_t column, size_t row, float value) {
    panel[(column - begin) * kPanelWidth + row] = value;
  });
}

void UnpackI8(BlockFormat format, const std::byte* tile, size_t begin, size_t end, uint8_t* panel,
              float* scales, float* minima) {
  const size_t step = ScaleStep(format);
  for (size_t column = begin; column < end; column += 32) {
    for (size_t r = 0; r < kTileRows; ++r) {
      const RowOfBlock row = ReadRow(format, tile, column / 32, r);
      const size_t from = column - begin;
      for (size_t c = 0; c < 32; ++c) {
        panel[(from + c) / 4 * kPanelWidth * 4 + r * 4 + c % 4] = row.q[c];
      }
      for (size_t s = 0; s < 32 / step; ++s) {
        scales[(from / step + s) * kPanelWidth + r] = row.scale[s];
      }
      if (HasMinima(format)) minima[from / step * kPanelWidth + r] = row.minimum;
    }
  }
}

void GemmF32(const float* a, size_t lda, size_t m, const float* panel, size_t stride,
             size_t columns, float* c, size_t ldc, bool accumulate) {
  for (size_t r = 0; r < m; ++r) {
    float sum[kPanelWidth] = {};
    if (accumulate) std::copy_n(c + r * ldc, kPanelWidth, sum);
    for (size_t k = 0; k < columns; ++k) {
      const float x = a[r * lda + k];
      for (size_t n = 0; n < kPanelWidth; ++n) sum[n] += x * panel[k * stride + n];
    }
    std::copy_n(sum, kPanelWidth, c + r * ldc);
  }
}

void GemmI8(const I8Rows& a, size_t first, size_t m, const I8Panel& panel, float* c, size_t ldc,
            bool accumulate) {
  const size_t steps = a.columns / panel.step;
  for (size_t r = 0; r < m; ++r) {
    const int8_t* q = a.q + r * a.columns + first;
    float* out = c + r * ldc;
    if (!accumulate) std::fill_n(out, kPanelWidth, 0.0f);
    for (size_t group = 0; group < panel.columns; group += kActivationGroup) {
      const size_t end = std::min(panel.columns, group + kActivationGroup);
      float sum[kPanelWidth] = {};
      for (size_t k = group; k < end; k += panel.step) {
        const size_t step = k / panel.step;
        const size_t row_step = r * steps + first / panel.step + step;
        for (size_t n = 0; n < kPanelWidth; ++n) {
          int32_t dot = a.offsets[row_step];
          for (size_t i = k; i < k + panel.step; ++i) {
            dot += static_cast<int32_t>(panel.q[i / 4 * kPanelWidth * 4 + n * 4 + i % 4]) * q[i];
          }
          sum[n] += static_cast<float>(dot) * panel.scales[step * kPanelWidth + n];
          if (panel.minima != nullptr) {
            sum[n] += a.totals[row_step] * panel.minima[step * kPanelWidth + n];
          }
        }
      }
      const float scale = a.scales[r * a.groups + (first + group) / kActivationGroup];
      for (size_t n = 0; n < kPanelWidth; ++n) out[n] += sum[n] * scale;
    }
  }
}

void AddOrSet(const float* sum, float* c, bool accumulate) {
  for (size_t n = 0; n < kTileRows; ++n) c[n] = accumulate ? c[n] + sum[n] : sum[n];
}

void VectorF32(BlockFormat format, const std::byte* tile, size_t columns, const float* a, size_t m,
               float* c, size_t ldc, bool accumulate) {
  for (size_t r = 0; r < m; ++r) {
    float sum[kTileRows] = {};
    ForValues(format, tile, 0, columns, [&](size_t column, size_t row, float value) {
      sum[row] += value * a[r * columns + column];
    });
    AddOrSet(sum, c + r * ldc, accumulate);
  }
}

void VectorI8(BlockFormat format, const std::byte* tile, const I8Rows& a, size_t m, float* c,
              size_t ldc, bool accumulate) {
  const size_t step = ScaleStep(format);
  const int zero = TileBlockOf(format).zero;
  for (size_t r = 0; r < m; ++r) {
    float total[kTileRows] = {};
    for (size_t n = 0; n < kTileRows; ++n) {
      float sum = 0;
      for (size_t b = 0; b < a.columns / 32; ++b) {
        const RowOfBlock row = ReadRow(format, tile, b, n);
        for (size_t s = 0; s < 32; s += step) {
          int32_t dot = 0, plain = 0;
          for (size_t i = s; i < s + step; ++i) {
            const int32_t x = a.q[r * a.columns + b * 32 + i];
            dot += (row.q[i] - zero) * x;
            plain += x;
          }
          sum +=
              static_cast<float>(dot) * row.scale[s / 16] + static_cast<float>(plain) * row.minimum;
        }
        const size_t next = (b + 1) * 32;
        if (next % kActivationGroup == 0 || next == a.columns) {
          total[n] += sum * a.scales[r * a.groups + b * 32 / kActivationGroup];
          sum = 0;
        }
      }
    }
    AddOrSet(total, c + r * ldc, accumulate);
  }
}

void EncodeI8Row(const float* in, size_t n, int8_t* out, float* scales, int32_t* sums) {
  // Adding and subtracting 1.5 * 2^23 rounds to nearest even (see EncodeI8 in distance.cc).
  constexpr float kRound = 12582912.0f;
  for (size_t begin = 0; begin < n; begin += kActivationGroup, ++scales) {
    const size_t end = std::min(n, begin + kActivationGroup);
    float largest = 0;
    for (size_t i = begin; i < end; ++i) {
      const float magnitude = std::fabs(in[i]);
      // NaN comes through: nothing is larger.
      if (magnitude > largest || std::isnan(magnitude)) largest = magnitude;
    }
    const float scale = largest / 127.0f;
    *scales = scale <= 1e-30f ? 0.0f : scale;
    const float inverse = scale > 1e-30f ? 1.0f / scale : 0.0f;
    for (size_t i = begin; i < end; i += 16) {
      int32_t sum = 0;
      for (size_t j = i; j < i + 16; ++j) {
        const float scaled = std::clamp(in[j] * inverse, -127.0f, 127.0f);
        const int32_t q = std::isnan(scaled) ? 0 : static_cast<int32_t>((scaled + kRound) - kRound);
        out[j] = static_cast<int8_t>(q);
        sum += q;
      }
      *sums++ = sum;
    }
  }
}

}  // namespace

const MatmulKernels kScalarMatmul = {UnpackF32, nullptr,   UnpackI8, GemmF32,    nullptr,
                                     GemmI8,    VectorF32, VectorI8, EncodeBf16, EncodeI8Row};

}  // namespace cairn::kernels
