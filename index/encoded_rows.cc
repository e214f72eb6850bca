#include "index/encoded_rows.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/distance.h"

namespace cairn::index {
namespace {

size_t ElementBytes(VectorEncoding encoding) {
  switch (encoding) {
    case VectorEncoding::kFloat32:
      return sizeof(float);
    case VectorEncoding::kBfloat16:
      return sizeof(kernels::bf16);
    case VectorEncoding::kInt8:
      return sizeof(int8_t);
  }
  return 0;
}

// The norm of a, rounded up: double sums of up to millions of squares are good to far more digits
// than a float holds.
float NormAbove(absl::Span<const float> a) {
  double sum = 0;
  for (float x : a) sum += static_cast<double>(x) * x;
  return std::nextafter(static_cast<float>(std::sqrt(sum)), std::numeric_limits<float>::infinity());
}

template <typename T>
const T* As(const std::byte* bytes) {
  return reinterpret_cast<const T*>(bytes);
}

}  // namespace

// |fl(a.b) - a.b| <= dim * u / (1 - dim * u) * |a||b| for any order of summation, u = 2^-24
// (Higham, Accuracy and Stability of Numerical Algorithms, 3.1). Once for the encoded product and
// its scaling, once for the exact one; bfloat16 kernels round each product and flush denormals, and
// norms may be off by 1e-3: hence three times and a constant.
EncodedRows::EncodedRows(size_t dim, VectorEncoding encoding)
    : dim_(dim),
      encoding_(encoding),
      row_bytes_(dim * ElementBytes(encoding)),
      rounding_(3.0f * static_cast<float>(dim + 16) * std::numeric_limits<float>::epsilon() / 2) {}

std::byte* EncodedRows::AddRow() {
  if (size_ == pages_.size() * kPageRows) {
    pages_.push_back(Page(static_cast<std::byte*>(::operator new[](
        std::max<size_t>(row_bytes_, 1) * kPageRows, std::align_val_t{kAlignment}))));
  }
  std::byte* const row = pages_.back().get() + size_ % kPageRows * row_bytes_;
  scales_.push_back(1.0f);
  norms_.push_back(0.0f);
  errors_.push_back(0.0f);
  ++size_;
  return row;
}

void EncodedRows::Append(absl::Span<const float> vector) {
  std::byte* const row = AddRow();
  scales_.back() = EncodeInto(vector, row);
  std::vector<float> decoded(dim_);
  Decode(row, scales_.back(), decoded.data());
  norms_.back() = NormAbove(decoded);
  for (size_t i = 0; i < dim_; ++i) decoded[i] = vector[i] - decoded[i];
  errors_.back() = NormAbove(decoded);
}

void EncodedRows::AppendMissing() { std::memset(AddRow(), 0, row_bytes_); }

// Returns the scale.
float EncodedRows::EncodeInto(absl::Span<const float> vector, std::byte* out) const {
  switch (encoding_) {
    case VectorEncoding::kFloat32:
      std::memcpy(out, vector.data(), dim_ * sizeof(float));
      return 1.0f;
    case VectorEncoding::kBfloat16:
      kernels::EncodeBf16(vector.data(), dim_, reinterpret_cast<kernels::bf16*>(out));
      return 1.0f;
    case VectorEncoding::kInt8:
      return kernels::EncodeI8(vector.data(), dim_, reinterpret_cast<int8_t*>(out));
  }
  return 1.0f;
}

void EncodedRows::Decode(const std::byte* row, float scale, float* out) const {
  for (size_t i = 0; i < dim_; ++i) {
    switch (encoding_) {
      case VectorEncoding::kFloat32:
        out[i] = As<float>(row)[i];
        break;
      case VectorEncoding::kBfloat16:
        out[i] = std::bit_cast<float>(uint32_t{As<kernels::bf16>(row)[i]} << 16);
        break;
      case VectorEncoding::kInt8:
        out[i] = static_cast<float>(As<int8_t>(row)[i]) * scale;
        break;
    }
  }
}

EncodedQuery EncodedRows::Encode(absl::Span<const float> query) const {
  EncodedQuery encoded;
  encoded.norm = NormAbove(query);
  encoded.coarse.resize(row_bytes_);
  encoded.rest.resize(row_bytes_);
  std::vector<float> left(query.begin(), query.end());
  std::vector<float> decoded(dim_);
  const auto encode = [&](std::vector<std::byte>* out, float* scale, float* error) {
    *scale = EncodeInto(left, out->data());
    Decode(out->data(), *scale, decoded.data());
    for (size_t i = 0; i < dim_; ++i) left[i] -= decoded[i];
    *error = NormAbove(left);
  };
  encode(&encoded.coarse, &encoded.coarse_scale, &encoded.coarse_error);
  encode(&encoded.rest, &encoded.rest_scale, &encoded.fine_error);
  return encoded;
}

void EncodedRows::ScanPage(const EncodedQuery& query, size_t page, float* scores,
                           float* errors) const {
  const kernels::DistanceKernels& k = kernels::GetDistanceKernels();
  const size_t begin = page * kPageRows;
  const size_t rows = std::min(kPageRows, size_ - begin);
  const std::byte* const q = query.coarse.data();
  const std::byte* const data = pages_[page].get();
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
      const float* const scales = &scales_[begin];
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

float EncodedRows::Dot(const std::byte* query, const std::byte* row) const {
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

ScoreInterval EncodedRows::ScoreCoarse(const EncodedQuery& query, Slot slot) const {
  const float dot = Dot(query.coarse.data(), Row(slot));
  return {dot * (query.coarse_scale * scales_[slot]), Error(query, query.coarse_error, slot)};
}

ScoreInterval EncodedRows::ScoreFine(const EncodedQuery& query, Slot slot) const {
  const float coarse = Dot(query.coarse.data(), Row(slot)) * (query.coarse_scale * scales_[slot]);
  const float rest = Dot(query.rest.data(), Row(slot)) * (query.rest_scale * scales_[slot]);
  return {coarse + rest, Error(query, query.fine_error, slot)};
}

const float* EncodedRows::Float32Row(Slot slot) const { return As<float>(Row(slot)); }

size_t EncodedRows::MemoryBytes() const {
  return pages_.size() * kPageRows * row_bytes_ + pages_.capacity() * sizeof(Page) +
         (scales_.capacity() + norms_.capacity() + errors_.capacity()) * sizeof(float);
}

}  // namespace cairn::index
