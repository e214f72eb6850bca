#include "index/segment/ivf_pq.h"

#include <algorithm>

#include "kernels/distance.h"

namespace cairn::index {
namespace {

absl::Status DamagedLists(const char* what) {
  return absl::DataLossError(std::string("damaged inverted lists: ") + what);
}

}  // namespace

absl::StatusOr<IvfPqLists> IvfPqLists::Open(const SectionFile& file, const VectorMeta& meta) {
  if (meta.lists == 0 || meta.lists > meta.count || meta.code_bytes == 0 ||
      meta.dim % meta.code_bytes != 0) {
    return DamagedLists("numbers");
  }
  IvfPqLists result;
  result.dim_ = meta.dim;
  result.code_bytes_ = meta.code_bytes;
  // Products of at most 2^31 and 2^16.
  const auto centroids = file.Get<float>(Section::kIvfCentroids, uint64_t{meta.lists} * meta.dim);
  const auto codebooks = file.Get<float>(Section::kIvfCodebooks, kPqCentroids * meta.dim);
  const auto offsets = file.Get<uint32_t>(Section::kIvfListOffsets, uint64_t{meta.lists} + 1);
  const auto slots = file.Get<uint32_t>(Section::kIvfSlots, meta.count);
  const auto codes = file.Get<uint8_t>(Section::kIvfCodes, meta.count * meta.code_bytes);
  for (const absl::Status& s :
       {centroids.status(), codebooks.status(), offsets.status(), slots.status(), codes.status()}) {
    if (!s.ok()) return s;
  }
  if (offsets->front() != 0 || offsets->back() != meta.count ||
      !std::is_sorted(offsets->begin(), offsets->end())) {
    return DamagedLists("offsets");
  }
  result.centroids_ = *centroids;
  result.codebooks_ = *codebooks;
  result.offsets_ = *offsets;
  result.slots_ = *slots;
  result.codes_ = *codes;
  return result;
}

// Adds to *seen the allowed slots of the list.
void IvfPqLists::ScanList(size_t list, float base, absl::Span<const float> table,
                          const SlotSet& allowed, kernels::TopK* top, size_t* seen) const {
  for (size_t entry = offsets_[list]; entry < offsets_[list + 1]; ++entry) {
    const Slot slot = slots_[entry];
    if (slot >= allowed.size() || !allowed.Test(slot)) continue;
    const uint8_t* const code = &codes_[entry * code_bytes_];
    // Two sums, for the additions of one would wait for each other.
    float even = base;
    float odd = 0;
    const float* row = table.data();
    size_t m = 0;
    for (; m + 2 <= code_bytes_; m += 2, row += 2 * kPqCentroids) {
      even += row[code[m]];
      odd += row[kPqCentroids + code[m + 1]];
    }
    if (m < code_bytes_) even += row[code[m]];
    top->Push(even + odd, slot);
    ++*seen;
  }
}

std::vector<kernels::TopK::Entry> IvfPqLists::Search(absl::Span<const float> query, size_t count,
                                                     size_t nprobe, size_t least,
                                                     const SlotSet& allowed,
                                                     const Cancellation* cancellation) const {
  const kernels::DistanceKernels& kernels = kernels::GetDistanceKernels();
  std::vector<float> scores(lists());
  kernels.scan_f32(query.data(), centroids_.data(), lists(), dim_, scores.data());
  // The inner product of each part of the query with each centroid of its sub-quantizer.
  const size_t part = dim_ / code_bytes_;
  std::vector<float> table(code_bytes_ * kPqCentroids);
  for (size_t m = 0; m < code_bytes_; ++m) {
    kernels.scan_f32(&query[m * part], &codebooks_[m * kPqCentroids * part], kPqCentroids, part,
                     &table[m * kPqCentroids]);
  }
  kernels::TopK nearest(lists());
  for (size_t list = 0; list < lists(); ++list) {
    nearest.Push(scores[list], static_cast<uint32_t>(list));
  }
  kernels::TopK top(count);
  size_t seen = 0;
  size_t probed = 0;
  for (const kernels::TopK::Entry& list : nearest.TakeSorted()) {
    if (probed++ >= nprobe && seen >= least) break;
    if (IsCancelled(cancellation)) break;
    ScanList(list.slot, list.score, table, allowed, &top, &seen);
  }
  return top.TakeSorted();
}

absl::Status IvfPqLists::Check(const SlotSet& present) const {
  SlotSet seen(present.size());
  for (size_t list = 0; list < lists(); ++list) {
    for (size_t entry = offsets_[list]; entry < offsets_[list + 1]; ++entry) {
      const Slot slot = slots_[entry];
      if (slot >= present.size() || !present.Test(slot))
        return DamagedLists("slot without a vector");
      if (seen.Test(slot)) return DamagedLists("slot twice");
      if (entry > offsets_[list] && slots_[entry - 1] >= slot)
        return DamagedLists("order of slots");
      seen.Set(slot);
    }
  }
  return absl::OkStatus();  // As many as there are vectors, none twice: all of them.
}

}  // namespace cairn::index
