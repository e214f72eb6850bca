#include "index/segment/vector_writer.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <new>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "index/encoded_rows.h"
#include "index/segment/hnsw_builder.h"
#include "index/segment/huge_pages.h"
#include "index/segment/ivf_pq_builder.h"
#include "index/segment/vector_meta.h"

namespace cairn::index {
namespace {

constexpr size_t kEncodedBatchRows = 256;
// Share of the work that is done when the vectors themselves are written, where a graph or lists
// follow.
constexpr double kIndexBegins = 0.1;
constexpr Slot kSlotsPerReport = 1024;
constexpr size_t kHugePage = size_t{2} << 20;

// Encoded rows in one piece, for building a graph.
class RowBuffer {
 public:
  RowBuffer(size_t slots, size_t dim, VectorEncoding encoding)
      : slots_(slots), dim_(dim), encoding_(encoding), row_bytes_(EncodedRowBytes(dim, encoding)) {
    const size_t bytes = std::max<size_t>(slots * row_bytes_, 1);
    rows_.reset(static_cast<std::byte*>(::operator new[](bytes, std::align_val_t{kHugePage})));
    UseHugePages(rows_.get(), bytes);
    std::fill_n(rows_.get(), bytes, std::byte{0});
    scales_.resize(slots);
    norms_.resize(slots);
    errors_.resize(slots);
  }

  void Set(Slot slot, absl::Span<const float> vector) {
    const RowMeasures measures = EncodeRow(vector, encoding_, rows_.get() + slot * row_bytes_);
    scales_[slot] = measures.scale;
    norms_[slot] = measures.norm;
    errors_[slot] = measures.error;
  }

  absl::Span<const std::byte> bytes() const { return {rows_.get(), slots_ * row_bytes_}; }
  absl::Span<const float> scales() const { return scales_; }
  absl::Span<const float> norms() const { return norms_; }
  absl::Span<const float> errors() const { return errors_; }
  EncodedRowsView view() const {
    return EncodedRowsView(slots_, dim_, encoding_,
                           {rows_.get(), nullptr, scales_.data(), norms_.data(), errors_.data()});
  }

 private:
  struct Deleter {
    void operator()(std::byte* p) const { ::operator delete[](p, std::align_val_t{kHugePage}); }
  };

  size_t slots_;
  size_t dim_;
  VectorEncoding encoding_;
  size_t row_bytes_;
  std::unique_ptr<std::byte[], Deleter> rows_;
  std::vector<float> scales_;
  std::vector<float> norms_;
  std::vector<float> errors_;
};

absl::Status CheckOptions(size_t slots, size_t dim, const VectorIndexOptions& options) {
  if (slots > kMaxVectorSlots) return absl::InvalidArgumentError("too many slots for a segment");
  if (dim == 0 || dim > kMaxVectorDim) {
    return absl::InvalidArgumentError(absl::StrCat("vectors of dimension ", dim));
  }
  if (options.hnsw_links < 2 || options.hnsw_links > 128 || options.hnsw_ef_construction < 1 ||
      options.hnsw_ef_construction > 65536) {
    return absl::InvalidArgumentError("HNSW options out of range");
  }
  if (options.ivf_code_bytes != 0 && dim % options.ivf_code_bytes != 0) {
    return absl::InvalidArgumentError(absl::StrCat("IVF-PQ codes of ", options.ivf_code_bytes,
                                                   " bytes do not divide dimension ", dim));
  }
  return absl::OkStatus();
}

// One call of WriteVectors.
class PartWriter {
 public:
  PartWriter(size_t slots, size_t dim, VectorSource* source, const VectorIndexOptions& options,
             const WorkControl& control, SectionWriter* out)
      : slots_(slots),
        dim_(dim),
        source_(source),
        options_(options),
        control_(control),
        out_(out),
        present_(slots) {}

  absl::Status Write();

 private:
  // Calls visit(slot, vector) for every slot in order; the vector of an absent one is empty.
  using Visitor = absl::FunctionRef<void(Slot slot, absl::Span<const float> vector)>;
  absl::Status ForEachSlot(Visitor visit);
  absl::Status WriteExact();
  absl::Status WriteCodes();
  absl::Status WriteGraph();
  absl::Status WriteIvfPq();
  VectorIndexKind Kind() const;

