// Synthetic unit vectors in clusters, like the embeddings of texts on a few subjects.
#ifndef CAIRN_TESTS_SUPPORT_CLUSTERED_VECTORS_H_
#define CAIRN_TESTS_SUPPORT_CLUSTERED_VECTORS_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <random>
#include <vector>

#include "absl/types/span.h"

namespace cairn::testing {

// Scales to length 1; `v` is not zero.
inline void Normalize(absl::Span<float> v) {
  double sum = 0;
  for (float x : v) sum += static_cast<double>(x) * x;
  const double factor = 1 / std::sqrt(sum);
  for (float& x : v) x = static_cast<float>(x * factor);
}

class ClusteredVectors {
 public:
  // About 100 vectors per cluster; within one the inner products are around 1 / (1 + spread^2).
  ClusteredVectors(size_t count, size_t dim, unsigned seed, float spread = 1.2f)
      : dim_(dim), spread_(spread), values_(count * dim) {
    std::mt19937 rng(seed);
    std::normal_distribution<float> normal;
    std::vector<float> centres((count / 100 + 1) * dim);
    for (float& x : centres) x = normal(rng);
    for (size_t i = 0; i < count; ++i) {
      const float* centre = &centres[rng() % (centres.size() / dim) * dim];
      for (size_t d = 0; d < dim; ++d) values_[i * dim + d] = centre[d] + spread * normal(rng);
      Normalize(absl::MakeSpan(values_).subspan(i * dim, dim));
    }
  }

  size_t dim() const { return dim_; }
  size_t size() const { return values_.size() / dim_; }
  absl::Span<const float> row(size_t i) const {
    return absl::MakeConstSpan(values_).subspan(i * dim_, dim_);
  }

  // A unit vector around row i.
  std::vector<float> Near(size_t i, std::mt19937& rng) const {
    std::normal_distribution<float> normal(0, spread_ / std::sqrt(static_cast<float>(dim_)));
    std::vector<float> v(row(i).begin(), row(i).end());
    for (float& x : v) x += normal(rng);
    Normalize(absl::MakeSpan(v));
    return v;
  }

 private:
  size_t dim_;
  float spread_;
  std::vector<float> values_;
};

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_SUPPORT_CLUSTERED_VECTORS_H_
