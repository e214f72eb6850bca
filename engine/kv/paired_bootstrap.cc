#include "engine/kv/paired_bootstrap.h"

#include <algorithm>
#include <random>
#include <vector>

namespace cairn::engine {

MeanInterval PairedBootstrap(absl::Span<const float> differences, size_t resamples, uint64_t seed) {
  MeanInterval interval;
  const size_t n = differences.size();
  if (n == 0) return interval;
  double sum = 0;
  for (float difference : differences) sum += difference;
  interval.mean = sum / static_cast<double>(n);
  std::mt19937_64 random(seed);
  std::vector<double> means(resamples);
  for (double& mean : means) {
    double drawn = 0;
    for (size_t i = 0; i < n; ++i) {
      // Lemire's reduction: std::uniform_int_distribution differs from library to library.
      drawn += differences[((random() >> 32) * n) >> 32];
    }
    mean = drawn / static_cast<double>(n);
  }
  std::sort(means.begin(), means.end());
  const size_t tail = resamples / 40;
  interval.low = means[tail];
  interval.high = means[resamples - 1 - tail];
  return interval;
}

}  // namespace cairn::engine
