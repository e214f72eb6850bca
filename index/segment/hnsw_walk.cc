#include "index/segment/hnsw_walk.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>

namespace cairn::index {
namespace {

constexpr size_t kLineBytes = 64;
// Nodes whose links are followed between two looks at the cancellation.
constexpr size_t kNodesBetweenLooks = 256;

void PrefetchRow(const LinkRows& links, uint32_t node) {
  const char* const row = reinterpret_cast<const char*>(links.Row(node));
  for (size_t byte = 0; byte < links.width * sizeof(uint32_t); byte += kLineBytes) {
    __builtin_prefetch(row + byte);
  }
}

}  // namespace

void Walk::Begin(size_t nodes, size_t ef) {
  if (visited_.size() < nodes) visited_.resize(nodes, 0);
  if (++epoch_ == 0) {
    std::fill(visited_.begin(), visited_.end(), uint8_t{0});
    epoch_ = 1;
  }
  nodes_ = nodes;
  ef_ = ef;
  if (pool_.size() < ef + 1) pool_.resize(ef + 1);
  size_ = 0;
}

void Walk::Add(const LinkRows& links, const WalkTarget& target, uint32_t node) {
  if (node >= nodes_ || visited_[node] == epoch_) return;
  visited_[node] = epoch_;
  const Slot slot = links.SlotOf(node);
  float score = 0;
  target.Score(&slot, 1, &score);
  Insert(WalkEntry(score, node));
}

size_t Walk::Insert(WalkEntry entry) {
  // A binary search that compiles to conditional moves: the first `low` entries are better.
  size_t low = 0;
  for (size_t n = size_; n > 0;) {
    const size_t half = (n + 1) / 2;
    low += pool_[low + half - 1] > entry ? half : 0;
    n -= half;
  }
  if (size_ == ef_ && low == size_) return low;
  const size_t moved = size_ - low - (size_ == ef_ ? 1 : 0);
  std::memmove(&pool_[low + 1], &pool_[low], moved * sizeof(WalkEntry));
  pool_[low] = entry;
  size_ = std::min(size_ + 1, ef_);
  return low;
}

void Walk::Run(const LinkRows& links, const WalkTarget& target) {
  assert(links.width <= kMaxRowLinks && links.nodes == nodes_);
  std::array<uint32_t, kMaxRowLinks> ids;
  std::array<Slot, kMaxRowLinks> slots;
  std::array<float, kMaxRowLinks> scores;
  size_t followed = 0;
  for (size_t next = 0; next < size_;) {
    if (pool_[next].marked()) {
      ++next;
      continue;
    }
    if (++followed % kNodesBetweenLooks == 0 && IsCancelled(target.cancellation)) return;
    pool_[next].Mark();
    const uint32_t* const row = links.Row(pool_[next].node());
    size_t count = 0;
    for (size_t i = 0; i < links.width && row[i] < links.nodes; ++i) {
      const uint32_t node = row[i];
      ids[count] = node;
      count += visited_[node] != epoch_ ? 1 : 0;
      visited_[node] = epoch_;
    }
    if (links.names != nullptr) {
      for (size_t i = 0; i < count; ++i) slots[i] = links.SlotOf(ids[i]);
    }
    target.Score(links.names != nullptr ? slots.data() : ids.data(), count, scores.data());
    for (size_t i = 0; i < count; ++i) {
      if (size_ == ef_ && !(scores[i] > pool_[size_ - 1].score())) continue;
      // Each kept node's links will be followed, unless better ones push it out before.
      PrefetchRow(links, ids[i]);
      next = std::min(next, Insert(WalkEntry(scores[i], ids[i])));
    }
  }
}

}  // namespace cairn::index
