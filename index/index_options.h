// How an index is kept: when tails are sealed and segments merged.
#ifndef CAIRN_INDEX_INDEX_OPTIONS_H_
#define CAIRN_INDEX_INDEX_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/time/time.h"
#include "index/segment/vector_writer.h"

namespace cairn::index {

inline std::string_view VectorIndexKindName(VectorIndexKind kind) {
  switch (kind) {
    case VectorIndexKind::kFlat:
      return "flat";
    case VectorIndexKind::kHnsw:
      return "hnsw";
    case VectorIndexKind::kIvfPq:
      return "ivf-pq";
  }
  return "unknown";
}

struct IndexOptions {
  // A tail with this many chunks is sealed into a segment; during a bulk load, with that many.
  size_t seal_chunks = 32 << 10;
  size_t bulk_seal_chunks = 256 << 10;
  // Writers wait while more tails than this are yet to be sealed.
  size_t max_waiting_tails = 2;
  // Neighbouring segments merged at once, when the largest is at most twice the average.
  size_t merge_factor = 4;
  size_t max_merged_chunks = 1 << 20;
  // A segment is built anew when more than this share of its chunks is dead.
  double max_dead_share = 0.4;
  // Rows read into one tail where segments are missing.
  size_t rebuild_chunks = 128 << 10;
  // Of segment files while they are built in the background; 0: no limit.
  uint64_t bytes_per_second = uint64_t{256} << 20;
  // A build does not begin when less than this would be left free.
  uint64_t min_free_bytes = uint64_t{128} << 20;
  int threads = 2;
  absl::Duration retry_after = absl::Seconds(10);  // After a job failed.
  // Encoding and kind come from the collection's settings.
  VectorIndexOptions vectors;
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_INDEX_OPTIONS_H_
