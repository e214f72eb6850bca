// The number formats that model weights are stored in: plain floats, and ggml's quantised blocks.
#ifndef CAIRN_KERNELS_BLOCK_FORMAT_H_
#define CAIRN_KERNELS_BLOCK_FORMAT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace cairn::kernels {

// Layouts are those of ggml (ggml-common.h), so GGUF tensors are used as they lie in the file. A
// quantised format keeps runs of `block_values` consecutive values of a row in `block_bytes` bytes.
enum class BlockFormat : uint8_t {
  kF32,
  kF16,
  kBF16,
  kQ8_0,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ4_K,
  kQ5_K,
  kQ6_K,
};
inline constexpr size_t kBlockFormats = 11;

struct BlockShape {
  size_t values = 1;  // Values in a block.
  size_t bytes = 4;   // Bytes of a block.
};
BlockShape ShapeOf(BlockFormat format);

// "F32", "Q4_K", ...: the names that GGUF tools use. Parsing ignores case.
std::string_view BlockFormatName(BlockFormat format);
std::optional<BlockFormat> ParseBlockFormat(std::string_view name);

// Bytes of `values` values, a multiple of the block's, below 2^56.
inline uint64_t FormatBytes(BlockFormat format, uint64_t values) {
  const BlockShape shape = ShapeOf(format);
  return values / shape.values * shape.bytes;
}

// out[i] = the value that element i stands for, bit for bit as ggml's reference computes it.
// `n` is a multiple of the block's values; `blocks` may be unaligned.
void Dequantize(BlockFormat format, const void* blocks, size_t n, float* out);

// The blocks that stand for the finite values in[0, n); `n` is a multiple of the block's values.
// Deterministic; scales are searched for the least weighted squared error where ggml's reference
// does so too (K formats).
void Quantize(BlockFormat format, const float* in, size_t n, void* blocks);

// IEEE 754 half precision, one value; rounding to nearest even.
float HalfToFloat(uint16_t half);
uint16_t FloatToHalf(float value);
inline constexpr float kLargestHalf = 65'504;

}  // namespace cairn::kernels

#endif  // CAIRN_KERNELS_BLOCK_FORMAT_H_
