#include "engine/model/token_vectors.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace cairn::engine {
namespace {

// Magnitudes above this are refused beside NaN and infinity. With values and weights below it, the
// sum over any text's tokens (less than 2^32) stays below 1e34 and so within float32's range.
constexpr double kMaxMagnitude = 1e12;

absl::Status VectorsFault(absl::string_view tensor, absl::string_view fault) {
  return absl::InvalidArgumentError(absl::StrCat("tensor ", tensor, ": ", fault));
}

template <class T>
T Read(const char* bytes, size_t i) {
  T value;
  std::memcpy(&value, bytes + i * sizeof(T), sizeof(T));
  return value;
}

// Number formats as integers: without the sign bit, larger magnitudes are larger integers, infinity
// is above all numbers and NaN above infinity. So one comparison finds everything unwelcome.
struct Float32 {
  using Bits = int32_t;
  static constexpr Bits kMagnitude = 0x7fffffff;
  static constexpr Bits kLargest = std::bit_cast<int32_t>(static_cast<float>(kMaxMagnitude));
  static constexpr Bits kInfinity = 0x7f800000;
};
struct Float16 {
  using Bits = int16_t;
  static constexpr Bits kMagnitude = 0x7fff;
  static constexpr Bits kLargest = 0x7bff;
  static constexpr Bits kInfinity = 0x7c00;
};
struct Float64 {
  using Bits = int64_t;
  static constexpr Bits kMagnitude = 0x7fffffffffffffff;
  static constexpr Bits kLargest = std::bit_cast<int64_t>(kMaxMagnitude);
  static constexpr Bits kInfinity = 0x7ff0000000000000;
};

template <class Format>
typename Format::Bits Magnitude(const char* bytes, size_t i) {
  return Read<typename Format::Bits>(bytes, i) & Format::kMagnitude;
}

// Refuses NaN, infinity and absurd magnitudes in a tensor of rows of `columns` values.
template <class Format>
absl::Status CheckValues(absl::string_view name, const Tensor& tensor, size_t columns) {
  const char* bytes = tensor.bytes.data();
  const size_t n = tensor.bytes.size() / sizeof(typename Format::Bits);
  typename Format::Bits bad = 0;  // No branch in the loop: it runs at memory speed.
  for (size_t i = 0; i < n; ++i) bad |= Magnitude<Format>(bytes, i) > Format::kLargest;
  if (bad == 0) return absl::OkStatus();

  size_t i = 0;
  while (Magnitude<Format>(bytes, i) <= Format::kLargest) ++i;
  const auto magnitude = Magnitude<Format>(bytes, i);
  const char* fault = magnitude > Format::kInfinity    ? "NaN"
                      : magnitude == Format::kInfinity ? "infinity"
                                                       : "value beyond 1e12";
  return absl::InvalidArgumentError(
      absl::StrCat(fault, " in tensor ", name, " at row ", i / columns));
}

// A tensor of one value per token.
absl::Status CheckLength(absl::string_view name, const Tensor& tensor, size_t tokens) {
  if (tensor.shape.size() != 1) {
    return VectorsFault(name, absl::StrCat("has ", tensor.shape.size(), " dimensions, not 1"));
  }
  if (tensor.shape[0] == tokens) return absl::OkStatus();
  return VectorsFault(name,
                      absl::StrCat("holds ", tensor.shape[0], " values for ", tokens, " tokens"));
}

const Tensor* FindOrNull(const SafeTensors& tensors, const char* name) {
  const auto found = tensors.Find(name);
  return found.ok() ? *found : nullptr;
}

}  // namespace

absl::StatusOr<TokenVectors> TokenVectors::Create(const SafeTensors& tensors, bool bytes_stay) {
  const auto embeddings = tensors.Find("embeddings");
  if (!embeddings.ok()) return absl::InvalidArgumentError(embeddings.status().message());

  TokenVectors result;
  absl::Status status = result.SetEmbeddings(**embeddings, bytes_stay);
  const Tensor* mapping = FindOrNull(tensors, "mapping");
  if (status.ok() && mapping != nullptr) status = result.SetMapping(*mapping);
  if (status.ok() && mapping == nullptr) {
    result.tokens_.reserve(result.rows_);
    for (uint32_t row = 0; row < result.rows_; ++row) result.tokens_.push_back({row, 1.0f});
  }
  const Tensor* weights = FindOrNull(tensors, "weights");
  if (status.ok() && weights != nullptr) status = result.SetWeights(*weights);
  if (!status.ok()) return status;
  return result;
}

