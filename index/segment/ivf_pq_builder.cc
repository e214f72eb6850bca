#include "index/segment/ivf_pq_builder.h"

#include <faiss/Clustering.h>
#include <faiss/Index.h>
#include <faiss/impl/ProductQuantizer.h>
#include <omp.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdint>
#include <exception>
#include <limits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/segment/vector_meta.h"
#include "kernels/distance.h"

namespace cairn::index {
namespace {

constexpr int kCoarseIterations = 10;
constexpr int kPqIterations = 10;
constexpr size_t kPqTrainingPoints = 32 * kPqCentroids;  // For each sub-quantizer.
constexpr int kBits = 8;

// Finds the nearest of some centroids, for faiss::Clustering and for filling the lists. Searches
// nothing (finds centroid 0) once the work is to end, for FAISS itself cannot be interrupted.
class CentroidIndex : public faiss::Index {
 public:
  CentroidIndex(size_t dim, faiss::MetricType metric, const WorkControl& cancel)
      : faiss::Index(static_cast<idx_t>(dim), metric), cancel_(cancel) {}

  void add(idx_t n, const float* x) override {
    const float* const end = x + n * d;
    centroids_.insert(centroids_.end(), x, end);
    for (; x != end; x += d) {
      half_squares_.push_back(
          metric_type == faiss::METRIC_L2 ? kernels::GetDistanceKernels().dot_f32(x, x, d) / 2 : 0);
    }
    ntotal += n;
  }
  void reset() override {
    centroids_.clear();
    half_squares_.clear();
    ntotal = 0;
  }
  // k is 1. `distances` are -inner products, or halved squared distances less the query's square.
  void search(idx_t n, const float* x, idx_t k, float* distances, idx_t* labels,
              const faiss::SearchParameters*) const override {
    assert(k == 1);
    (void)k;
    // Tiles of centroids that stay in the cache for a block of queries.
    constexpr idx_t kQueries = 32;
    const idx_t tile = std::clamp<idx_t>((idx_t{1} << 16) / d, 16, kMaxTile);
    std::array<float, kMaxTile> scores;
    std::fill_n(distances, n, std::numeric_limits<float>::infinity());
    std::fill_n(labels, n, idx_t{0});
    for (idx_t block = 0; block < n && !cancel_.stopped(); block += kQueries) {
      for (idx_t begin = 0; begin < ntotal; begin += tile) {
        const idx_t count = std::min(tile, ntotal - begin);
        for (idx_t q = block; q < std::min(n, block + kQueries); ++q) {
          kernels::GetDistanceKernels().scan_f32(x + q * d, &centroids_[begin * d], count, d,
                                                 scores.data());
          for (idx_t i = 0; i < count; ++i) {
            const float distance = half_squares_[begin + i] - scores[i];
            if (distance >= distances[q]) continue;
            distances[q] = distance;
            labels[q] = begin + i;
          }
        }
      }
    }
  }

  const float* centroid(idx_t i) const { return &centroids_[i * d]; }
  absl::Span<const float> centroids() const { return centroids_; }

 private:
  static constexpr idx_t kMaxTile = 1024;

  const WorkControl cancel_;
  std::vector<float> centroids_;     // [ntotal][d]
  std::vector<float> half_squares_;  // [ntotal], 0 under the inner product.
};

// k-means in steps of one iteration, for cancellation; leaves the centroids in `index`.
void Cluster(size_t dim, size_t k, int iterations, absl::Span<const float> points,
             const WorkControl& cancel, CentroidIndex* index) {
  faiss::Clustering clustering(static_cast<int>(dim), static_cast<int>(k));
  clustering.niter = 1;
  clustering.spherical = index->metric_type == faiss::METRIC_INNER_PRODUCT;
  clustering.min_points_per_centroid = 1;
  clustering.max_points_per_centroid = std::numeric_limits<int>::max();
  for (int i = 0; i < iterations && !cancel.stopped(); ++i) {
    clustering.train(static_cast<faiss::Index::idx_t>(points.size() / dim), points.data(), *index);
  }
}

// FAISS's parallel regions, run with one thread while this lives.
class OneOpenMpThread {
 public:
  OneOpenMpThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneOpenMpThread() { omp_set_num_threads(before_); }

 private:
  int before_;
};

}  // namespace

struct IvfPqBuilder::Impl {
  Impl(size_t dimension, size_t list_count, size_t code_bytes, const WorkControl& control)
      : dim(dimension),
        cancel(control),
        coarse(dim, faiss::METRIC_INNER_PRODUCT, cancel),
        quantizer(dim, code_bytes, kBits),
        slots(list_count),
        codes(list_count) {}

