// The time of benchmarks.
#ifndef CAIRN_ENGINE_MODEL_BENCHMARK_CLOCK_H_
#define CAIRN_ENGINE_MODEL_BENCHMARK_CLOCK_H_

#include <chrono>

namespace cairn::engine {

// Since an unknown moment.
inline double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_BENCHMARK_CLOCK_H_
