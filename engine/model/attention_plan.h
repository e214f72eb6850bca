// Which query rows meet which tiles of keys and values, worked out once for all layers of a pass.
#ifndef CAIRN_ENGINE_MODEL_ATTENTION_PLAN_H_
#define CAIRN_ENGINE_MODEL_ATTENTION_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace cairn::engine {

// A sequence's rows in a pass.
struct PlannedSequence {
  const std::byte* const* pages = nullptr;  // Where its pages begin, in order.
  size_t first_row = 0;                     // Its rows are [first_row, first_row + slots.size()).
  absl::Span<const uint32_t> slots;         // Ascending; row i sees tokens [0, slots[i]].
};

// Rows that go through one run of tiles together, for each KV head.
struct AttentionJob {
  const std::byte* const* pages = nullptr;
  uint32_t first_part = 0;  // In AttentionPlan::parts.
  uint32_t parts = 0;       // Rows.
  uint32_t tile_begin = 0;
  uint32_t tile_end = 0;
};

// A row's part in a job: partial result number `ordinal` of the row.
struct AttentionPart {
  uint32_t row = 0;
  uint32_t ordinal = 0;
};

// What a row sees, and in how many partial results it ends.
struct AttentionRow {
  uint32_t first = 0;     // The first token it sees.
  uint32_t limit = 0;     // One past the last.
  uint32_t partials = 0;  // 1: its only job gives the result itself.
  uint32_t base = 0;      // Number of the partial results of all rows before it.
};

struct AttentionPlan {
  std::vector<AttentionJob> jobs;
  std::vector<AttentionPart> parts;
  std::vector<AttentionRow> rows;  // By row of the pass.
  size_t partials = 0;             // In all; 0: no merging.
};

// Plans the attention of `rows` rows in `sequences`, `group` query heads sharing a KV head.
//
// Sequences of one row (decoding) that begin with the same pages go through these together, as the
// rows of one product; a branching of prefixes is followed like a tree. Runs of tiles are split so
// that several threads can share a long context. `window`: tokens a row sees at most, 0 for all.
AttentionPlan PlanAttention(absl::Span<const PlannedSequence> sequences, size_t rows, size_t group,
                            size_t window);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_ATTENTION_PLAN_H_
