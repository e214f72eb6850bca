#include "kernels/distance.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/distance_variants.h"

namespace cairn::kernels {

const DistanceKernels& GetDistanceKernels(Isa isa) {
  switch (isa) {
#if defined(__x86_64__)
    case Isa::kAvx512:
      return kAvx512Distance;
    case Isa::kAvx2:
      return kAvx2Distance;
#endif
    default:
      return kScalarDistance;
  }
}

const DistanceKernels& GetDistanceKernels() {
  static const DistanceKernels& active = GetDistanceKernels(ActiveIsa());
  return active;
}

void EncodeBf16(const float* in, size_t n, bf16* out) {
  for (size_t i = 0; i < n; ++i) {
    const uint32_t bits = std::bit_cast<uint32_t>(in[i]);
    // Just under half of the dropped range, plus the kept half's last bit: ties go to even.
    out[i] = static_cast<bf16>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
  }
}

float EncodeI8(const float* in, size_t n, int8_t* out) {
  float largest = 0;
  for (size_t i = 0; i < n; ++i) largest = std::max(largest, std::fabs(in[i]));
  const float scale = largest / 127.0f;
  if (scale == 0) {  // All zeros, or so close to it that no float scale is small enough.
    std::fill_n(out, n, int8_t{0});
    return 0;
  }
  // Adding and subtracting 1.5 * 2^23 rounds to nearest even any magnitude below 2^22, without the
  // function call that a rounding instruction outside the baseline would be.
  constexpr float kRound = 12582912.0f;
  for (size_t i = 0; i < n; ++i) {
    // A denormal scale has few bits, so the quotient may pass 127.
    const float quotient = std::clamp(in[i] / scale, -127.0f, 127.0f);
    out[i] = static_cast<int8_t>(static_cast<int32_t>((quotient + kRound) - kRound));
  }
  return scale;
}

}  // namespace cairn::kernels
