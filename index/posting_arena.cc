#include "index/posting_arena.h"

#include <cassert>
#include <cstring>

namespace cairn::index {

PostingArena::Ref PostingArena::Allocate(size_t size_class) {
  assert(size_class < kSizes.size());
  if (const Ref ref = free_[size_class]; ref != kNone) {
    std::memcpy(&free_[size_class], At(ref), sizeof(Ref));
    return ref;
  }
  const size_t size = kSizes[size_class];
  if (kPageBytes - used_ < size) {
    assert(pages_.size() < kNone / kPageUnits);
    pages_.push_back(std::unique_ptr<uint8_t[]>(new uint8_t[kPageBytes]));
    used_ = 0;
  }
  const size_t unit = (pages_.size() - 1) * kPageUnits + used_ / kAlignment;
  used_ += size;
  return static_cast<Ref>(unit);
}

void PostingArena::Free(Ref ref, size_t size_class) {
  std::memcpy(At(ref), &free_[size_class], sizeof(Ref));
  free_[size_class] = ref;
}

size_t PostingArena::MemoryBytes() const {
  return pages_.size() * kPageBytes + pages_.capacity() * sizeof(pages_[0]);
}

}  // namespace cairn::index
