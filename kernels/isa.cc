#include "kernels/isa.h"

#include <cstdlib>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace cairn::kernels {
namespace {

#if defined(__x86_64__)
// Clang does not know the name in __builtin_cpu_supports. The operating system need not be asked
// again: it saves these registers if it saves AVX2's.
bool HasF16c() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}
#endif

Isa ChooseIsa() {
  const std::vector<Isa> supported = SupportedIsas();
  if (const char* forced = std::getenv("CAIRN_FORCE_ISA")) {
    for (Isa isa : supported) {
      if (IsaName(isa) == forced) return isa;
    }
  }
  return supported.back();
}

}  // namespace

std::vector<Isa> SupportedIsas() {
  std::vector<Isa> isas = {Isa::kScalar};
#if defined(__x86_64__)
  // These also ask the operating system (xgetbv) whether it saves the wide registers.
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !HasF16c()) {
    return isas;
  }
  isas.push_back(Isa::kAvx2);
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bf16")) {
    isas.push_back(Isa::kAvx512);
  }
#endif
  return isas;
}

Isa ActiveIsa() {
  static const Isa active = ChooseIsa();
  return active;
}

std::string_view IsaName(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return "scalar";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
  }
  return "unknown";
}

}  // namespace cairn::kernels
