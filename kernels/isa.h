// Instruction-set selection, once per process.
#ifndef CAIRN_KERNELS_ISA_H_
#define CAIRN_KERNELS_ISA_H_

#include <cstdint>
#include <string_view>
#include <vector>

namespace cairn::kernels {

// Ordered from the plainest to the widest. kAvx2 means AVX2, FMA and F16C;
// kAvx512 besides these F, BW, DQ, VL, VNNI and BF16 of AVX-512.
enum class Isa : uint8_t { kScalar, kAvx2, kAvx512 };

// Every set this CPU (and its operating system) can run, ascending. Always holds kScalar.
std::vector<Isa> SupportedIsas();

// The widest supported set, or the one named by CAIRN_FORCE_ISA ("scalar", "avx2", "avx512") where
// it is supported. Decided at the first call.
Isa ActiveIsa();

std::string_view IsaName(Isa isa);

}  // namespace cairn::kernels

#endif  // CAIRN_KERNELS_ISA_H_
