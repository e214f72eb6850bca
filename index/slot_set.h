// A dense set of slots.
#ifndef CAIRN_INDEX_SLOT_SET_H_
#define CAIRN_INDEX_SLOT_SET_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace cairn::index {

// A slot is a position inside one index part (the in-memory tail, later a segment): dense from 0,
// in ascending order of chunk id.
using Slot = uint32_t;
inline constexpr Slot kNoSlot = UINT32_MAX;

// Bitmap over slots [0, size()). Not thread-safe.
class SlotSet {
 public:
  SlotSet() = default;
  explicit SlotSet(size_t size, bool value = false) { Resize(size, value); }

  size_t size() const { return size_; }

  // Grows or shrinks; new slots take `value`.
  void Resize(size_t size, bool value = false) {
    const size_t old = size_;
    words_.resize((size + 63) / 64, 0);
    size_ = size;
    for (size_t i = old; value && i < size; ++i) Set(static_cast<Slot>(i));
    if (size % 64 != 0) words_.back() &= (uint64_t{1} << (size % 64)) - 1;
  }
  void Set(Slot slot) { words_[slot / 64] |= uint64_t{1} << (slot % 64); }
  void Clear(Slot slot) { words_[slot / 64] &= ~(uint64_t{1} << (slot % 64)); }
  bool Test(Slot slot) const { return (words_[slot / 64] >> (slot % 64)) & 1; }

  size_t Count() const {
    size_t n = 0;
    for (uint64_t w : words_) n += std::popcount(w);
    return n;
  }

  // Keeps only slots that are also in `other`, which has the same size.
  void IntersectWith(const SlotSet& other) {
    for (size_t i = 0; i < words_.size(); ++i) words_[i] &= other.words_[i];
  }

  // Bits beyond size() are 0.
  const std::vector<uint64_t>& words() const { return words_; }

 private:
  std::vector<uint64_t> words_;
  size_t size_ = 0;
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_SLOT_SET_H_
