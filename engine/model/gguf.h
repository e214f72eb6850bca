// Reader of the GGUF format, versions 2 and 3, little-endian.
#ifndef CAIRN_ENGINE_MODEL_GGUF_H_
#define CAIRN_ENGINE_MODEL_GGUF_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/model/checkpoint.h"

namespace cairn::engine {

// Types of metadata, by their numbers in the file.
enum class GgufType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};
std::string_view GgufTypeName(GgufType type);  // "uint32", "string", ...

// One value of the metadata, as it lies in the file: a scalar's bytes, a string's text, or an
// array's elements without their type and count.
struct GgufValue {
  GgufType type = GgufType::kU8;
  GgufType element = GgufType::kU8;  // kArray: never kArray itself.
  uint64_t count = 1;                // kArray: elements.
  std::string_view bytes;            // Checked to hold them all.

  // Integers of any width; nothing for other types and for what does not fit.
  std::optional<uint64_t> AsUnsigned() const;
  std::optional<double> AsReal() const;  // kF32, kF64; finite.
  std::optional<bool> AsBool() const;
  std::optional<std::string_view> AsString() const;
  // Arrays. Views into the file; nothing for other elements.
  std::optional<std::vector<std::string_view>> AsStrings() const;
  std::optional<std::vector<float>> AsFloats() const;  // Of kF32.
  std::optional<std::vector<int32_t>> AsInts() const;  // Of kI32 and kU32, as far as they fit.
  std::optional<std::vector<bool>> AsBools() const;
};

struct GgufEntry {
  std::string_view key;
  GgufValue value;
};

struct GgufTensor {
  std::string_view name;
  TensorView view;
};

// The contents of one file. Views into the bytes parsed, which must outlive it. Immutable.
class Gguf {
 public:
  // Takes nothing of the file on trust: counts and lengths are held against the bytes that are
  // left, before memory is taken and without overflow; keys and tensor names occur once; the
  // alignment is a power of two; every tensor has one to four dimensions, whole blocks in its rows
  // and a known format, and lies aligned, within the file and apart from the others. Memory is at
  // most a few times the metadata's size. InvalidArgument saying what is wrong.
  static absl::StatusOr<Gguf> Parse(std::string_view file);

  uint32_t version() const { return version_; }
  uint64_t alignment() const { return alignment_; }
  // All before the tensors' data, so everything but the weights.
  std::string_view header() const { return header_; }

  const std::vector<GgufEntry>& metadata() const { return metadata_; }  // In the file's order.
  const std::vector<GgufTensor>& tensors() const { return tensors_; }   // In the file's order.

  // Null where absent.
  const GgufValue* Find(std::string_view key) const;
  const GgufTensor* FindTensor(std::string_view name) const;

  // Nothing where the key is absent; InvalidArgument, naming it, where its type is another or the
  // value does not fit.
  absl::StatusOr<std::optional<uint32_t>> Unsigned(std::string_view key) const;
  absl::StatusOr<std::optional<float>> Real(std::string_view key) const;  // Integers too.
  absl::StatusOr<std::optional<bool>> Bool(std::string_view key) const;
  absl::StatusOr<std::optional<std::string_view>> String(std::string_view key) const;

 private:
  Gguf() = default;

  uint32_t version_ = 0;
  uint64_t alignment_ = 0;
  std::string_view header_;
  std::vector<GgufEntry> metadata_;
  std::vector<GgufTensor> tensors_;
  std::vector<uint32_t> by_key_;   // Into metadata_, ascending by key.
  std::vector<uint32_t> by_name_;  // Into tensors_, ascending by name.
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_GGUF_H_
