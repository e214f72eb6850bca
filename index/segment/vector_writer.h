// Writes the vector sections of a segment (docs/formats/segment-vectors.md).
#ifndef CAIRN_INDEX_SEGMENT_VECTOR_WRITER_H_
#define CAIRN_INDEX_SEGMENT_VECTOR_WRITER_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "index/segment/section_file.h"
#include "index/slot_set.h"
#include "index/vector_encoding.h"
#include "index/work_control.h"

namespace cairn::index {

enum class VectorIndexKind : uint8_t { kFlat = 0, kHnsw = 1, kIvfPq = 2 };

struct VectorIndexOptions {
  // Of what searches read first; an IVF-PQ part has its own codes and always float32 here.
  VectorEncoding encoding = VectorEncoding::kInt8;
  // Of parts with at least flat_below vectors; smaller ones are flat.
  VectorIndexKind kind = VectorIndexKind::kHnsw;
  size_t flat_below = 16384;
  // HNSW: links of a node above level 0, half those on level 0 (M), in [2, 128]; and how many of
  // the nearest nodes an insertion looks for, in [1, 65536].
  int hnsw_links = 32;
  int hnsw_ef_construction = 64;
  // IVF-PQ: lists (0: four times the square root of the number of vectors) and bytes of a vector's
  // code, a divisor of the dimension (0: an eighth of the dimension, or its next divisor below).
  // Parts of fewer than 256 vectors are flat.
  size_t ivf_lists = 0;
  size_t ivf_code_bytes = 0;
  // Vectors to train on, at most, as a multiple of the lists: 32 need 200 MB for a million vectors
  // of 384 values.
  size_t ivf_training_points_per_list = 32;
};

// Vectors of a part under construction, read in order (possibly more than once).
class VectorSource {
 public:
  virtual ~VectorSource() = default;
  // Fills out [count][dim] for slots [begin, begin + count), and present[i]; absent ones are left
  // as they are.
  virtual absl::Status Read(Slot begin, size_t count, absl::Span<float> out,
                            absl::Span<uint8_t> present) = 0;
};

// Writes the vector sections of a part of `slots` chunks, dim in [1, 65536]. One thread; the same
// vectors and options give the same bytes. Memory: for HNSW about dim + 9 * links bytes for each
// slot, for IVF-PQ the training points, else little.
//
// InvalidArgument for options or sizes out of range and for a vector that is not of unit length;
// Cancelled soon after the control says so; errors of the source and of the writer pass through.
absl::Status WriteVectors(size_t slots, size_t dim, VectorSource* source,
                          const VectorIndexOptions& options, const WorkControl& control,
                          SectionWriter* out);

}  // namespace cairn::index

#endif  // CAIRN_INDEX_SEGMENT_VECTOR_WRITER_H_
