#include "kernels/elementwise.h"

#include "kernels/elementwise_variants.h"

namespace cairn::kernels {

const ElementwiseKernels& GetElementwiseKernels(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx512) return kAvx512Elementwise;
  if (isa == Isa::kAvx2) return kAvx2Elementwise;
#endif
  (void)isa;
  return kScalarElementwise;
}

const ElementwiseKernels& GetElementwiseKernels() {
  static const ElementwiseKernels& active = GetElementwiseKernels(ActiveIsa());
  return active;
}

}  // namespace cairn::kernels
