#include "kernels/matmul.h"

#include <algorithm>
#include <atomic>
#include <cassert>

#include "kernels/matmul_variants.h"

namespace cairn::kernels {
namespace {

// Columns of a panel that is unpacked at a time: 256 KiB of float32 or bfloat16, so that it stays
// in the second-level cache beside the activations that pass by. A multiple of 256.
constexpr size_t kPanelColumnsF32 = 2048;
constexpr size_t kPanelColumnsBF16 = 4096;
constexpr size_t kPanelColumnsI8 = 8192;

const MatmulKernels& ActiveKernels() {
  static const MatmulKernels& active = GetMatmulKernels(ActiveIsa());
  return active;
}

// Where a panel's outputs go: straight to `out`, or, at the matrix's edge, where fewer than 32
// outputs are wanted, through a buffer.
class PanelOutput {
 public:
  PanelOutput(float* out, size_t ld, size_t rows, size_t width, bool accumulate,
              MatmulScratch* scratch)
      : out_(out), ld_(ld), rows_(rows), width_(width) {
    if (width_ == kPanelWidth) return;
    edge_ = Grow(&scratch->edge, rows * kPanelWidth);
    if (!accumulate) return;
    for (size_t r = 0; r < rows; ++r) {
      std::copy_n(out + r * ld, width, edge_ + r * kPanelWidth);
      std::fill_n(edge_ + r * kPanelWidth + width, kPanelWidth - width, 0.0f);
    }
  }
  float* data() const { return edge_ != nullptr ? edge_ : out_; }
  size_t ld() const { return edge_ != nullptr ? kPanelWidth : ld_; }
  void Finish() const {
    if (edge_ == nullptr) return;
    for (size_t r = 0; r < rows_; ++r) {
      std::copy_n(edge_ + r * kPanelWidth, width_, out_ + r * ld_);
    }
  }

