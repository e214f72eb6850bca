// Weights of any stored format, with every bit pattern of their quantised values.
#ifndef CAIRN_TESTS_SUPPORT_RANDOM_BLOCKS_H_
#define CAIRN_TESTS_SUPPORT_RANDOM_BLOCKS_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/block_format.h"

namespace cairn::testing {

inline void PutHalf(float value, uint8_t* at) {
  const uint16_t half = kernels::FloatToHalf(value);
  std::memcpy(at, &half, sizeof half);
}

// `values` values, a multiple of the format's block, of magnitudes around `size`. The quantised
// bits are uniform; scales and offsets are of both signs.
inline std::vector<uint8_t> RandomBlocks(kernels::BlockFormat format, size_t values,
                                         std::mt19937& rng, float size = 1.0f) {
  using kernels::BlockFormat;
  const kernels::BlockShape shape = kernels::ShapeOf(format);
  std::vector<uint8_t> blocks(values / shape.values * shape.bytes);
  std::normal_distribution<float> normal(0, size);
  if (shape.values == 1) {
    std::vector<float> plain(values);
    for (float& v : plain) v = normal(rng);
    kernels::Quantize(format, plain.data(), values, blocks.data());
    return blocks;
  }
  for (uint8_t& byte : blocks) byte = static_cast<uint8_t>(rng());
  for (size_t at = 0; at < blocks.size(); at += shape.bytes) {
    uint8_t* block = blocks.data() + at;
    switch (format) {
      case BlockFormat::kQ6_K:
        PutHalf(normal(rng) / 2048, block + 208);
        break;
      case BlockFormat::kQ4_K:
      case BlockFormat::kQ5_K:
        PutHalf(normal(rng) / 512, block);
        PutHalf(normal(rng) / 64, block + 2);
        break;
      case BlockFormat::kQ4_1:
      case BlockFormat::kQ5_1:
        PutHalf(normal(rng) / 16, block);
        PutHalf(normal(rng), block + 2);
        break;
      default:
        PutHalf(normal(rng) / (format == BlockFormat::kQ8_0 ? 64.0f : 8.0f), block);
    }
  }
  return blocks;
}

inline std::vector<kernels::BlockFormat> AllBlockFormats() {
  std::vector<kernels::BlockFormat> formats;
  for (size_t f = 0; f < kernels::kBlockFormats; ++f) {
    formats.push_back(static_cast<kernels::BlockFormat>(f));
  }
  return formats;
}

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_SUPPORT_RANDOM_BLOCKS_H_
