#include "engine/kv/selection.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace cairn::engine {

std::vector<uint32_t> AllRows(absl::Span<const BlendChunk> chunks) {
  std::vector<uint32_t> rows;
  for (const BlendChunk& chunk : chunks) {
    for (uint32_t row = chunk.begin; row < chunk.end; ++row) rows.push_back(row);
  }
  return rows;
}

std::vector<uint32_t> HighestRows(absl::Span<const uint32_t> rows, absl::Span<const float> scores,
                                  size_t count) {
  std::vector<size_t> order(rows.size());
  std::iota(order.begin(), order.end(), size_t{0});
  count = std::min(count, order.size());
  std::nth_element(
      order.begin(), order.begin() + static_cast<ptrdiff_t>(count), order.end(),
      [&](size_t a, size_t b) { return scores[a] != scores[b] ? scores[a] > scores[b] : a < b; });
  std::vector<uint32_t> highest(count);
  for (size_t i = 0; i < count; ++i) highest[i] = rows[order[i]];
  std::sort(highest.begin(), highest.end());
  return highest;
}

size_t CountOf(double share, size_t rows) {
  return std::min(rows, static_cast<size_t>(std::ceil(share * static_cast<double>(rows) - 1e-9)));
}

std::vector<float> Deviations(const LayerView& view, bool keys, bool values) {
  std::vector<float> deviations(view.rows.size());
  const size_t width = view.rows.empty() ? 0 : view.keys.size() / view.rows.size();
  const auto add = [&](absl::Span<const float> computed, absl::Span<const float> cached) {
    for (size_t r = 0; r < view.rows.size(); ++r) {
      float sum = 0;
      for (size_t i = r * width; i < (r + 1) * width; ++i) {
        const float difference = computed[i] - cached[i];
        sum += difference * difference;
      }
      // A row that is no number is best computed.
      deviations[r] += std::isfinite(sum) ? sum : 3e38f;
    }
  };
  if (keys) add(view.keys, view.cached_keys);
  if (values) add(view.values, view.cached_values);
  return deviations;
}

}  // namespace cairn::engine
