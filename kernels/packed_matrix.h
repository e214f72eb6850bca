// A model's weight matrix, laid out for products: one copy that serves single vectors and batches.
//
// Sixteen rows of the matrix (outputs) make a tile; tiles follow each other, and inside a tile the
// sixteen rows' values of neighbouring columns lie side by side, so that one vector register holds
// the same column of all sixteen. Values keep the format they were stored in: packing changes their
// order, never their value, and costs no memory beyond the tile's padding.
//
//   kF32         [columns][16] float
//   kF16         [columns][16] half
//   kBF16        [columns / 2][16][2] bfloat16
//   quantised    a run of blocks of 32 columns, each: the sixteen rows' scales (and minima), then
//                their quantised values as unsigned bytes, or parts of bytes, in "quads":
//                [8 quads][16 rows][4 columns], the operand order of dot-product instructions.
//                K formats have the sixteen super-block scales before every eighth block.
// The table in packed_matrix.cc gives offsets and sizes.
#ifndef CAIRN_KERNELS_PACKED_MATRIX_H_
#define CAIRN_KERNELS_PACKED_MATRIX_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels/block_format.h"

namespace cairn::kernels {

inline constexpr size_t kTileRows = 16;

// How a quantised format's block of 32 columns x 16 rows lies in a tile; bytes from its start.
// Value of row r, column c: scale * (q - zero) + minimum, with
//   q = low 4 bits | high << 4 (or the whole byte where low_bits is 8).
struct TileBlock {
  size_t bytes = 0;           // Of one block.
  size_t group_blocks = 1;    // Blocks that share a header (8 for K formats, else 1).
  size_t header_bytes = 0;    // Super-block scales: [16] half d (, [16] half dmin).
  size_t scale_offset = 0;    // [16] half, or for K formats [16] uint8/int8 per 32 (16) columns.
  size_t minimum_offset = 0;  // [16] half or [16] uint8; 0: none.
  size_t low_offset = 0;      // 4 bits: [4][16][4] bytes, quad j in low, j + 4 in high halves.
  size_t high_offset = 0;     // 1 bit: [16][4] bytes, bit j of each is quad j's; 2 bits:
                              // [2][16][4] bytes, quad j in bits 2(j % 4) of half j / 4. 0: none.
  int low_bits = 8;           // 8: [8][16][4] whole bytes at low_offset.
  int high_bits = 0;
  int zero = 0;  // Subtracted from q.
};

// Gives anonymous pages back.
struct UnmapPages {
  size_t bytes = 0;
  void operator()(std::byte* data) const;
};

// The matrix's tiles, in memory of its own. Immutable once packed; movable.
class PackedMatrix {
 public:
  PackedMatrix() = default;

  // Memory for [rows][columns], all zero bits; `columns` is a multiple of the format's block (2 for
  // plain floats). Rows are padded to whole tiles with zeros.
  PackedMatrix(BlockFormat format, size_t rows, size_t columns);

  // Fills rows [first, first + count) from `source` [count][columns] in the format's own layout;
  // `first` is a multiple of 16, and so is `count`, but for the last rows of the matrix. Different
  // rows may be filled by different threads at once.
  void PackRows(size_t first, size_t count, const void* source);

  BlockFormat format() const { return format_; }
  size_t rows() const { return rows_; }
  size_t columns() const { return columns_; }
  size_t tiles() const { return (rows_ + kTileRows - 1) / kTileRows; }
  size_t tile_bytes() const { return tile_bytes_; }
  const std::byte* tile(size_t t) const { return data_.get() + t * tile_bytes_; }
  size_t bytes() const { return tiles() * tile_bytes_; }

 private:
  BlockFormat format_ = BlockFormat::kF32;
  size_t rows_ = 0;
  size_t columns_ = 0;
  size_t tile_bytes_ = 0;
  std::unique_ptr<std::byte[], UnmapPages> data_;  // Page-aligned.
};

// Whether the format has blocks (all but the plain floats).
constexpr bool IsQuantised(BlockFormat format) { return format > BlockFormat::kBF16; }

// The layout of a quantised format's blocks.
const TileBlock& TileBlockOf(BlockFormat format);

// Bytes of one tile of `columns` columns.
size_t TileBytes(BlockFormat format, size_t columns);

}  // namespace cairn::kernels

#endif  // CAIRN_KERNELS_PACKED_MATRIX_H_
