// The elementwise kernels of each instruction set; private to kernels. distance_variants.h says
// what their units must not use.
#ifndef CAIRN_KERNELS_ELEMENTWISE_VARIANTS_H_
#define CAIRN_KERNELS_ELEMENTWISE_VARIANTS_H_

#include "kernels/elementwise.h"

namespace cairn::kernels {

extern const ElementwiseKernels kScalarElementwise;
#if defined(__x86_64__)
extern const ElementwiseKernels kAvx2Elementwise;
extern const ElementwiseKernels kAvx512Elementwise;
#endif

}  // namespace cairn::kernels

#endif  // CAIRN_KERNELS_ELEMENTWISE_VARIANTS_H_
