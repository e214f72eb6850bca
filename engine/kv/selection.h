// Choosing rows by score.
#ifndef CAIRN_ENGINE_KV_SELECTION_H_
#define CAIRN_ENGINE_KV_SELECTION_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "engine/kv/reuse_policy.h"

namespace cairn::engine {

// All rows of the chunks, ascending.
std::vector<uint32_t> AllRows(absl::Span<const BlendChunk> chunks);

// The `count` of `rows` with the highest `scores` [rows], ascending; of equals the earlier.
std::vector<uint32_t> HighestRows(absl::Span<const uint32_t> rows, absl::Span<const float> scores,
                                  size_t count);

// `share` of `rows`, rounded up, and no more than there are.
size_t CountOf(double share, size_t rows);

// deviations [rows]: |computed - cached|^2 over a row's keys, its values, or both (CacheBlend).
std::vector<float> Deviations(const LayerView& view, bool keys, bool values);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_SELECTION_H_
