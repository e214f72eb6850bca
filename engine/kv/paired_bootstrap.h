// How sure a difference between two systems is that answered the same questions.
#ifndef CAIRN_ENGINE_KV_PAIRED_BOOTSTRAP_H_
#define CAIRN_ENGINE_KV_PAIRED_BOOTSTRAP_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"

namespace cairn::engine {

struct MeanInterval {
  double mean = 0;
  double low = 0;   // 2.5th percentile of the means of resampled differences,
  double high = 0;  // and the 97.5th.
};

// Of the mean of `differences`, question by question: `resamples` (at least 40) times as many are
// drawn with replacement. Equal arguments give equal results. All 0 where there are none.
MeanInterval PairedBootstrap(absl::Span<const float> differences, size_t resamples, uint64_t seed);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_PAIRED_BOOTSTRAP_H_
