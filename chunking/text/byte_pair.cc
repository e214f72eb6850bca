#include "chunking/text/byte_pair.h"

#include <cassert>

namespace cairn::chunking {

void MergeTable::Reserve(size_t merges) {
  size_t slots = 16;
  while (slots < merges * 2) slots *= 2;
  if (slots > slots_.size()) Rehash(slots);
}

void MergeTable::Rehash(size_t slots) {
  std::vector<Slot> old(slots);
  old.swap(slots_);
  mask_ = slots - 1;
  for (const Slot& slot : old) {
    if (slot.key == kFree) continue;
    size_t i = Hash(slot.key) & mask_;
    while (slots_[i].key != kFree) i = (i + 1) & mask_;
    slots_[i] = slot;
  }
}

void MergeTable::Insert(uint32_t left, uint32_t right, PairMerge merge) {
  assert(left != PairMerge::kNone);
  if (slots_.size() < (size_ + 1) * 2) Rehash(slots_.empty() ? 16 : slots_.size() * 2);
  const uint64_t key = uint64_t{left} << 32 | right;
  size_t i = Hash(key) & mask_;
  while (slots_[i].key != kFree && slots_[i].key != key) i = (i + 1) & mask_;
  if (slots_[i].key == kFree) ++size_;
  slots_[i] = {key, merge};
}

}  // namespace cairn::chunking
