// The distance kernels of each instruction set; private to kernels.
//
// distance_<isa>.cc is compiled with flags that its instruction set needs, so nothing that another
// unit could share may be instantiated there: the linker might keep the copy that not every CPU can
// run. Hence raw intrinsics and internal linkage, and no function template or inline function from
// a header.
#ifndef CAIRN_KERNELS_DISTANCE_VARIANTS_H_
#define CAIRN_KERNELS_DISTANCE_VARIANTS_H_

#include "kernels/distance.h"

namespace cairn::kernels {

// Constant-initialised: reading them runs no code of their units.
extern const DistanceKernels kScalarDistance;
#if defined(__x86_64__)
extern const DistanceKernels kAvx2Distance;
extern const DistanceKernels kAvx512Distance;
#endif

}  // namespace cairn::kernels

#endif  // CAIRN_KERNELS_DISTANCE_VARIANTS_H_
