// The layouts of quantised tiles as constants. Included by units of one instruction set alone;
// everything here has internal linkage (distance_variants.h says why).
#ifndef CAIRN_KERNELS_TILE_FORMATS_H_
#define CAIRN_KERNELS_TILE_FORMATS_H_

#include <type_traits>

#include "kernels/packed_matrix.h"

namespace cairn::kernels {
namespace {

inline bool Quantised(BlockFormat format) { return format > BlockFormat::kBF16; }

// What differs between the quantised formats, as constants.
struct Q8_0 {
  static constexpr BlockFormat kFormat = BlockFormat::kQ8_0;
  static constexpr size_t kBytes = 544, kGroup = 1, kHeader = 0, kLow = 32, kHigh = 0, kMin = 0;
  static constexpr int kLowBits = 8, kHighBits = 0, kZero = 128;
};
struct Q4_0 {
  static constexpr BlockFormat kFormat = BlockFormat::kQ4_0;
  static constexpr size_t kBytes = 288, kGroup = 1, kHeader = 0, kLow = 32, kHigh = 0, kMin = 0;
  static constexpr int kLowBits = 4, kHighBits = 0, kZero = 8;
};
struct Q4_1 {
  static constexpr BlockFormat kFormat = BlockFormat::kQ4_1;
  static constexpr size_t kBytes = 320, kGroup = 1, kHeader = 0, kLow = 64, kHigh = 0, kMin = 32;
  static constexpr int kLowBits = 4, kHighBits = 0, kZero = 0;
};
struct Q5_0 {
  static constexpr BlockFormat kFormat = BlockFormat::kQ5_0;
  static constexpr size_t kBytes = 352, kGroup = 1, kHeader = 0, kLow = 32, kHigh = 288, kMin = 0;
  static constexpr int kLowBits = 4, kHighBits = 1, kZero = 16;
};
struct Q5_1 {
  static constexpr BlockFormat kFormat = BlockFormat::kQ5_1;
  static constexpr size_t kBytes = 384, kGroup = 1, kHeader = 0, kLow = 64, kHigh = 320, kMin = 32;
  static constexpr int kLowBits = 4, kHighBits = 1, kZero = 0;
};
struct Q4_K {
  static constexpr BlockFormat kFormat = BlockFormat::kQ4_K;
  static constexpr size_t kBytes = 288, kGroup = 8, kHeader = 64, kLow = 32, kHigh = 0, kMin = 16;
  static constexpr int kLowBits = 4, kHighBits = 0, kZero = 0;
};
struct Q5_K {
  static constexpr BlockFormat kFormat = BlockFormat::kQ5_K;
  static constexpr size_t kBytes = 352, kGroup = 8, kHeader = 64, kLow = 32, kHigh = 288, kMin = 16;
  static constexpr int kLowBits = 4, kHighBits = 1, kZero = 0;
};
struct Q6_K {
  static constexpr BlockFormat kFormat = BlockFormat::kQ6_K;
  static constexpr size_t kBytes = 416, kGroup = 8, kHeader = 32, kLow = 32, kHigh = 288, kMin = 0;
  static constexpr int kLowBits = 4, kHighBits = 2, kZero = 32;
};

// Calls visit(F()) for the type that describes `format`, which is quantised.
template <class Visit>
inline void VisitFormat(BlockFormat format, Visit visit) {
  switch (format) {
    case BlockFormat::kQ4_0:
      return visit(Q4_0());
    case BlockFormat::kQ4_1:
      return visit(Q4_1());
    case BlockFormat::kQ5_0:
      return visit(Q5_0());
    case BlockFormat::kQ5_1:
      return visit(Q5_1());
    case BlockFormat::kQ4_K:
      return visit(Q4_K());
    case BlockFormat::kQ5_K:
      return visit(Q5_K());
    case BlockFormat::kQ6_K:
      return visit(Q6_K());
    default:
      return visit(Q8_0());
  }
}

// visit(index) for 0 to n - 1, each a constant.
template <int i, int n, class Visit>
inline __attribute__((always_inline)) void Unrolled(Visit visit) {
  if constexpr (i < n) {
    visit(std::integral_constant<int, i>());
    Unrolled<i + 1, n>(visit);
  }
}

}  // namespace
}  // namespace cairn::kernels

#endif  // CAIRN_KERNELS_TILE_FORMATS_H_
