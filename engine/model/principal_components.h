// Principal components of a set of vectors.
#ifndef CAIRN_ENGINE_MODEL_PRINCIPAL_COMPONENTS_H_
#define CAIRN_ENGINE_MODEL_PRINCIPAL_COMPONENTS_H_

#include <cstddef>
#include <vector>

#include "absl/types/span.h"

namespace cairn::engine {

struct PrincipalComponents {
  std::vector<double> mean;      // [dim]
  std::vector<double> variance;  // [dim], descending, none negative.
  // [dim][dim], one axis in a row: orthonormal, in the variances' order. An axis points to where
  // its largest value is positive.
  std::vector<double> axes;
};

// Of `vectors` [count][dim], at least one. The same bits for any number of threads.
PrincipalComponents ComputePrincipalComponents(absl::Span<const float> vectors, size_t dim,
                                               size_t threads);

// The eigenvalues [dim] and eigenvectors [dim][dim] (rows) of a symmetric matrix [dim][dim] without
// negative eigenvalues, in descending order: one-sided Jacobi rotations (Hestenes, "Inversion of
// matrices by biorthogonalization and related results", 1958).
struct EigenSystem {
  std::vector<double> values, vectors;
};
EigenSystem SolveSymmetric(std::vector<double> matrix, size_t dim);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_PRINCIPAL_COMPONENTS_H_
