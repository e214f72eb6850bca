// The record that describes the vector sections of a segment.
#ifndef CAIRN_INDEX_SEGMENT_VECTOR_META_H_
#define CAIRN_INDEX_SEGMENT_VECTOR_META_H_

#include <cstddef>
#include <cstdint>

namespace cairn::index {

inline constexpr uint32_t kVectorVersion = 1;
inline constexpr size_t kMaxVectorDim = 65536;
inline constexpr uint64_t kMaxVectorSlots = (uint64_t{1} << 31) - 2;
inline constexpr size_t kPqCentroids = 256;  // Of each sub-quantizer: codes are bytes.

// Section::kVectorMeta; see docs/formats/segment-vectors.md.
struct VectorMeta {
  uint32_t version = kVectorVersion;
  uint8_t kind = 0;      // VectorIndexKind
  uint8_t encoding = 0;  // VectorEncoding
  uint16_t reserved = 0;
  uint32_t dim = 0;
  uint32_t links = 0;
  uint64_t slots = 0;
  uint64_t count = 0;
  uint32_t entry = 0;
  uint32_t levels = 0;
  uint32_t lists = 0;
  uint32_t code_bytes = 0;
};
static_assert(sizeof(VectorMeta) == 48);

}  // namespace cairn::index

#endif  // CAIRN_INDEX_SEGMENT_VECTOR_META_H_
