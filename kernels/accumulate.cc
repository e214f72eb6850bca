#include "kernels/accumulate.h"

#include "kernels/accumulate_variants.h"

namespace cairn::kernels {

const AccumulateKernels& GetAccumulateKernels(Isa isa) {
  switch (isa) {
#if defined(__x86_64__)
    case Isa::kAvx512:
      return kAvx512Accumulate;
    case Isa::kAvx2:
      return kAvx2Accumulate;
#endif
    default:
      return kScalarAccumulate;
  }
}

const AccumulateKernels& GetAccumulateKernels() {
  static const AccumulateKernels& active = GetAccumulateKernels(ActiveIsa());
  return active;
}

}  // namespace cairn::kernels
