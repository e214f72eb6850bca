// Products of activations with a packed weight matrix: single vectors, small batches and prefills.
//
// out[m][n] = sum_k activations[m][k] * weights[n][k]
#ifndef CAIRN_KERNELS_MATMUL_H_
#define CAIRN_KERNELS_MATMUL_H_

#include <cstddef>
#include <cstdint>

#include "kernels/aligned_vector.h"
#include "kernels/distance.h"
#include "kernels/isa.h"
#include "kernels/packed_matrix.h"

namespace cairn::kernels {

// The arithmetic of a product; sums are always float32 or exact integers.
enum class ComputeType : uint8_t {
  kF32,   // Weights become float32.
  kBF16,  // Weights and activations become bfloat16; batches only, vectors stay float32.
  kI8,    // Quantised weights as they are; activations become int8, one scale for each run of
          // kActivationGroup columns.
};

inline constexpr size_t kActivationGroup = 128;

// What `wanted` comes down to for a matrix of `format` on a CPU of `isa`: kI8 needs a quantised
// format, kBF16 the instructions for it.
ComputeType SupportedCompute(ComputeType wanted, BlockFormat format, Isa isa);

// Rows of activations in every form that the products to come need. The owner fills it once, by as
// many threads as it likes, and all products of the same input share it. Capacity only grows.
class Activations {
 public:
  // Room for `rows` rows of `columns` (a multiple of 2; of 32 with kI8), in the form of `compute`
  // for batches of that many rows. Rows hold nothing until encoded.
  void Reset(size_t rows, size_t columns, ComputeType compute);

  // Encodes row r from x [columns]. Different rows may be encoded by different threads.
  void EncodeRow(size_t r, const float* x);

  size_t rows() const { return rows_; }
  size_t columns() const { return columns_; }
  ComputeType compute() const { return compute_; }

  // kF32, and kBF16 for up to kVectorRows rows: [rows][columns].
  const float* f32() const { return f32_.data(); }
  const bf16* b16() const { return b16_.data(); }  // [rows][columns]
  // kI8: value = i8 * scale of its group.
  const int8_t* i8() const { return i8_.data(); }         // [rows][columns]
  const float* scales() const { return scales_.data(); }  // [rows][groups()]
  const int32_t* sums() const { return sums_.data(); }    // [rows][columns / 16] of i8.
  // Rises with every Reset of any object: names what the rows hold.
  uint64_t version() const { return version_; }
  size_t groups() const { return (columns_ + kActivationGroup - 1) / kActivationGroup; }

 private:
  bool AsFloat() const;

  size_t rows_ = 0;
  size_t columns_ = 0;
  ComputeType compute_ = ComputeType::kF32;
  uint64_t version_ = 0;
  AlignedVector<float> f32_;
  AlignedVector<bf16> b16_;
  AlignedVector<int8_t> i8_;
  AlignedVector<float> scales_;
  AlignedVector<int32_t> sums_;
};

// Up to this many rows a product is bound by reading the weights, and unpacks them in registers;
// above, it unpacks them into a panel that stays in cache.
inline constexpr size_t kVectorRows = 4;

// One thread's memory for panels. Capacity only grows.
struct MatmulScratch {
  AlignedVector<float> panel;
  AlignedVector<float> scales;
  AlignedVector<float> minima;
  AlignedVector<float> edge;
  AlignedVector<int32_t> offsets;
  AlignedVector<float> sums;
  // What `offsets` and `sums` were computed for.
  uint64_t version = 0;
  BlockFormat format = BlockFormat::kF32;
};

// Computes the outputs of tiles [tile_begin, tile_end) of `weights`, i.e. the columns n in
// [16 * tile_begin, min(rows, 16 * tile_end)) of out [activations.rows()][ld]; adds them to what is
// there where `accumulate`. Any number of threads may compute different tiles of one product. The
// result does not depend on how tiles are shared out.
void MatMul(const PackedMatrix& weights, size_t tile_begin, size_t tile_end,
            const Activations& activations, float* out, size_t ld, bool accumulate,
            MatmulScratch* scratch);
// With the kernels of `isa`, which must be supported; tests compare them.
void MatMul(Isa isa, const PackedMatrix& weights, size_t tile_begin, size_t tile_end,
            const Activations& activations, float* out, size_t ld, bool accumulate,
            MatmulScratch* scratch);

}  // namespace cairn::kernels

#endif  // CAIRN_KERNELS_MATMUL_H_