  // Replaces each vector by what its centroid leaves of it.
  void Subtract(absl::Span<float> vectors);
  absl::Status Train(absl::Span<const float> sample);

  const size_t dim;
  const WorkControl cancel;
  CentroidIndex coarse;
  faiss::ProductQuantizer quantizer;
  // By list.
  std::vector<std::vector<Slot>> slots;
  std::vector<std::vector<uint8_t>> codes;  // [slots of the list][code_bytes]
};

void IvfPqBuilder::Impl::Subtract(absl::Span<float> vectors) {
  const size_t n = vectors.size() / dim;
  std::vector<float> distances(n);
  std::vector<faiss::Index::idx_t> labels(n);
  coarse.search(static_cast<faiss::Index::idx_t>(n), vectors.data(), 1, distances.data(),
                labels.data(), nullptr);
  for (size_t i = 0; i < n; ++i) {
    const float* const centroid = coarse.centroid(labels[i]);
    for (size_t d = 0; d < dim; ++d) vectors[i * dim + d] -= centroid[d];
  }
}

absl::Status IvfPqBuilder::Impl::Train(absl::Span<const float> sample) {
  Cluster(dim, slots.size(), kCoarseIterations, sample, cancel, &coarse);
  if (cancel.stopped()) return cancel.Check();
  // Evenly spread points of the sample.
  const size_t points = std::min(sample.size() / dim, kPqTrainingPoints);
  std::vector<float> residuals(points * dim);
  for (size_t i = 0; i < points; ++i) {
    const size_t from = i * (sample.size() / dim) / points;
    std::copy_n(&sample[from * dim], dim, &residuals[i * dim]);
  }
  Subtract(absl::MakeSpan(residuals));
  const size_t dsub = quantizer.dsub;
  std::vector<float> parts(points * dsub);
  for (size_t m = 0; m < quantizer.M; ++m) {
    if (cancel.stopped()) return cancel.Check();
    for (size_t i = 0; i < points; ++i) {
      std::copy_n(&residuals[i * dim + m * dsub], dsub, &parts[i * dsub]);
    }
    CentroidIndex index(dsub, faiss::METRIC_L2, cancel);
    Cluster(dsub, kPqCentroids, kPqIterations, parts, cancel, &index);
    if (cancel.stopped()) return cancel.Check();
    quantizer.set_params(index.centroids().data(), static_cast<int>(m));
  }
  return absl::OkStatus();
}

IvfPqBuilder::IvfPqBuilder(size_t dim, size_t lists, size_t code_bytes, const WorkControl& cancel)
    : impl_(std::make_unique<Impl>(dim, lists, code_bytes, cancel)) {}
IvfPqBuilder::~IvfPqBuilder() = default;

absl::Status IvfPqBuilder::Train(absl::Span<const float> sample) {
  const OneOpenMpThread one_thread;
  try {
    return impl_->Train(sample);
  } catch (const std::exception& e) {  // FAISS's own.
    return absl::InternalError(absl::StrCat("IVF-PQ training failed: ", e.what()));
  }
}

void IvfPqBuilder::Add(Slot slot, absl::Span<const float> vector) {
  float distance = 0;
  faiss::Index::idx_t list = 0;
  impl_->coarse.search(1, vector.data(), 1, &distance, &list, nullptr);
  std::vector<float> residual(vector.begin(), vector.end());
  const float* const centroid = impl_->coarse.centroid(list);
  for (size_t d = 0; d < residual.size(); ++d) residual[d] -= centroid[d];
  std::vector<uint8_t>& codes = impl_->codes[list];
  codes.resize(codes.size() + impl_->quantizer.code_size);
  impl_->quantizer.compute_code(residual.data(),
                                codes.data() + codes.size() - impl_->quantizer.code_size);
  impl_->slots[list].push_back(slot);
}

void IvfPqBuilder::Write(SectionWriter* out) const {
  out->Put(Section::kIvfCentroids, impl_->coarse.centroids());
  out->Put(Section::kIvfCodebooks, absl::MakeConstSpan(impl_->quantizer.centroids));
  std::vector<uint32_t> offsets = {0};
  for (const std::vector<Slot>& slots : impl_->slots) {
    offsets.push_back(offsets.back() + static_cast<uint32_t>(slots.size()));
  }
  out->Put(Section::kIvfListOffsets, absl::MakeConstSpan(offsets));
  out->Begin(Section::kIvfSlots);
  for (const std::vector<Slot>& slots : impl_->slots) {
    out->AppendSpan(absl::MakeConstSpan(slots));
  }
  out->Begin(Section::kIvfCodes);
  for (const std::vector<uint8_t>& codes : impl_->codes) {
    out->AppendSpan(absl::MakeConstSpan(codes));
  }
}

}  // namespace cairn::index
