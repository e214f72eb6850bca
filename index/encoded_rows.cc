#include "index/encoded_rows.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "kernels/distance.h"

namespace cairn::index {
namespace {

constexpr double kNormTolerance = 1e-3;

// In independent lanes, which a compiler turns into vectors.
double SumOfSquares(absl::Span<const float> a) {
  constexpr size_t kLanes = 8;
  double sums[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= a.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      sums[lane] += static_cast<double>(a[i + lane]) * a[i + lane];
    }
  }
  for (size_t lane = 0; i < a.size(); ++i, ++lane) sums[lane] += static_cast<double>(a[i]) * a[i];
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

// The norm of a, rounded up: double sums of up to millions of squares are good to far more digits
// than a float holds.
float NormAbove(absl::Span<const float> a) {
  return std::nextafter(static_cast<float>(std::sqrt(SumOfSquares(a))),
                        std::numeric_limits<float>::infinity());
}

template <typename T>
const T* As(const std::byte* bytes) {
  return reinterpret_cast<const T*>(bytes);
}

void Decode(const std::byte* row, VectorEncoding encoding, float scale, absl::Span<float> out) {
  switch (encoding) {
    case VectorEncoding::kFloat32:
      std::memcpy(out.data(), row, out.size() * sizeof(float));
      return;
    case VectorEncoding::kBfloat16:
      for (size_t i = 0; i < out.size(); ++i) {
        out[i] = std::bit_cast<float>(uint32_t{As<kernels::bf16>(row)[i]} << 16);
      }
      return;
    case VectorEncoding::kInt8:
      for (size_t i = 0; i < out.size(); ++i) {
        out[i] = static_cast<float>(As<int8_t>(row)[i]) * scale;
      }
      return;
  }
}

// Returns the scale.
float EncodeValues(absl::Span<const float> vector, VectorEncoding encoding, std::byte* out) {
  switch (encoding) {
    case VectorEncoding::kFloat32:
      if (!vector.empty()) std::memcpy(out, vector.data(), vector.size() * sizeof(float));
      return 1.0f;
    case VectorEncoding::kBfloat16:
      kernels::EncodeBf16(vector.data(), vector.size(), reinterpret_cast<kernels::bf16*>(out));
      return 1.0f;
    case VectorEncoding::kInt8:
      return kernels::EncodeI8(vector.data(), vector.size(), reinterpret_cast<int8_t*>(out));
  }
  return 1.0f;
}

}  // namespace

absl::Status CheckUnitVector(absl::Span<const float> vector, size_t dim) {
  if (vector.size() != dim) {
    return absl::InvalidArgumentError(
        absl::StrCat("vector of dimension ", vector.size(), " where ", dim, " is expected"));
  }
  // Finite squares of floats sum to a finite double, anything else does not.
  const double norm = std::sqrt(SumOfSquares(vector));
  if (!std::isfinite(norm)) {
    const auto bad =
        std::find_if_not(vector.begin(), vector.end(), [](float x) { return std::isfinite(x); });
    return absl::InvalidArgumentError(
        absl::StrCat("vector is not finite at position ", bad - vector.begin()));
  }
  if (std::abs(norm - 1.0) > kNormTolerance) {
    return absl::InvalidArgumentError(
        absl::StrCat("vector of norm ", norm, " where 1 is expected"));
  }
  return absl::OkStatus();
}

size_t EncodedRowBytes(size_t dim, VectorEncoding encoding) {
  switch (encoding) {
    case VectorEncoding::kFloat32:
      return dim * sizeof(float);
    case VectorEncoding::kBfloat16:
      return dim * sizeof(kernels::bf16);
    case VectorEncoding::kInt8:
      return dim * sizeof(int8_t);
  }
  return 0;
}

RowMeasures EncodeRow(absl::Span<const float> vector, VectorEncoding encoding, std::byte* out,
                      float* rest) {
  constexpr size_t kInline = 1024;
  float inline_scratch[kInline];
  std::vector<float> scratch(vector.size() > kInline ? vector.size() : 0);
  const absl::Span<float> decoded(scratch.empty() ? inline_scratch : scratch.data(), vector.size());
  RowMeasures measures;
  measures.scale = EncodeValues(vector, encoding, out);
  Decode(out, encoding, measures.scale, decoded);
  measures.norm = NormAbove(decoded);
  for (size_t i = 0; i < vector.size(); ++i) decoded[i] = vector[i] - decoded[i];
  measures.error = NormAbove(decoded);
  if (rest != nullptr) std::copy(decoded.begin(), decoded.end(), rest);
  return measures;
}

// |fl(a.b) - a.b| <= dim * u / (1 - dim * u) * |a||b| for any order of summation, u = 2^-24
// (Higham, Accuracy and Stability of Numerical Algorithms, 3.1). Once for the encoded product and
// its scaling, once for the exact one; bfloat16 kernels round each product and flush denormals, and
// norms may be off by 1e-3: hence three times and a constant.
EncodedRowsView::EncodedRowsView(size_t size, size_t dim, VectorEncoding encoding,
                                 const RowStorage& storage)
    : size_(size),
      dim_(dim),
      encoding_(encoding),
      row_bytes_(EncodedRowBytes(dim, encoding)),
      rounding_(3.0f * static_cast<float>(dim + 16) * std::numeric_limits<float>::epsilon() / 2),
      storage_(storage) {}

EncodedQuery EncodedRowsView::EncodeCoarse(absl::Span<const float> query) const {
  EncodedQuery encoded;
  encoded.norm = NormAbove(query);
  encoded.coarse.resize(row_bytes_);
  const RowMeasures coarse = EncodeRow(query, encoding_, encoded.coarse.data());
  encoded.coarse_scale = coarse.scale;
  encoded.coarse_error = coarse.error;
  return encoded;
}

EncodedQuery EncodedRowsView::Encode(absl::Span<const float> query) const {
  EncodedQuery encoded;
  encoded.norm = NormAbove(query);
  encoded.coarse.resize(row_bytes_);
  encoded.rest.resize(row_bytes_);
  std::vector<float> left(dim_);
  const RowMeasures coarse = EncodeRow(query, encoding_, encoded.coarse.data(), left.data());
  const RowMeasures rest = EncodeRow(left, encoding_, encoded.rest.data());
  encoded.coarse_scale = coarse.scale;
  encoded.coarse_error = coarse.error;
  encoded.rest_scale = rest.scale;
  encoded.fine_error = rest.error;
  return encoded;
}

void EncodedRowsView::ScanPage(const EncodedQuery& query, size_t page, float* scores,
                               float* errors) const {
  const kernels::DistanceKernels& k = kernels::GetDistanceKernels();
  const size_t begin = page * kPageRows;
  const size_t rows = std::min(kPageRows, size_ - begin);
  const std::byte* const q = query.coarse.data();
  const std::byte* const data = Page(page);
  switch (encoding_) {
    case VectorEncoding::kFloat32:
      k.scan_f32(As<float>(q), As<float>(data), rows, dim_, scores);
      break;
    case VectorEncoding::kBfloat16:
      k.scan_bf16(As<kernels::bf16>(q), As<kernels::bf16>(data), rows, dim_, scores);
      break;
    case VectorEncoding::kInt8: {
      std::array<int32_t, kPageRows> dots;
      k.scan_i8(As<int8_t>(q), As<int8_t>(data), rows, dim_, dots.data());
      const float* const scales = storage_.scales + begin;
      for (size_t i = 0; i < rows; ++i) {
        scores[i] = static_cast<float>(dots[i]) * (query.coarse_scale * scales[i]);
      }
      break;
    }
  }
  for (size_t i = 0; i < rows; ++i) errors[i] = Error(query, query.coarse_error, begin + i);
  std::fill(scores + rows, scores + kPageRows, -std::numeric_limits<float>::infinity());
  std::fill(errors + rows, errors + kPageRows, 0.0f);
}

void EncodedRowsView::Gather(const std::byte* code, float scale, const std::byte* base,
                             size_t first, const uint32_t* ids, size_t count, float* scores) const {
  assert(count <= kPageRows);
  const kernels::DistanceKernels& k = kernels::GetDistanceKernels();
  switch (encoding_) {
    case VectorEncoding::kFloat32:
      k.gather_f32(As<float>(code), As<float>(base), ids, count, dim_, scores);
      break;
    case VectorEncoding::kBfloat16:
      k.gather_bf16(As<kernels::bf16>(code), As<kernels::bf16>(base), ids, count, dim_, scores);
      break;
    case VectorEncoding::kInt8: {
      std::array<int32_t, kPageRows> dots;
      k.gather_i8(As<int8_t>(code), As<int8_t>(base), ids, count, dim_, dots.data());
      const float* const scales = storage_.scales + first;
      for (size_t i = 0; i < count; ++i) {
        scores[i] = static_cast<float>(dots[i]) * (scale * scales[ids[i]]);
      }
      break;
    }
  }
}

void EncodedRowsView::ScoreInPage(const EncodedQuery& query, size_t page, const uint32_t* offsets,
                                  size_t count, float* scores) const {
  Gather(query.coarse.data(), query.coarse_scale, Page(page), page * kPageRows, offsets, count,
         scores);
}

float EncodedRowsView::Dot(const std::byte* query, const std::byte* row) const {
  const kernels::DistanceKernels& k = kernels::GetDistanceKernels();
  switch (encoding_) {
    case VectorEncoding::kFloat32:
      return k.dot_f32(As<float>(query), As<float>(row), dim_);
    case VectorEncoding::kBfloat16:
      return k.dot_bf16(As<kernels::bf16>(query), As<kernels::bf16>(row), dim_);
    case VectorEncoding::kInt8:
      return static_cast<float>(k.dot_i8(As<int8_t>(query), As<int8_t>(row), dim_));
  }
  return 0;
}

ScoreInterval EncodedRowsView::ScoreFine(const EncodedQuery& query, Slot slot) const {
  const float scale = Scale(slot);
  const float coarse = Dot(query.coarse.data(), Row(slot)) * (query.coarse_scale * scale);
  const float rest = Dot(query.rest.data(), Row(slot)) * (query.rest_scale * scale);
  return {coarse + rest, Error(query, query.fine_error, slot)};
}

EncodedRows::EncodedRows(size_t dim, VectorEncoding encoding)
    : dim_(dim), encoding_(encoding), row_bytes_(EncodedRowBytes(dim, encoding)) {}

std::byte* EncodedRows::AddRow() {
  constexpr size_t kPageRows = EncodedRowsView::kPageRows;
  if (size_ == pages_.size() * kPageRows) {
    pages_.push_back(Page(static_cast<std::byte*>(::operator new[](
        std::max<size_t>(row_bytes_, 1) * kPageRows, std::align_val_t{kAlignment}))));
    page_starts_.push_back(pages_.back().get());
  }
  return pages_.back().get() + size_++ % kPageRows * row_bytes_;
}

void EncodedRows::AddMeasures(const RowMeasures& measures) {
  if (encoding_ == VectorEncoding::kFloat32) return;
  if (encoding_ == VectorEncoding::kInt8) scales_.push_back(measures.scale);
  norms_.push_back(measures.norm);
  errors_.push_back(measures.error);
}

void EncodedRows::Append(absl::Span<const float> vector) {
  AddMeasures(EncodeRow(vector, encoding_, AddRow()));
}

void EncodedRows::AppendMissing() {
  std::memset(AddRow(), 0, row_bytes_);
  AddMeasures({});
}

EncodedRowsView EncodedRows::view() const {
  RowStorage storage;
  storage.pages = page_starts_.data();
  if (!scales_.empty()) storage.scales = scales_.data();
  if (!norms_.empty()) storage.norms = norms_.data();
  if (!errors_.empty()) storage.errors = errors_.data();
  return EncodedRowsView(size_, dim_, encoding_, storage);
}

size_t EncodedRows::MemoryBytes() const {
  return pages_.size() * EncodedRowsView::kPageRows * row_bytes_ +
         pages_.capacity() * sizeof(Page) + page_starts_.capacity() * sizeof(const std::byte*) +
         (scales_.capacity() + norms_.capacity() + errors_.capacity()) * sizeof(float);
}

}  // namespace cairn::index
