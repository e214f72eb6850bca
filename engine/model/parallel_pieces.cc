#include "engine/model/parallel_pieces.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

namespace cairn::engine {

void ForEachPiece(size_t pieces, size_t threads, absl::FunctionRef<void(size_t)> work) {
  std::atomic<size_t> next = 0;
  const auto take = [&] {
    for (size_t i = next++; i < pieces; i = next++) work(i);
  };
  std::vector<std::thread> others;
  for (size_t i = 1; i < std::min(threads, pieces); ++i) others.emplace_back(take);
  take();
  for (std::thread& thread : others) thread.join();
}

}  // namespace cairn::engine
