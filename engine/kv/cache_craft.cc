#include "engine/kv/cache_craft.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace cairn::engine {

double ContextImpact(const ChunkAttention& attention, size_t tokens) {
  const double n = static_cast<double>(std::max<size_t>(tokens, 1));
  double a = 0;
  for (const ChunkAttention::Before& chunk : attention.before) {
    a += chunk.inter / (n * std::max<uint32_t>(chunk.tokens, 1));
  }
  const double b = attention.intra / (n * n);
  return b > 0 ? 1 / (1 + std::exp(-a / b)) : 1;
}

double PrefixMatch(const ChunkAttention& attention, absl::Span<const uint64_t> before) {
  double total = 0, kept = 0;
  std::vector<size_t> places;  // Now, of the chunks that are in both, in their order then.
  for (const ChunkAttention::Before& chunk : attention.before) {
    total += chunk.inter;
    const auto found = std::find(before.begin(), before.end(), chunk.hash);
    if (found == before.end()) continue;
    kept += chunk.inter;
    places.push_back(static_cast<size_t>(found - before.begin()));
  }
  if (attention.before.empty() && !before.empty()) return 0;
  if (total <= 0) return 1;
  size_t pairs = 0, discordant = 0;
  for (size_t i = 0; i < places.size(); ++i) {
    for (size_t j = i + 1; j < places.size(); ++j) {
      ++pairs;
      discordant += places[i] > places[j];
    }
  }
  const double order =
      pairs == 0 ? 0 : static_cast<double>(discordant) / static_cast<double>(pairs);
  return kept / total * (1 - order);
}

double FixOverhead(const ChunkAttention& attention, size_t tokens,
                   absl::Span<const uint64_t> before, double alpha) {
  return std::clamp(alpha * ContextImpact(attention, tokens) * (1 - PrefixMatch(attention, before)),
                    0.0, 1.0);
}

VariantChoice BestVariant(absl::Span<const ChunkAttention* const> variants, size_t tokens,
                          absl::Span<const uint64_t> before, double alpha) {
  VariantChoice best = {.variant = 0, .overhead = 2};
  for (size_t i = 0; i < variants.size(); ++i) {
    const double overhead =
        variants[i] == nullptr ? 1 : FixOverhead(*variants[i], tokens, before, alpha);
    if (overhead < best.overhead) best = {.variant = i, .overhead = overhead};
  }
  return best;
}

}  // namespace cairn::engine
