// What a KV blob is worth keeping.
#ifndef CAIRN_ENGINE_KV_KV_EVICTION_H_
#define CAIRN_ENGINE_KV_KV_EVICTION_H_

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "absl/time/time.h"

namespace cairn::engine {

// GreedyDual-Size-Frequency (L. Cherkasova, "Improving WWW proxies performance with
// Greedy-Dual-Size-Frequency caching policy", HP Labs HPL-98-69R1, 1998): when a blob is used its
// priority becomes
//
//   H = L + uses * seconds / MiB
//
// with the seconds it cost to compute, its size, and how often it was used; the blob of the least H
// is evicted, and L, which begins at 0, becomes that H. So what was valuable once, and is used no
// more, is overtaken in the end. Here a use counts half after each half-life besides, so that a
// blob that was in fashion long ago must earn its place again when it comes back.

// How often a blob was used, as of `now_ms`.
inline double KvUses(double uses, int64_t last_use_ms, int64_t now_ms, absl::Duration half_life) {
  const double elapsed = static_cast<double>(std::max<int64_t>(now_ms - last_use_ms, 0));
  const double half = std::max(absl::ToDoubleMilliseconds(half_life), 1.0);
  return uses * std::exp2(-elapsed / half);
}

inline double KvPriority(double inflation, double uses, double seconds, uint64_t bytes) {
  // Nothing is free: at least the call is made.
  constexpr double kLeastSeconds = 1e-3;
  const double mib = static_cast<double>(std::max<uint64_t>(bytes, 1)) / (1 << 20);
  return inflation + uses * std::max(seconds, kLeastSeconds) / mib;
}

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_KV_EVICTION_H_
