// Synthetic unit vectors with the geometry of text embeddings.
#ifndef CAIRN_TESTS_SUPPORT_EMBEDDING_VECTORS_H_
#define CAIRN_TESTS_SUPPORT_EMBEDDING_VECTORS_H_

#include <cmath>
#include <cstddef>
#include <random>
#include <vector>

#include "absl/types/span.h"
#include "tests/support/clustered_vectors.h"

namespace cairn::testing {

// Topics, subjects within them and texts within those: the vectors lie near a subspace of kLatent
// dimensions of falling variance, as embeddings do, so that there is a way from any of them to any
// other through ever nearer ones (between the balls of ClusteredVectors there is none). Topics
// differ in size as words do.
class EmbeddingVectors {
 public:
  EmbeddingVectors(size_t count, size_t dim, unsigned seed) : dim_(dim), rng_(seed) {
    basis_.resize(kLatent * dim);
    for (float& x : basis_) x = normal_(rng_);
    const size_t topics = 20 + count / 2000;
    topics_.resize(topics * kLatent);
    subjects_.resize(topics * kSubjects * kLatent);
    for (float& x : topics_) x = normal_(rng_);
    for (float& x : subjects_) x = normal_(rng_);
    values_.reserve(count * dim);
    for (size_t i = 0; i < count; ++i) {
      const std::vector<float> v = Sample();
      values_.insert(values_.end(), v.begin(), v.end());
    }
  }

  size_t dim() const { return dim_; }
  size_t size() const { return values_.size() / dim_; }
  absl::Span<const float> row(size_t i) const {
    return absl::MakeConstSpan(values_).subspan(i * dim_, dim_);
  }

  // One more of the same kind: a query.
  std::vector<float> Sample() {
    const size_t topics = topics_.size() / kLatent;
    std::uniform_real_distribution<double> uniform;
    // Sizes proportional to 1 / rank, roughly.
    const size_t topic =
        static_cast<size_t>(std::exp(uniform(rng_) * std::log(static_cast<double>(topics)))) - 1;
    const float* const centre = &topics_[topic * kLatent];
    const float* const subject = &subjects_[(topic * kSubjects + rng_() % kSubjects) * kLatent];
    std::vector<float> v(dim_);
    for (size_t j = 0; j < kLatent; ++j) {
      const float latent = (centre[j] + 0.8f * subject[j] + 0.6f * normal_(rng_)) /
                           std::sqrt(static_cast<float>(j + 4));
      for (size_t d = 0; d < dim_; ++d) v[d] += latent * basis_[j * dim_ + d];
    }
    for (float& x : v) x += 0.3f * normal_(rng_);
    Normalize(absl::MakeSpan(v));
    return v;
  }

 private:
  static constexpr size_t kLatent = 64;
  static constexpr size_t kSubjects = 20;  // Of a topic.

  size_t dim_;
  std::mt19937 rng_;
  std::normal_distribution<float> normal_;
  std::vector<float> basis_;     // [kLatent][dim]
  std::vector<float> topics_;    // [topics][kLatent]
  std::vector<float> subjects_;  // [topics][kSubjects][kLatent]
  std::vector<float> values_;
};

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_SUPPORT_EMBEDDING_VECTORS_H_
