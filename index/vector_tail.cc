#include "index/vector_tail.h"

#include <cassert>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "index/encoded_rows.h"
#include "index/vector_scan.h"
#include "kernels/distance.h"

namespace cairn::index {

std::string_view VectorEncodingName(VectorEncoding encoding) {
  switch (encoding) {
    case VectorEncoding::kFloat32:
      return "float32";
    case VectorEncoding::kBfloat16:
      return "bfloat16";
    case VectorEncoding::kInt8:
      return "int8";
  }
  return "unknown";
}

struct VectorTail::Impl {
  EncodedRows rows;
  SlotSet present;
};

VectorTail::VectorTail(size_t dim, VectorEncoding encoding)
    : impl_(new Impl{EncodedRows(dim, encoding), SlotSet()}) {}
VectorTail::~VectorTail() = default;
VectorTail::VectorTail(VectorTail&&) noexcept = default;
VectorTail& VectorTail::operator=(VectorTail&&) noexcept = default;

absl::StatusOr<Slot> VectorTail::Append(absl::Span<const float> vector) {
  if (absl::Status s = CheckUnitVector(vector, dim()); !s.ok()) return s;
  const Slot slot = static_cast<Slot>(slots());
  impl_->rows.Append(vector);
  impl_->present.Resize(slots(), true);
  return slot;
}

Slot VectorTail::AppendMissing() {
  const Slot slot = static_cast<Slot>(slots());
  impl_->rows.AppendMissing();
  impl_->present.Resize(slots(), false);
  return slot;
}

size_t VectorTail::slots() const { return impl_->rows.size(); }
size_t VectorTail::dim() const { return impl_->rows.dim(); }
size_t VectorTail::MemoryBytes() const {
  return sizeof(Impl) + impl_->rows.MemoryBytes() +
         impl_->present.words().capacity() * sizeof(uint64_t);
}

absl::StatusOr<std::vector<ScoredSlot>> VectorTail::Search(absl::Span<const float> query, size_t k,
                                                           const SlotSet& allowed,
                                                           ExactVectorSource exact, float floor,
                                                           const Cancellation* cancellation) const {
  assert(allowed.size() == slots());
  if (absl::Status s = CheckUnitVector(query, dim()); !s.ok()) return s;
  if (k == 0) return std::vector<ScoredSlot>();
  SlotSet wanted = allowed;
  wanted.IntersectWith(impl_->present);
  const kernels::DistanceKernels& kernels = kernels::GetDistanceKernels();
  const EncodedRowsView rows = impl_->rows.view();
  std::vector<float> vectors;  // [slots][dim] of one call.
  const auto score = [&](absl::Span<const Slot> slots, absl::Span<float> scores) -> absl::Status {
    if (rows.encoding() == VectorEncoding::kFloat32) {
      for (size_t i = 0; i < slots.size(); ++i) {
        scores[i] = kernels.dot_f32(query.data(), rows.Float32Row(slots[i]), dim());
      }
      return absl::OkStatus();
    }
    vectors.assign(slots.size() * dim(), std::numeric_limits<float>::quiet_NaN());
    if (absl::Status s = exact(slots, absl::MakeSpan(vectors)); !s.ok()) return s;
    for (size_t i = 0; i < slots.size(); ++i) {
      scores[i] = kernels.dot_f32(query.data(), &vectors[i * dim()], dim());
    }
    return absl::OkStatus();
  };
  return ScanForTopK(rows, query, k, std::move(wanted), floor, score, cancellation);
}

}  // namespace cairn::index