 private:
  float* const out_;
  const size_t ld_, rows_, width_;
  float* edge_ = nullptr;
};

// A product's activations, in whichever form.
struct Product {
  const MatmulKernels& kernels;
  const PackedMatrix& weights;
  const Activations& activations;
  I8Rows i8;
  MatmulScratch* scratch;
};

// The two tiles of a panel; the second may lie beyond the matrix, then the first stands in for it
// and its outputs go nowhere.
struct PanelTiles {
  const std::byte* tile[2];
};

void FloatPanel(const Product& p, const PanelTiles& tiles, const PanelOutput& out,
                bool accumulate) {
  const size_t columns = p.weights.columns();
  const bool narrow = p.activations.compute() == ComputeType::kBF16;
  const size_t step = narrow ? kPanelColumnsBF16 : kPanelColumnsF32;
  float* panel = Grow(&p.scratch->panel, step * kPanelWidth / (narrow ? 2 : 1));
  bf16* panel16 = reinterpret_cast<bf16*>(panel);
  const BlockFormat format = p.weights.format();
  for (size_t begin = 0; begin < columns; begin += step) {
    const size_t end = std::min(columns, begin + step);
    for (size_t t = 0; t < 2; ++t) {
      if (narrow) {
        p.kernels.unpack_bf16(format, tiles.tile[t], begin, end, panel16 + t * kTileRows * 2);
      } else {
        p.kernels.unpack_f32(format, tiles.tile[t], begin, end, panel + t * kTileRows);
      }
    }
    if (narrow) {
      p.kernels.gemm_bf16(p.activations.b16() + begin, columns, p.activations.rows(), panel16,
                          kPanelWidth * 2, end - begin, out.data(), out.ld(),
                          accumulate || begin > 0);
    } else {
      p.kernels.gemm_f32(p.activations.f32() + begin, columns, p.activations.rows(), panel,
                         kPanelWidth, end - begin, out.data(), out.ld(), accumulate || begin > 0);
    }
  }
}

void I8PanelProduct(const Product& p, const PanelTiles& tiles, const PanelOutput& out,
                    bool accumulate) {
  const size_t columns = p.weights.columns();
  const BlockFormat format = p.weights.format();
  const size_t step = ScaleStep(format);
  const size_t most = std::min(columns, kPanelColumnsI8);
  uint8_t* q = reinterpret_cast<uint8_t*>(Grow(&p.scratch->panel, most * kPanelWidth / 4));
  float* scales = Grow(&p.scratch->scales, most / step * kPanelWidth);
  float* minima = Grow(&p.scratch->minima, most / step * kPanelWidth);
  for (size_t begin = 0; begin < columns; begin += kPanelColumnsI8) {
    const size_t end = std::min(columns, begin + kPanelColumnsI8);
    for (size_t t = 0; t < 2; ++t) {
      p.kernels.unpack_i8(format, tiles.tile[t], begin, end, q + t * kTileRows * 4,
                          scales + t * kTileRows, minima + t * kTileRows);
    }
    const I8Panel panel = {.q = q,
                           .scales = scales,
                           .minima = HasMinima(format) ? minima : nullptr,
                           .columns = end - begin,
                           .step = step,
                           .format = format};
    p.kernels.gemm_i8(p.i8, begin, p.activations.rows(), panel, out.data(), out.ld(),
                      accumulate || begin > 0);
  }
}

// What a panel product adds to the rows: offsets and totals for each run of columns with one scale.
// Kept for the next tiles of the same product.
void PrepareSums(BlockFormat format, const Activations& activations, MatmulScratch* scratch,
                 I8Rows* a) {
  if (scratch->version == activations.version() && scratch->format == format) {
    a->offsets = scratch->offsets.data();
    a->totals = HasMinima(format) ? scratch->sums.data() : nullptr;
    return;
  }
  const size_t rows = activations.rows();
  const size_t step = ScaleStep(format);
  const size_t steps = a->columns / step;
  const int32_t zero = TileBlockOf(format).zero;
  int32_t* offsets = Grow(&scratch->offsets, rows * steps);
  float* totals = HasMinima(format) ? Grow(&scratch->sums, rows * steps) : nullptr;
  for (size_t i = 0; i < rows * steps; ++i) {
    const int32_t sum = step == 16 ? a->sums[i] : a->sums[2 * i] + a->sums[2 * i + 1];
    offsets[i] = -zero * sum;
    if (totals != nullptr) totals[i] = static_cast<float>(sum);
  }
  a->offsets = offsets;
  a->totals = totals;
  scratch->version = activations.version();
  scratch->format = format;
}

// Few rows: straight from the tiles.
void VectorProduct(const Product& p, size_t tile, float* out, size_t ld, bool accumulate) {
  const size_t first = tile * kTileRows;
  const size_t width = std::min(kTileRows, p.weights.rows() - first);
  const size_t rows = p.activations.rows();
  float edge[kVectorRows * kTileRows] = {};
  float* c = out + first;
  size_t ldc = ld;
  if (width < kTileRows) {
    c = edge;
    ldc = kTileRows;
    for (size_t r = 0; accumulate && r < rows; ++r) {
      std::copy_n(out + r * ld + first, width, edge + r * kTileRows);
    }
  }
  if (p.activations.compute() == ComputeType::kI8) {
    p.kernels.vector_i8(p.weights.format(), p.weights.tile(tile), p.i8, rows, c, ldc, accumulate);
  } else {
    p.kernels.vector_f32(p.weights.format(), p.weights.tile(tile), p.weights.columns(),
                         p.activations.f32(), rows, c, ldc, accumulate);
  }
  if (width == kTileRows) return;
  for (size_t r = 0; r < rows; ++r) {
    std::copy_n(edge + r * kTileRows, width, out + r * ld + first);
  }
}

}  // namespace

const MatmulKernels& GetMatmulKernels(Isa isa) {
  switch (isa) {
#if defined(__x86_64__)
    case Isa::kAvx512:
      return kAvx512Matmul;
    case Isa::kAvx2:
      return kAvx2Matmul;
#endif
    default:
      return kScalarMatmul;
  }
}

ComputeType SupportedCompute(ComputeType wanted, BlockFormat format, Isa isa) {
  if (wanted == ComputeType::kI8 && !IsQuantised(format)) wanted = ComputeType::kBF16;
  if (wanted == ComputeType::kBF16 && GetMatmulKernels(isa).gemm_bf16 == nullptr) {
    return ComputeType::kF32;
  }
  return wanted;
}

bool Activations::AsFloat() const {
  return compute_ == ComputeType::kF32 || (compute_ == ComputeType::kBF16 && rows_ <= kVectorRows);
}

void Activations::Reset(size_t rows, size_t columns, ComputeType compute) {
  static std::atomic<uint64_t> last_version{0};
  version_ = last_version.fetch_add(1, std::memory_order_relaxed) + 1;
  rows_ = rows;
  columns_ = columns;
  compute_ = compute;
  if (AsFloat()) {
    Grow(&f32_, rows * columns);
  } else if (compute == ComputeType::kBF16) {
    Grow(&b16_, rows * columns);
  } else {
    assert(columns % 32 == 0);
    Grow(&i8_, rows * columns);
    Grow(&scales_, rows * groups());
    Grow(&sums_, rows * (columns / 16));
  }
}

void Activations::EncodeRow(size_t r, const float* x) {
  if (AsFloat()) {
    std::copy_n(x, columns_, f32_.data() + r * columns_);
  } else if (compute_ == ComputeType::kBF16) {
    ActiveKernels().encode_bf16(x, columns_, b16_.data() + r * columns_);
  } else {
    ActiveKernels().encode_i8(x, columns_, i8_.data() + r * columns_, scales_.data() + r * groups(),
                              sums_.data() + r * (columns_ / 16));
  }
}

void MatMul(Isa isa, const PackedMatrix& weights, size_t tile_begin, size_t tile_end,
            const Activations& activations, float* out, size_t ld, bool accumulate,
            MatmulScratch* scratch) {
  assert(activations.columns() == weights.columns());
  Product p = {GetMatmulKernels(isa), weights, activations, {}, scratch};
  const bool integers = activations.compute() == ComputeType::kI8;
  if (integers) {
    p.i8 = {.q = activations.i8(),
            .scales = activations.scales(),
            .sums = activations.sums(),
            .columns = activations.columns(),
            .groups = activations.groups()};
  }
  const size_t rows = activations.rows();
  if (rows <= kVectorRows) {
    for (size_t t = tile_begin; t < tile_end; ++t) VectorProduct(p, t, out, ld, accumulate);
    return;
  }
  if (integers) PrepareSums(weights.format(), activations, scratch, &p.i8);
  for (size_t t = tile_begin; t < tile_end; t += 2) {
    const size_t first = t * kTileRows;
    const size_t last = std::min(weights.rows(), tile_end * kTileRows);
    const PanelTiles tiles = {{weights.tile(t), weights.tile(t + 1 < tile_end ? t + 1 : t)}};
    const PanelOutput panel_out(out + first, ld, rows, std::min(kPanelWidth, last - first),
                                accumulate, scratch);
    if (integers) {
      I8PanelProduct(p, tiles, panel_out, accumulate);
    } else {
      FloatPanel(p, tiles, panel_out, accumulate);
    }
    panel_out.Finish();
  }
}

void MatMul(const PackedMatrix& weights, size_t tile_begin, size_t tile_end,
            const Activations& activations, float* out, size_t ld, bool accumulate,
            MatmulScratch* scratch) {
  MatMul(ActiveIsa(), weights, tile_begin, tile_end, activations, out, ld, accumulate, scratch);
}

}  // namespace cairn::kernels
