// Which texts go to a model together.
#ifndef CAIRN_ENGINE_BATCH_BATCH_PLAN_H_
#define CAIRN_ENGINE_BATCH_BATCH_PLAN_H_

#include <cstddef>
#include <vector>

#include "absl/types/span.h"

namespace cairn::engine {

// Of one call of a model. A text beyond max_cost goes alone.
struct BatchLimits {
  size_t max_items = 32;
  size_t max_cost = 4096;  // In the unit of the costs, e.g. tokens.
};

// The limits for `items` items that wait for `threads` threads: a few are shared between them.
BatchLimits SharedLimits(const BatchLimits& limits, size_t items, size_t threads);

// Cuts items of these costs into batches: each item's index once, items of like cost together, so
// that a model that pads loses little; the most expensive first, so that no long batch is left for
// the end. Equal costs keep their order.
std::vector<std::vector<size_t>> PlanBatches(absl::Span<const size_t> costs,
                                             const BatchLimits& limits);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_BATCH_BATCH_PLAN_H_
