// Token vectors whose means come closest to given text vectors.
#ifndef CAIRN_ENGINE_MODEL_TOKEN_REGRESSION_H_
#define CAIRN_ENGINE_MODEL_TOKEN_REGRESSION_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace cairn::engine {

// A sparse matrix in compressed rows.
struct SparseMatrix {
  size_t rows() const { return begins.size() - 1; }

  size_t columns = 0;
  std::vector<uint64_t> begins = {0};  // [rows + 1]: where a row's entries lie.
  std::vector<uint32_t> places;        // [entries]: their columns, ascending in a row.
  std::vector<float> values;           // [entries]
};

// [texts][vocabulary]: the product with token vectors [vocabulary][dim] is each text's mean token
// vector. `unknown` tokens (an id beyond the vocabulary: none) do not count; all others are below
// `vocabulary`.
SparseMatrix MeanMatrix(absl::Span<const absl::Span<const uint32_t>> texts, size_t vocabulary,
                        uint32_t unknown);

SparseMatrix Transpose(const SparseMatrix& matrix);

// out [matrix.rows()][dim] = matrix * vectors [matrix.columns][dim].
void Multiply(const SparseMatrix& matrix, const std::vector<float>& vectors, size_t dim,
              size_t threads, std::vector<float>* out);

struct RidgeOptions {
  float ridge = 0.15f;
  int iterations = 15;
  size_t threads = 2;
};

// The W [columns][dim] near the minimum of |means * W - targets|^2 + ridge * |W - start|^2, from
// `start`, by conjugate gradients with the diagonal as preconditioner (Golub and Van Loan, "Matrix
// Computations", 11.5). Rows that no text has stay as they are. The same bits for any number of
// threads.
std::vector<float> RidgeFit(const SparseMatrix& means, const std::vector<float>& targets,
                            std::vector<float> start, size_t dim, const RidgeOptions& options);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_TOKEN_REGRESSION_H_