absl::Status TokenVectors::SetEmbeddings(const Tensor& tensor, bool bytes_stay) {
  if (tensor.shape.size() != 2) {
    return VectorsFault("embeddings",
                        absl::StrCat("has ", tensor.shape.size(), " dimensions, not 2"));
  }
  const uint64_t rows = tensor.shape[0];
  const uint64_t dim = tensor.shape[1];
  if (dim == 0 || dim > kMaxDim) {
    return VectorsFault("embeddings", absl::StrCat("dimension ", dim, " is not in 1..", kMaxDim));
  }
  if (rows == 0 || rows > std::numeric_limits<uint32_t>::max()) {
    return VectorsFault("embeddings", absl::StrCat(rows, " rows are not in 1..2^32-1"));
  }

  const kernels::AccumulateKernels& kernels = kernels::GetAccumulateKernels();
  absl::Status status;
  switch (tensor.type) {
    case TensorType::kF32:
      accumulate_ = kernels.rows_f32;
      status = CheckValues<Float32>("embeddings", tensor, dim);
      break;
    case TensorType::kF16:
      accumulate_ = kernels.rows_f16;
      status = CheckValues<Float16>("embeddings", tensor, dim);
      break;
    case TensorType::kI8:
      accumulate_ = kernels.rows_i8;
      break;
    default:
      return VectorsFault("embeddings", "is neither F32, F16 nor I8");
  }
  if (!status.ok()) return status;

  rows_ = rows;
  dim_ = dim;
  embeddings_ = tensor.bytes.data();
  if (!bytes_stay) {
    copy_ = std::make_unique_for_overwrite<char[]>(tensor.bytes.size());
    std::memcpy(copy_.get(), tensor.bytes.data(), tensor.bytes.size());
    embeddings_ = copy_.get();
  }
  return absl::OkStatus();
}

absl::Status TokenVectors::SetMapping(const Tensor& tensor) {
  const bool narrow = tensor.type == TensorType::kI32;
  if (!narrow && tensor.type != TensorType::kI64) {
    return VectorsFault("mapping", "is neither I32 nor I64");
  }
  const uint64_t n = tensor.elements();
  if (n > std::numeric_limits<uint32_t>::max())
    return VectorsFault("mapping", "is longer than 2^32-1");
  absl::Status status = CheckLength("mapping", tensor, n);
  if (!status.ok()) return status;

  tokens_.reserve(n);
  const char* bytes = tensor.bytes.data();
  for (size_t i = 0; i < n; ++i) {
    const int64_t row = narrow ? Read<int32_t>(bytes, i) : Read<int64_t>(bytes, i);
    if (row < 0 || row >= static_cast<int64_t>(rows_)) {
      return VectorsFault("mapping", absl::StrCat("row ", row, " of token ", i, " is outside the ",
                                                  rows_, " rows of embeddings"));
    }
    tokens_.push_back({static_cast<uint32_t>(row), 1.0f});
  }
  return absl::OkStatus();
}

absl::Status TokenVectors::SetWeights(const Tensor& tensor) {
  const bool narrow = tensor.type == TensorType::kF32;
  if (!narrow && tensor.type != TensorType::kF64) {
    return VectorsFault("weights", "is neither F32 nor F64");
  }
  absl::Status status = CheckLength("weights", tensor, tokens_.size());
  if (status.ok()) {
    status = narrow ? CheckValues<Float32>("weights", tensor, 1)
                    : CheckValues<Float64>("weights", tensor, 1);
  }
  if (!status.ok()) return status;

  const char* bytes = tensor.bytes.data();
  for (size_t i = 0; i < tokens_.size(); ++i) {
    tokens_[i].weight = narrow ? Read<float>(bytes, i) : static_cast<float>(Read<double>(bytes, i));
  }
  return absl::OkStatus();
}

}  // namespace cairn::engine
