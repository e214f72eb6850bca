// Bounded collector of the best scores.
#ifndef CAIRN_KERNELS_TOP_K_H_
#define CAIRN_KERNELS_TOP_K_H_

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

namespace cairn::kernels {

// The k best of the pushed (score, slot) pairs: by score descending, then slot ascending, so that
// the result does not depend on the order of the pushes. Scores are not NaN; -0 equals 0. Memory
// grows with what is kept, not with k. Not thread-safe.
class TopK {
 public:
  struct Entry {
    float score = 0;
    uint32_t slot = 0;
    friend bool operator==(const Entry&, const Entry&) = default;
  };

  explicit TopK(size_t k) : k_(k) {
    if (k == 0) threshold_ = std::numeric_limits<float>::infinity();
  }

  // A score below this cannot enter any more; an equal one may, if its slot is small enough.
  // -infinity until k pairs are kept.
  float threshold() const { return threshold_; }
  size_t size() const { return heap_.size(); }

  void Push(float score, uint32_t slot) {
    if (score < threshold_) return;
    const uint64_t key = Key(score, slot);
    if (heap_.size() < k_) {
      heap_.push_back(key);
      std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
    } else if (k_ > 0 && key > heap_.front()) {
      ReplaceWorst(key);
    }
    if (k_ > 0 && heap_.size() == k_) threshold_ = Decode(heap_.front()).score;
  }

  // The kept pairs, best first. Leaves the collector empty.
  std::vector<Entry> TakeSorted() {
    std::sort(heap_.begin(), heap_.end(), std::greater<>());
    std::vector<Entry> result;
    result.reserve(heap_.size());
    for (uint64_t key : heap_) result.push_back(Decode(key));
    *this = TopK(k_);
    return result;
  }

 private:
  static constexpr uint32_t kSign = 0x80000000u;

  // Packs a pair so that the better pair is the larger integer: one comparison, no ties.
  static uint64_t Key(float score, uint32_t slot) {
    const uint32_t bits = std::bit_cast<uint32_t>(score + 0.0f);  // -0 becomes 0.
    const uint32_t ordered = (bits & kSign) != 0 ? ~bits : bits | kSign;
    return uint64_t{ordered} << 32 | static_cast<uint32_t>(~slot);
  }

  static Entry Decode(uint64_t key) {
    const uint32_t ordered = static_cast<uint32_t>(key >> 32);
    const uint32_t bits = (ordered & kSign) != 0 ? ordered & ~kSign : ~ordered;
    return {std::bit_cast<float>(bits), ~static_cast<uint32_t>(key)};
  }

  // One sift-down, where pop_heap and push_heap would be two passes.
  void ReplaceWorst(uint64_t key) {
    const size_t n = heap_.size();
    size_t hole = 0;
    for (size_t child = 1; child < n; child = 2 * hole + 1) {
      if (child + 1 < n && heap_[child + 1] < heap_[child]) ++child;
      if (heap_[child] >= key) break;
      heap_[hole] = heap_[child];
      hole = child;
    }
    heap_[hole] = key;
  }

  size_t k_;
  float threshold_ = -std::numeric_limits<float>::infinity();
  std::vector<uint64_t> heap_;  // Min-heap: the worst kept pair in front.
};

}  // namespace cairn::kernels

#endif  // CAIRN_KERNELS_TOP_K_H_
