#include "chunking/text/vocabulary.h"

#include <algorithm>
#include <cassert>

namespace cairn::chunking {

void Vocabulary::Reserve(size_t tokens, size_t bytes) {
  arena_.reserve(bytes);
  size_t slots = 16;
  while (slots < tokens * 2) slots *= 2;
  if (slots > slots_.size()) Rehash(slots);
}

void Vocabulary::Rehash(size_t slots) {
  std::vector<Slot> old(slots);
  old.swap(slots_);
  mask_ = slots - 1;
  for (const Slot& slot : old) {
    if (slot.id == kNone) continue;
    size_t i = HashKey(&arena_[slot.offset], slot.size) & mask_;
    while (slots_[i].id != kNone) i = (i + 1) & mask_;
    slots_[i] = slot;
  }
}

bool Vocabulary::Insert(std::string_view token, uint32_t id) {
  assert(id != kNone && arena_.size() + token.size() < 0xFFFFFFFF);
  if (slots_.size() < (size_ + 1) * 2) Rehash(std::max<size_t>(16, slots_.size() * 2));
  const uint64_t hash = HashKey(token.data(), token.size());
  const uint32_t tag = static_cast<uint32_t>(hash >> 32);
  size_t i = hash & mask_;
  for (; slots_[i].id != kNone; i = (i + 1) & mask_) {
    const Slot& slot = slots_[i];
    if (slot.tag == tag && slot.size == token.size() &&
        EqualKeys(arena_.data() + slot.offset, token.data(), token.size())) {
      return false;
    }
  }
  slots_[i] = {tag, id, static_cast<uint32_t>(arena_.size()), static_cast<uint32_t>(token.size())};
  arena_.append(token);
  ++size_;
  longest_ = std::max(longest_, token.size());
  if (token.size() == 1) {
    single_bytes_[static_cast<uint8_t>(token[0])] = 1;
  } else if (token.size() > 1) {
    const size_t entry = token.size() < 4 ? PairIndex(token.data()) : QuadIndex(token.data());
    lengths_[entry] |= uint64_t{1} << (std::min<size_t>(token.size(), 64) - 1);
  }
  return true;
}

}  // namespace cairn::chunking
