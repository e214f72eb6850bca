// How the K formats pack the scales of their sub-blocks.
#ifndef CAIRN_KERNELS_BLOCK_PACKING_H_
#define CAIRN_KERNELS_BLOCK_PACKING_H_

#include <cstdint>

namespace cairn::kernels {

// Q4_K and Q5_K: eight pairs of six bits in twelve bytes. Bytes 0..3 hold scales 0..3 and bytes
// 4..7 minima 0..3 in their low six bits; bytes 8..11 the low four bits of scale and minimum 4..7,
// whose high two bits are on top of bytes 0..3 and 4..7.
struct ScaleAndMin {
  uint8_t scale = 0;  // Below 64.
  uint8_t min = 0;    // Below 64.
};

inline ScaleAndMin UnpackScaleAndMin(const uint8_t* packed, int part) {
  if (part < 4) {
    return {static_cast<uint8_t>(packed[part] & 63), static_cast<uint8_t>(packed[part + 4] & 63)};
  }
  const int low = packed[part + 4];
  return {static_cast<uint8_t>((low & 15) | packed[part - 4] >> 6 << 4),
          static_cast<uint8_t>(low >> 4 | packed[part] >> 6 << 4)};
}

// `packed` begins as zeros.
inline void PackScaleAndMin(ScaleAndMin pair, int part, uint8_t* packed) {
  if (part < 4) {
    packed[part] |= pair.scale;
    packed[part + 4] |= pair.min;
    return;
  }
  packed[part + 4] = static_cast<uint8_t>((pair.scale & 15) | (pair.min & 15) << 4);
  packed[part - 4] = static_cast<uint8_t>(packed[part - 4] | pair.scale >> 4 << 6);
  packed[part] = static_cast<uint8_t>(packed[part] | pair.min >> 4 << 6);
}

}  // namespace cairn::kernels

#endif  // CAIRN_KERNELS_BLOCK_PACKING_H_