  const size_t slots_;
  const size_t dim_;
  VectorSource* const source_;
  const VectorIndexOptions& options_;
  const WorkControl control_;
  SectionWriter* const out_;
  SlotSet present_;
  VectorMeta meta_;
  // int8 rows: the codes of that encoding, and what every graph is built on.
  std::unique_ptr<RowBuffer> int8_;
};

absl::Status PartWriter::ForEachSlot(Visitor visit) {
  std::vector<float> values(kEncodedBatchRows * dim_);
  std::vector<uint8_t> present(kEncodedBatchRows);
  for (size_t begin = 0; begin < slots_; begin += kEncodedBatchRows) {
    if (control_.stopped()) return control_.Check();
    if (!out_->status().ok()) return out_->status();
    const size_t count = std::min(kEncodedBatchRows, slots_ - begin);
    std::fill(present.begin(), present.end(), uint8_t{0});
    if (absl::Status s = source_->Read(static_cast<Slot>(begin), count,
                                       absl::MakeSpan(values).subspan(0, count * dim_),
                                       absl::MakeSpan(present).subspan(0, count));
        !s.ok()) {
      return s;
    }
    for (size_t i = 0; i < count; ++i) {
      const absl::Span<const float> vector(&values[i * dim_], dim_);
      if (present[i] != 0) {
        if (absl::Status s = CheckUnitVector(vector, dim_); !s.ok()) return s;
      }
      visit(static_cast<Slot>(begin + i), present[i] != 0 ? vector : absl::Span<const float>());
    }
  }
  return out_->status();
}

VectorIndexKind PartWriter::Kind() const {
  if (meta_.count < options_.flat_below) return VectorIndexKind::kFlat;
  switch (options_.kind) {
    case VectorIndexKind::kHnsw:
      return meta_.count == 0 ? VectorIndexKind::kFlat : VectorIndexKind::kHnsw;
    case VectorIndexKind::kIvfPq:
      return meta_.count < kPqCentroids ? VectorIndexKind::kFlat : VectorIndexKind::kIvfPq;
    case VectorIndexKind::kFlat:
      break;
  }
  return VectorIndexKind::kFlat;
}

absl::Status PartWriter::Write() {
  if (absl::Status s = CheckOptions(slots_, dim_, options_); !s.ok()) return s;
  meta_.dim = static_cast<uint32_t>(dim_);
  meta_.slots = slots_;
  const bool graph = options_.kind == VectorIndexKind::kHnsw && slots_ >= options_.flat_below;
  // An IVF-PQ part, unless it is small, has codes of its own.
  const bool lists = options_.kind == VectorIndexKind::kIvfPq && slots_ >= options_.flat_below;
  if (graph || (options_.encoding == VectorEncoding::kInt8 && !lists)) {
    int8_ = std::make_unique<RowBuffer>(slots_, dim_, VectorEncoding::kInt8);
  }
  if (absl::Status s = WriteExact(); !s.ok()) return s;
  const VectorIndexKind kind = Kind();
  meta_.kind = static_cast<uint8_t>(kind);
  const VectorEncoding encoding =
      kind == VectorIndexKind::kIvfPq ? VectorEncoding::kFloat32 : options_.encoding;
  meta_.encoding = static_cast<uint8_t>(encoding);
  if (encoding == VectorEncoding::kInt8 && int8_ == nullptr) {
    // It was to have lists, but too many of its slots have no vector.
    int8_ = std::make_unique<RowBuffer>(slots_, dim_, VectorEncoding::kInt8);
    absl::Status s = ForEachSlot([&](Slot slot, absl::Span<const float> vector) {
      if (!vector.empty()) int8_->Set(slot, vector);
    });
    if (!s.ok()) return s;
  }
  if (encoding != VectorEncoding::kFloat32) {
    if (absl::Status s = WriteCodes(); !s.ok()) return s;
  }
  absl::Status status;
  if (kind == VectorIndexKind::kHnsw) status = WriteGraph();
  if (kind == VectorIndexKind::kIvfPq) status = WriteIvfPq();
  if (!status.ok()) return status;
  out_->Put(Section::kVectorPresent, absl::MakeConstSpan(present_.words()));
  out_->Put(Section::kVectorMeta, absl::Span<const VectorMeta>(&meta_, 1));
  return out_->status();
}

absl::Status PartWriter::WriteExact() {
  out_->Begin(Section::kVectorExact);
  const std::vector<float> zeros(dim_);
  const double share = options_.kind == VectorIndexKind::kFlat ? 1 : kIndexBegins;
  return ForEachSlot([&](Slot slot, absl::Span<const float> vector) {
    if (slot % kSlotsPerReport == 0) {
      control_.Report(share * static_cast<double>(slot) / static_cast<double>(slots_));
    }
    out_->AppendSpan(vector.empty() ? absl::MakeConstSpan(zeros) : vector);
    if (vector.empty()) return;
    present_.Set(slot);
    ++meta_.count;
    if (int8_ != nullptr) int8_->Set(slot, vector);
  });
}

absl::Status PartWriter::WriteCodes() {
  if (options_.encoding == VectorEncoding::kInt8) {
    out_->Put(Section::kVectorCodes, int8_->bytes());
    out_->Put(Section::kVectorScales, int8_->scales());
    out_->Put(Section::kVectorNorms, int8_->norms());
    out_->Put(Section::kVectorErrors, int8_->errors());
    return out_->status();
  }
  std::vector<float> norms(slots_);
  std::vector<float> errors(slots_);
  std::vector<std::byte> row(EncodedRowBytes(dim_, options_.encoding));
  out_->Begin(Section::kVectorCodes);
  const absl::Status status = ForEachSlot([&](Slot slot, absl::Span<const float> vector) {
    std::fill(row.begin(), row.end(), std::byte{0});
    if (!vector.empty()) {
      const RowMeasures measures = EncodeRow(vector, options_.encoding, row.data());
      norms[slot] = measures.norm;
      errors[slot] = measures.error;
    }
    out_->AppendSpan(absl::MakeConstSpan(row));
  });
  if (!status.ok()) return status;
  out_->Put(Section::kVectorNorms, absl::MakeConstSpan(norms));
  out_->Put(Section::kVectorErrors, absl::MakeConstSpan(errors));
  return out_->status();
}

absl::Status PartWriter::WriteGraph() {
  HnswBuilder builder(int8_->view(), options_.hnsw_links, options_.hnsw_ef_construction);
  if (absl::Status s = builder.Build(present_, control_.Part(kIndexBegins, 1)); !s.ok()) return s;
  builder.Write(out_);
  meta_.links = static_cast<uint32_t>(options_.hnsw_links);
  meta_.entry = builder.entry();
  meta_.levels = builder.levels();
  return out_->status();
}

absl::Status PartWriter::WriteIvfPq() {
  const size_t count = meta_.count;
  const size_t wanted = options_.ivf_lists != 0
                            ? options_.ivf_lists
                            : static_cast<size_t>(4 * std::sqrt(static_cast<double>(count)));
  size_t code_bytes = options_.ivf_code_bytes;
  if (code_bytes == 0) {
    for (code_bytes = std::max<size_t>(dim_ / 8, 1); dim_ % code_bytes != 0;) --code_bytes;
  }
  const size_t lists = std::clamp<size_t>(wanted, 1, count / 2);
  const size_t per_list = std::clamp<size_t>(options_.ivf_training_points_per_list, 1, 1024);
  const size_t sample_size = std::clamp(lists * per_list, kPqCentroids, count);
  IvfPqBuilder builder(dim_, lists, code_bytes, control_);
  // Every count / sample_size-th vector.
  std::vector<float> sample;
  sample.reserve(sample_size * dim_);
  size_t ordinal = 0;
  absl::Status status = ForEachSlot([&](Slot, absl::Span<const float> vector) {
    if (vector.empty()) return;
    if (sample.size() / dim_ * count <= ordinal++ * sample_size) {
      sample.insert(sample.end(), vector.begin(), vector.end());
    }
  });
  if (status.ok()) status = builder.Train(sample);
  if (!status.ok()) return status;
  status = ForEachSlot([&](Slot slot, absl::Span<const float> vector) {
    if (!vector.empty()) builder.Add(slot, vector);
  });
  if (!status.ok()) return status;
  builder.Write(out_);
  meta_.lists = static_cast<uint32_t>(lists);
  meta_.code_bytes = static_cast<uint32_t>(code_bytes);
  return out_->status();
}

}  // namespace

absl::Status WriteVectors(size_t slots, size_t dim, VectorSource* source,
                          const VectorIndexOptions& options, const WorkControl& control,
                          SectionWriter* out) {
  return PartWriter(slots, dim, source, options, control, out).Write();
}

}  // namespace cairn::index
