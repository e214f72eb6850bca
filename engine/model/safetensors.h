// Reader of the safetensors format: 8-byte little-endian header length, JSON header, tensor bytes.
#ifndef CAIRN_ENGINE_MODEL_SAFETENSORS_H_
#define CAIRN_ENGINE_MODEL_SAFETENSORS_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace cairn::engine {

enum class TensorType : uint8_t { kF64, kF32, kF16, kBF16, kI64, kI32, kI16, kI8, kU8, kBool };

uint64_t BytesPerElement(TensorType type);
// As the format spells it: "F32".
std::string_view TensorTypeName(TensorType type);

struct Tensor {
  TensorType type = TensorType::kF32;
  std::vector<uint64_t> shape;  // Row-major; empty for a scalar.
  std::string_view bytes;       // Into the file's bytes; may be unaligned.

  uint64_t elements() const;
};

// The tensors of one file. Views into the bytes parsed, which must outlive it. Immutable.
class SafeTensors {
 public:
  // Follows the format's own safety rules: header at most 100 MB and within the file, no duplicate
  // keys, every tensor's size equal to its shape times its type (checked without overflow), offsets
  // in order, without overlap, covering the data completely. InvalidArgument saying what is wrong.
  static absl::StatusOr<SafeTensors> Parse(std::string_view file);

  // NotFound naming the tensor when absent.
  absl::StatusOr<const Tensor*> Find(std::string_view name) const;
  const std::map<std::string, Tensor, std::less<>>& tensors() const { return tensors_; }

 private:
  std::map<std::string, Tensor, std::less<>> tensors_;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_SAFETENSORS_H_
