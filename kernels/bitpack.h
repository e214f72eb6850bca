// Bit-packed blocks of 128 integers: gaps of ascending sequences, and small counts.
#ifndef CAIRN_KERNELS_BITPACK_H_
#define CAIRN_KERNELS_BITPACK_H_

#include <cstddef>
#include <cstdint>

namespace cairn::kernels {

inline constexpr size_t kPackedBlock = 128;

// Bytes of a packed block of `width` bits per value.
constexpr size_t PackedBytes(uint32_t width) { return size_t{width} * kPackedBlock / 8; }

// The layout is vertical (Lemire and Boytsov 2015, SIMD-BP128), so that registers of 128 bits
// unpack it without moving bits across lanes. For values of T = 8, 16 or 32 bits there are
// L = 128 / T lanes: value i is in lane i % L, as bits [i / L * width, (i / L + 1) * width) of a
// stream, least significant bits first, whose T-bit little-endian word w is at byte
// 16 w + i % L * T / 8. With width 0 nothing is stored.
//
// An ascending sequence is stored as its gaps less 1: value i as s[i] - s[i - 1] - 1, value 0 as 0.
// Sequences whose values are less than 2^16 apart from each other have T = 16, others 32. Counts,
// at least 1, are stored less 1 and have T = 8.
//
// Written with vectors of 16 bytes, which every target of ours has: wider instructions were no
// faster.

// Each reads PackedBytes(width) bytes and writes 128 values, whatever the bytes; sums wrap around.
// Neither end need be aligned. Widths above T count as T.
void UnpackDistances16(const void* packed, uint32_t width, uint16_t* out);  // out[0] = 0.
void UnpackAscending32(const void* packed, uint32_t width, uint32_t first, uint32_t* out);
void UnpackCounts(const void* packed, uint32_t width, uint8_t* out);

// The smallest width for the gaps of a strictly ascending sequence [128], and for counts [128] of
// at least 1.
uint32_t GapWidth(const uint32_t* ascending);
uint32_t CountWidth(const uint8_t* counts);

// Each writes PackedBytes(width) bytes. `width` is at least the smallest, and at most T.
void PackGaps16(const uint32_t* ascending, uint32_t width, void* packed);
void PackGaps32(const uint32_t* ascending, uint32_t width, void* packed);
void PackCounts(const uint8_t* counts, uint32_t width, void* packed);

}  // namespace cairn::kernels

#endif  // CAIRN_KERNELS_BITPACK_H_
