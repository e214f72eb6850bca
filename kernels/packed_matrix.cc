#include "kernels/packed_matrix.h"

#include <sys/mman.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <new>

#include "kernels/block_packing.h"

namespace cairn::kernels {
namespace {

constexpr size_t kBlockColumns = 32;
constexpr size_t kQuads = 8;  // Of four columns, in a block.

// Scales of 16 halves come first; 4-bit values of a block are 256 bytes, a bit of each is 64.
constexpr TileBlock kQ8_0 = {.bytes = 544, .low_offset = 32, .low_bits = 8, .zero = 128};
constexpr TileBlock kQ4_0 = {.bytes = 288, .low_offset = 32, .low_bits = 4, .zero = 8};
constexpr TileBlock kQ4_1 = {.bytes = 320, .minimum_offset = 32, .low_offset = 64, .low_bits = 4};
constexpr TileBlock kQ5_0 = {
    .bytes = 352, .low_offset = 32, .high_offset = 288, .low_bits = 4, .high_bits = 1, .zero = 16};
constexpr TileBlock kQ5_1 = {.bytes = 384,
                             .minimum_offset = 32,
                             .low_offset = 64,
                             .high_offset = 320,
                             .low_bits = 4,
                             .high_bits = 1};
constexpr TileBlock kQ4_K = {.bytes = 288,
                             .group_blocks = 8,
                             .header_bytes = 64,
                             .minimum_offset = 16,
                             .low_offset = 32,
                             .low_bits = 4};
constexpr TileBlock kQ5_K = {.bytes = 352,
                             .group_blocks = 8,
                             .header_bytes = 64,
                             .minimum_offset = 16,
                             .low_offset = 32,
                             .high_offset = 288,
                             .low_bits = 4,
                             .high_bits = 1};
// Two scales for each row: columns 0 to 15, then 16 to 31.
constexpr TileBlock kQ6_K = {.bytes = 416,
                             .group_blocks = 8,
                             .header_bytes = 32,
                             .low_offset = 32,
                             .high_offset = 288,
                             .low_bits = 4,
                             .high_bits = 2,
                             .zero = 32};

// The numbers of 32 columns of one row, taken out of the format's own layout.
struct RowBlock {
  uint16_t scale = 0;    // Half; K formats: of the super-block.
  uint16_t minimum = 0;  // Half; K formats: of the super-block.
  uint8_t sub_scale[2] = {};
  uint8_t sub_minimum = 0;
  uint8_t q[kBlockColumns] = {};
};

uint16_t Half(const uint8_t* at) {
  uint16_t half;
  std::memcpy(&half, at, 2);
  return half;
}

// 4-bit values of a block of 32: column c in the low half of byte c, c + 16 in its high half.
void ReadNibbles(const uint8_t* bytes, uint8_t* q) {
  for (size_t c = 0; c < 16; ++c) {
    q[c] = bytes[c] & 15;
    q[c + 16] = bytes[c] >> 4;
  }
}

void AddFifthBits(const uint8_t* bits, uint8_t* q) {
  for (size_t c = 0; c < kBlockColumns; ++c) q[c] |= (bits[c / 8] >> (c % 8) & 1) << 4;
}

// Block `b` of a row of the format. For the layouts see ggml's block structures.
RowBlock ReadBlock(BlockFormat format, const uint8_t* row, size_t b) {
  RowBlock out;
  const BlockShape shape = ShapeOf(format);
  const size_t j = b % (shape.values / kBlockColumns);  // Sub-block of a super-block.
  const uint8_t* block = row + b / (shape.values / kBlockColumns) * shape.bytes;
  out.scale = Half(block);
  switch (format) {
    case BlockFormat::kQ8_0:
      for (size_t c = 0; c < kBlockColumns; ++c) out.q[c] = block[2 + c] ^ 0x80;
      break;
    case BlockFormat::kQ4_0:
      ReadNibbles(block + 2, out.q);
      break;
    case BlockFormat::kQ4_1:
      out.minimum = Half(block + 2);
      ReadNibbles(block + 4, out.q);
      break;
    case BlockFormat::kQ5_0:
      ReadNibbles(block + 6, out.q);
      AddFifthBits(block + 2, out.q);
      break;
    case BlockFormat::kQ5_1:
      out.minimum = Half(block + 2);
      ReadNibbles(block + 8, out.q);
      AddFifthBits(block + 4, out.q);
      break;
    case BlockFormat::kQ4_K:
    case BlockFormat::kQ5_K: {
      out.minimum = Half(block + 2);
      const ScaleAndMin pair = UnpackScaleAndMin(block + 4, static_cast<int>(j));
      out.sub_scale[0] = pair.scale;
      out.sub_minimum = pair.min;
      const bool five = format == BlockFormat::kQ5_K;
      const uint8_t* low = block + (five ? 48 : 16) + j / 2 * 32;
      for (size_t c = 0; c < kBlockColumns; ++c) {
        out.q[c] = j % 2 == 0 ? low[c] & 15 : low[c] >> 4;
        if (five) out.q[c] |= (block[16 + c] >> j & 1) << 4;
      }
      break;
    }
    case BlockFormat::kQ6_K: {
      // [128] low nibbles, [64] high pairs, [16] scales, d. Halves of 128 columns; in each, columns
      // come as four runs of 32: nibbles of runs 0, 1 are the low halves, of 2, 3 the high ones.
      out.scale = Half(block + 208);
      const size_t half = j / 4, run = j % 4;
      const uint8_t* low = block + half * 64 + run % 2 * 32;
      const uint8_t* high = block + 128 + half * 32;
      for (size_t c = 0; c < kBlockColumns; ++c) {
        const uint8_t nibble = run < 2 ? low[c] & 15 : low[c] >> 4;
        out.q[c] = static_cast<uint8_t>(nibble | (high[c] >> (2 * run) & 3) << 4);
      }
      out.sub_scale[0] = block[192 + 2 * j];
      out.sub_scale[1] = block[193 + 2 * j];
      break;
    }
    default:
      assert(false);
  }
  return out;
}

void PutHalf(uint8_t* halves, size_t row, uint16_t value) {
  std::memcpy(halves + 2 * row, &value, 2);
}

// Writes block `b` of row `r` of the tile.
void WriteBlock(const TileBlock& layout, const RowBlock& in, uint8_t* tile, size_t b, size_t r) {
  const size_t group = b / layout.group_blocks;
  const size_t group_bytes = layout.header_bytes + layout.group_blocks * layout.bytes;
  uint8_t* header = tile + group * group_bytes;
  uint8_t* block = header + layout.header_bytes + b % layout.group_blocks * layout.bytes;
  if (layout.header_bytes == 0) {
    PutHalf(block + layout.scale_offset, r, in.scale);
    if (layout.minimum_offset != 0) PutHalf(block + layout.minimum_offset, r, in.minimum);
  } else {
    PutHalf(header, r, in.scale);
    block[layout.scale_offset + r] = in.sub_scale[0];
    if (layout.minimum_offset != 0) {
      PutHalf(header + 32, r, in.minimum);
      block[layout.minimum_offset + r] = in.sub_minimum;
    } else {
      block[layout.scale_offset + kTileRows + r] = in.sub_scale[1];
    }
  }
  uint8_t* lane = block + r * 4;  // The row's four bytes of every quad.
  if (layout.low_bits == 8) {
    for (size_t quad = 0; quad < kQuads; ++quad) {
      std::memcpy(lane + layout.low_offset + quad * 64, in.q + 4 * quad, 4);
    }
    return;
  }
  for (size_t quad = 0; quad < 4; ++quad) {
    uint8_t bytes[4];
    for (size_t i = 0; i < 4; ++i) {
      bytes[i] = static_cast<uint8_t>((in.q[4 * quad + i] & 15) | in.q[16 + 4 * quad + i] << 4);
    }
    std::memcpy(lane + layout.low_offset + quad * 64, bytes, 4);
  }
  // The bits above the fourth: one of each of eight quads in a byte, or two of each of four.
  const size_t quads = layout.high_bits == 1 ? kQuads : 4;
  for (size_t half = 0; half * quads < kQuads && layout.high_bits != 0; ++half) {
    uint8_t bytes[4] = {};
    for (size_t j = 0; j < quads; ++j) {
      for (size_t i = 0; i < 4; ++i) {
        const int high = in.q[4 * (half * quads + j) + i] >> 4;
        bytes[i] |= static_cast<uint8_t>(high << (j * static_cast<size_t>(layout.high_bits)));
      }
    }
    std::memcpy(lane + layout.high_offset + half * 64, bytes, 4);
  }
}

// Plain floats: runs of `run` neighbouring columns stay together.
template <class Value, size_t run>
void PackPlain(const uint8_t* source, size_t columns, size_t rows, uint8_t* tile) {
  for (size_t c = 0; c < columns; c += run) {
    for (size_t r = 0; r < rows; ++r) {
      std::memcpy(tile + (c * kTileRows + r * run) * sizeof(Value),
                  source + (r * columns + c) * sizeof(Value), run * sizeof(Value));
    }
  }
}

}  // namespace

const TileBlock& TileBlockOf(BlockFormat format) {
  switch (format) {
    case BlockFormat::kQ4_0:
      return kQ4_0;
    case BlockFormat::kQ4_1:
      return kQ4_1;
    case BlockFormat::kQ5_0:
      return kQ5_0;
    case BlockFormat::kQ5_1:
      return kQ5_1;
    case BlockFormat::kQ4_K:
      return kQ4_K;
    case BlockFormat::kQ5_K:
      return kQ5_K;
    case BlockFormat::kQ6_K:
      return kQ6_K;
    default:
      assert(format == BlockFormat::kQ8_0);
      return kQ8_0;
  }
}

size_t TileBytes(BlockFormat format, size_t columns) {
  if (!IsQuantised(format)) return columns * kTileRows * ShapeOf(format).bytes;
  const TileBlock& layout = TileBlockOf(format);
  const size_t groups = columns / kBlockColumns / layout.group_blocks;
  return groups * (layout.header_bytes + layout.group_blocks * layout.bytes);
}

PackedMatrix::PackedMatrix(BlockFormat format, size_t rows, size_t columns)
    : format_(format), rows_(rows), columns_(columns), tile_bytes_(TileBytes(format, columns)) {
  // Whole pages, asked to be huge: a decoding step reads every byte once, and half of the misses of
  // small pages' translations would show.
  const size_t size = std::max<size_t>(bytes(), 1);
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  madvise(memory, size, MADV_HUGEPAGE);
  data_ = {static_cast<std::byte*>(memory), UnmapPages{size}};
}

void UnmapPages::operator()(std::byte* data) const { munmap(data, bytes); }

void PackedMatrix::PackRows(size_t first, size_t count, const void* source) {
  assert(first % kTileRows == 0 && first + count <= rows_);
  const uint8_t* from = static_cast<const uint8_t*>(source);
  const size_t row_bytes = FormatBytes(format_, columns_);
  for (size_t done = 0; done < count; done += kTileRows, from += kTileRows * row_bytes) {
    uint8_t* tile =
        reinterpret_cast<uint8_t*>(data_.get()) + (first + done) / kTileRows * tile_bytes_;
    const size_t rows = std::min(kTileRows, count - done);
    if (format_ == BlockFormat::kF32) {
      PackPlain<float, 1>(from, columns_, rows, tile);
    } else if (format_ == BlockFormat::kF16) {
      PackPlain<uint16_t, 1>(from, columns_, rows, tile);
    } else if (format_ == BlockFormat::kBF16) {
      PackPlain<uint16_t, 2>(from, columns_, rows, tile);
    } else {
      const TileBlock& layout = TileBlockOf(format_);
      for (size_t b = 0; b < columns_ / kBlockColumns; ++b) {
        for (size_t r = 0; r < rows; ++r) {
          WriteBlock(layout, ReadBlock(format_, from + r * row_bytes, b), tile, b, r);
        }
      }
    }
  }
}

}  // namespace cairn::kernels
