#include "index/posting_store.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>

#include "index/impact_front.h"

namespace cairn::index {
namespace {

// An unfinished block is slots [capacity], then counts [capacity], in a piece whose class follows
// from the number of postings. A finished one is distances or slots, then counts, of kPostingBlock.
constexpr size_t kTailBytesPerPosting = sizeof(Slot) + 1;
constexpr size_t kWideClass = 11;   // 128 * (4 + 1) bytes
constexpr size_t kNarrowClass = 9;  // 128 * (2 + 1) bytes
// From this many postings on, the unfinished block has its full size at once: what is unused is
// little beside the finished blocks.
constexpr size_t kFullTailFrom = 8 * kPostingBlock;

static_assert(PostingArena::kSizes[kWideClass] == kPostingBlock * kTailBytesPerPosting);
static_assert(PostingArena::kSizes[kNarrowClass] == kPostingBlock * (sizeof(uint16_t) + 1));

constexpr size_t Capacity(size_t size_class) {
  return PostingArena::kSizes[size_class] / kTailBytesPerPosting;
}

// The smallest class that holds n postings, by n.
constexpr auto kTailClass = [] {
  std::array<uint8_t, kPostingBlock + 1> classes = {};
  uint8_t size_class = 0;
  for (size_t n = 0; n <= kPostingBlock; ++n) {
    while (Capacity(size_class) < n) ++size_class;
    classes[n] = size_class;
  }
  return classes;
}();

// Class of the unfinished block's piece when the list has `size` postings, `n` of them in it.
size_t TailClass(size_t size, size_t n) {
  return size >= kFullTailFrom ? kWideClass : kTailClass[n];
}

uint64_t LargeCountKey(TermId term, Slot slot) { return uint64_t{term} << 32 | slot; }

}  // namespace

void PostingStore::Append(TermId term_id, Slot slot, uint32_t count,
                          absl::Span<const uint32_t> lengths, float average_length) {
  if (term_id >= terms_.size()) terms_.resize(size_t{term_id} + 1);
  Term& term = terms_[term_id];
  const uint8_t byte = static_cast<uint8_t>(std::min<uint32_t>(count, kSaturatedCount));
  if (byte == kSaturatedCount) large_counts_[LargeCountKey(term_id, slot)] = count;
  if (term.size == 0) {
    term.size = 1;
    term.tail = slot;
    term.single_count = byte;
    return;
  }
  const size_t n = term.size % kPostingBlock;
  const size_t old_class = TailClass(term.size, n);
  const size_t new_class = TailClass(term.size + 1, n + 1);
  if (term.size == 1) {
    const Slot single_slot = term.tail;
    const uint8_t single_count = term.single_count;
    term.tail = arena_.Allocate(new_class);
    uint8_t* piece = arena_.At(term.tail);
    reinterpret_cast<Slot*>(piece)[0] = single_slot;
    piece[Capacity(new_class) * sizeof(Slot)] = single_count;
  } else if (term.tail == PostingArena::kNone) {
    term.tail = arena_.Allocate(new_class);
  } else if (old_class != new_class) {
    GrowTail(term, old_class, new_class);
  }
  uint8_t* piece = arena_.At(term.tail);
  reinterpret_cast<Slot*>(piece)[n] = slot;
  piece[Capacity(new_class) * sizeof(Slot) + n] = byte;
  ++term.size;
  if (n + 1 == kPostingBlock) SealBlock(term, lengths, average_length);
}

// Moves the unfinished block into a piece of a larger class. Called before term.size grows.
void PostingStore::GrowTail(Term& term, size_t from, size_t to) {
  const size_t n = term.size % kPostingBlock;
  const PostingArena::Ref ref = arena_.Allocate(to);
  uint8_t* out = arena_.At(ref);
  const uint8_t* in = arena_.At(term.tail);
  std::memcpy(out, in, n * sizeof(Slot));
  std::memcpy(out + Capacity(to) * sizeof(Slot), in + Capacity(from) * sizeof(Slot), n);
  arena_.Free(term.tail, from);
  term.tail = ref;
}

void PostingStore::SealBlock(Term& term, absl::Span<const uint32_t> lengths, float average_length) {
  if (term.size == kPostingBlock) {
    term.long_list = static_cast<uint32_t>(long_lists_.size());
    long_lists_.emplace_back();
  }
  LongList& list = long_lists_[term.long_list];
  uint8_t* piece = arena_.At(term.tail);
  const Slot* slots = reinterpret_cast<const Slot*>(piece);
  const uint8_t* counts = piece + kPostingBlock * sizeof(Slot);

  PostingBlock block;
  block.first = slots[0];
  block.last = slots[kPostingBlock - 1];
  ImpactSet impacts;
  for (size_t i = 0; i < kPostingBlock; ++i) impacts.Add(MakeImpact(counts[i], lengths[slots[i]]));
  block.front = impacts.Shorten<4>(average_length);
  if (!list.blocks.empty()) impacts.AddAll(list.front);
  list.front = impacts.Shorten<8>(average_length);

  if (block.last - block.first <= UINT16_MAX) {
    block.data = arena_.Allocate(kNarrowClass);
    uint8_t* out = arena_.At(block.data);
    uint16_t* distances = reinterpret_cast<uint16_t*>(out);
    for (size_t i = 0; i < kPostingBlock; ++i) {
      distances[i] = static_cast<uint16_t>(slots[i] - block.first);
    }
    std::memcpy(out + kPostingBlock * sizeof(uint16_t), counts, kPostingBlock);
    if (term.size < kFullTailFrom) {
      arena_.Free(term.tail, kWideClass);
      term.tail = PostingArena::kNone;
    }
  } else {
    block.data = term.tail;  // Already in the wide layout.
    term.tail = PostingArena::kNone;
  }
  list.blocks.push_back(block);
}

PostingSource::List PostingStore::Find(TermId term_id, PostingScratch*) const {
  List list;
  if (term_id >= terms_.size()) return list;
  const Term& term = terms_[term_id];
  if (term.size == 1) {
    list.rest = {term.tail, nullptr, &term.tail, &term.single_count, 1};
    return list;
  }
  if (term.size >= kPostingBlock) {
    list.blocks = long_lists_[term.long_list].blocks;
    list.front = &long_lists_[term.long_list].front;
  }
  if (const size_t n = term.size % kPostingBlock; n > 0) {
    const uint8_t* piece = arena_.At(term.tail);
    const Slot* slots = reinterpret_cast<const Slot*>(piece);
    const uint8_t* counts = piece + Capacity(TailClass(term.size, n)) * sizeof(Slot);
    list.rest = {slots[0], nullptr, slots, counts, static_cast<uint32_t>(n)};
  }
  return list;
}

PostingRun PostingStore::Load(const PostingBlock& block, PostingScratch*) const {
  const uint8_t* piece = arena_.At(block.data);
  PostingRun run;
  run.first = block.first;
  run.size = kPostingBlock;
  if (block.last - block.first <= UINT16_MAX) {
    run.distances = reinterpret_cast<const uint16_t*>(piece);
    run.counts = piece + kPostingBlock * sizeof(uint16_t);
  } else {
    run.slots = reinterpret_cast<const Slot*>(piece);
    run.counts = piece + kPostingBlock * sizeof(Slot);
  }
  return run;
}

uint32_t PostingStore::LargeCount(TermId term, Slot slot) const {
  const auto it = large_counts_.find(LargeCountKey(term, slot));
  assert(it != large_counts_.end());
  return it->second;
}

void PostingStore::AppendTerms(std::vector<TermId>* out) const {
  for (size_t term = 0; term < terms_.size(); ++term) {
    if (terms_[term].size > 0) out->push_back(static_cast<TermId>(term));
  }
}

size_t PostingStore::MemoryBytes() const {
  size_t bytes = terms_.capacity() * sizeof(Term) + long_lists_.capacity() * sizeof(LongList) +
                 arena_.MemoryBytes() +
                 large_counts_.capacity() * (sizeof(uint64_t) + sizeof(uint32_t) + 1);
  for (const LongList& list : long_lists_) bytes += list.blocks.capacity() * sizeof(PostingBlock);
  return bytes;
}

}  // namespace cairn::index
