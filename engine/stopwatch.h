// Times stages one after another.
#ifndef CAIRN_ENGINE_STOPWATCH_H_
#define CAIRN_ENGINE_STOPWATCH_H_

#include <chrono>
#include <utility>

namespace cairn::engine {

class Stopwatch {
 public:
  // Microseconds since the last call, or since construction.
  double Lap() {
    const auto now = std::chrono::steady_clock::now();
    return std::chrono::duration<double, std::micro>(now - std::exchange(last_, now)).count();
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_STOPWATCH_H_
