#include "kernels/block_format.h"

#include <array>
#include <bit>

namespace cairn::kernels {
namespace {

struct FormatEntry {
  std::string_view name;
  BlockShape shape;
};

// In the order of BlockFormat. Sizes follow ggml's structs: half-precision scales and offsets,
// packed sub-scales, packed values.
constexpr std::array<FormatEntry, kBlockFormats> kFormats = {{
    {"F32", {1, 4}},
    {"F16", {1, 2}},
    {"BF16", {1, 2}},
    {"Q8_0", {32, 2 + 32}},
    {"Q4_0", {32, 2 + 16}},
    {"Q4_1", {32, 2 + 2 + 16}},
    {"Q5_0", {32, 2 + 4 + 16}},
    {"Q5_1", {32, 2 + 2 + 4 + 16}},
    {"Q4_K", {256, 2 + 2 + 12 + 128}},
    {"Q5_K", {256, 2 + 2 + 12 + 32 + 128}},
    {"Q6_K", {256, 128 + 64 + 16 + 2}},
}};

char Upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

bool EqualIgnoringCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (Upper(a[i]) != Upper(b[i])) return false;
  }
  return true;
}

}  // namespace

BlockShape ShapeOf(BlockFormat format) { return kFormats[static_cast<size_t>(format)].shape; }

std::string_view BlockFormatName(BlockFormat format) {
  return kFormats[static_cast<size_t>(format)].name;
}

std::optional<BlockFormat> ParseBlockFormat(std::string_view name) {
  for (size_t i = 0; i < kFormats.size(); ++i) {
    if (EqualIgnoringCase(kFormats[i].name, name)) return static_cast<BlockFormat>(i);
  }
  return std::nullopt;
}

// Without branches, so that loops over it become vector code.
float HalfToFloat(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t magnitude = static_cast<uint32_t>(half & 0x7fff) << 13;
  // Normal numbers: the exponent's bias grows by 112. Infinities and NaNs get it twice over, which
  // takes their exponent from 31 to 255.
  const uint32_t rebias = uint32_t{112} << 23;
  const uint32_t is_special = 0u - static_cast<uint32_t>(magnitude >= uint32_t{0x7c00} << 13);
  const uint32_t normal = magnitude + rebias + (rebias & is_special);
  // Subnormal numbers are multiples of 2^-24: 2^-14 * 1.f - 2^-14 in float is exact.
  const uint32_t smallest = uint32_t{113} << 23;
  const float subnormal =
      std::bit_cast<float>(magnitude | smallest) - std::bit_cast<float>(smallest);
  const uint32_t is_subnormal = 0u - static_cast<uint32_t>(magnitude < uint32_t{1} << 23);
  const uint32_t bits =
      (std::bit_cast<uint32_t>(subnormal) & is_subnormal) | (normal & ~is_subnormal);
  return std::bit_cast<float>(bits | sign);
}

uint16_t FloatToHalf(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) {  // NaN: quiet, the payload's top bits kept.
    return static_cast<uint16_t>(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
  }
  // 65520 and above round to infinity.
  if (magnitude >= 0x477ff000) return static_cast<uint16_t>(sign | 0x7c00);
  if (magnitude < 0x38800000) {  // Below 2^-14: subnormal; adding 0.5 rounds at 2^-24.
    const float rounded = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(rounded) - 0x3f000000));
  }
  const uint32_t odd = magnitude >> 13 & 1;
  const uint32_t rounded = magnitude + 0xfff + odd - (uint32_t{112} << 23);
  return static_cast<uint16_t>(sign | rounded >> 13);
}

}  // namespace cairn::kernels
