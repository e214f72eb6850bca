// The accumulation kernels of each instruction set; private to kernels. The rules of
// distance_variants.h hold here too.
#ifndef CAIRN_KERNELS_ACCUMULATE_VARIANTS_H_
#define CAIRN_KERNELS_ACCUMULATE_VARIANTS_H_

#include "kernels/accumulate.h"

namespace cairn::kernels {

// Constant-initialised: reading them runs no code of their units.
extern const AccumulateKernels kScalarAccumulate;
#if defined(__x86_64__)
extern const AccumulateKernels kAvx2Accumulate;
extern const AccumulateKernels kAvx512Accumulate;
#endif

}  // namespace cairn::kernels

#endif  // CAIRN_KERNELS_ACCUMULATE_VARIANTS_H_
