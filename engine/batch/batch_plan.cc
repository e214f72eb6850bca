#include "engine/batch/batch_plan.h"

#include <algorithm>
#include <numeric>

namespace cairn::engine {

BatchLimits SharedLimits(const BatchLimits& limits, size_t items, size_t threads) {
  threads = std::max<size_t>(threads, 1);
  BatchLimits shared = limits;
  shared.max_items = std::clamp<size_t>((items + threads - 1) / threads, 1, limits.max_items);
  return shared;
}

std::vector<std::vector<size_t>> PlanBatches(absl::Span<const size_t> costs,
                                             const BatchLimits& limits) {
  std::vector<size_t> order(costs.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return costs[a] > costs[b]; });
  std::vector<std::vector<size_t>> batches;
  size_t cost = 0;  // Of the last batch.
  for (const size_t i : order) {
    const bool fits = !batches.empty() && batches.back().size() < limits.max_items &&
                      cost <= limits.max_cost && costs[i] <= limits.max_cost - cost;
    if (!fits) {
      batches.emplace_back();
      cost = 0;
    }
    batches.back().push_back(i);
    cost += costs[i];
  }
  return batches;
}

}  // namespace cairn::engine
