// Builds the inverted lists of product-quantized vectors.
#ifndef CAIRN_INDEX_SEGMENT_IVF_PQ_BUILDER_H_
#define CAIRN_INDEX_SEGMENT_IVF_PQ_BUILDER_H_

#include <cstddef>
#include <memory>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "index/segment/section_file.h"
#include "index/slot_set.h"
#include "index/work_control.h"

namespace cairn::index {

// IVF-PQ (Jegou, Douze and Schmid, Product Quantization for Nearest Neighbor Search, 2011) under
// the inner product: unit centroids by spherical k-means, and a product quantizer for what each
// vector's centroid leaves of it. FAISS clusters and encodes; the nearest centroids are found by
// our kernels, on this thread alone.
//
// The same vectors give the same lists. Not thread-safe.
class IvfPqBuilder {
 public:
  // `code_bytes` divides `dim`. Train ends soon after *cancel is true.
  IvfPqBuilder(size_t dim, size_t lists, size_t code_bytes, const WorkControl& cancel);
  ~IvfPqBuilder();
  IvfPqBuilder(const IvfPqBuilder&) = delete;
  IvfPqBuilder& operator=(const IvfPqBuilder&) = delete;

  // `sample` [n][dim], n at least `lists` and kPqCentroids; once, before the first Add.
  absl::Status Train(absl::Span<const float> sample);
  // Slots ascend.
  void Add(Slot slot, absl::Span<const float> vector);
  // Writes the IVF sections of docs/formats/segment-vectors.md.
  void Write(SectionWriter* out) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_SEGMENT_IVF_PQ_BUILDER_H_
