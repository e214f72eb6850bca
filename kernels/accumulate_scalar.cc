#include <bit>
#include <cstring>

#include "kernels/accumulate_variants.h"

namespace cairn::kernels {
namespace {

struct F32Rows {
  static constexpr size_t kBytes = 4;
  static float Get(const char* at) {
    float value;
    std::memcpy(&value, at, sizeof(value));
    return value;
  }
};

struct F16Rows {
  static constexpr size_t kBytes = 2;
  static float Get(const char* at) {
    uint16_t bits;
    std::memcpy(&bits, at, sizeof(bits));
    // Moved up, the exponent has half precision's bias: 2^(127 - 15) corrects it, exactly and for
    // subnormals too.
    const auto magnitude = std::bit_cast<float>(static_cast<uint32_t>(bits & 0x7fff) << 13);
    const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude * 0x1p112f) | sign);
  }
};

struct I8Rows {
  static constexpr size_t kBytes = 1;
  static float Get(const char* at) { return static_cast<signed char>(*at); }
};

template <class Rows>
void Accumulate(const void* rows, const uint32_t* picks, const float* weights, size_t count,
                size_t dim, float* __restrict sum) {
  for (size_t i = 0; i < count; ++i) {
    const char* row = static_cast<const char*>(rows) + picks[i] * dim * Rows::kBytes;
    const float weight = weights[i];
    for (size_t d = 0; d < dim; ++d) sum[d] += weight * Rows::Get(row + d * Rows::kBytes);
  }
}

}  // namespace

const AccumulateKernels kScalarAccumulate = {Accumulate<F32Rows>, Accumulate<F16Rows>,
                                             Accumulate<I8Rows>};

}  // namespace cairn::kernels
