#include "kernels/read_memory.h"

#include <cstring>

namespace cairn::kernels {

uint64_t ReadMemory(const void* data, size_t n) {
  const char* bytes = static_cast<const char*>(data);
  constexpr size_t kLanes = 8;  // A cache line.
  uint64_t sums[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes * 8 <= n; i += kLanes * 8) {
    uint64_t words[kLanes];
    std::memcpy(words, bytes + i, sizeof(words));
    for (size_t lane = 0; lane < kLanes; ++lane) sums[lane] ^= words[lane];
  }
  for (; i + 8 <= n; i += 8) {
    uint64_t word;
    std::memcpy(&word, bytes + i, 8);
    sums[0] ^= word;
  }
  uint64_t all = 0;
  for (uint64_t sum : sums) all ^= sum;
  return all;
}

}  // namespace cairn::kernels
