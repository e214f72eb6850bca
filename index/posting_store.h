// Posting lists of all terms of an in-memory index part.
#ifndef CAIRN_INDEX_POSTING_STORE_H_
#define CAIRN_INDEX_POSTING_STORE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "index/bm25.h"
#include "index/lexical_tail.h"
#include "index/posting_arena.h"
#include "index/slot_set.h"

namespace cairn::index {

// A full block of LexicalTail::kBlockSize postings.
struct PostingBlock {
  Slot first = 0;
  Slot last = 0;
  PostingArena::Ref data = PostingArena::kNone;
  ImpactFront<4> front;
};

// A run of postings as they lie in memory. Slots are either 16-bit distances from `first` (blocks
// that span less than 2^16 slots) or whole; exactly one of the two pointers is set.
struct PostingRun {
  Slot first = 0;
  const uint16_t* distances = nullptr;  // [size]
  const Slot* slots = nullptr;          // [size]
  const uint8_t* counts = nullptr;      // [size]; kSaturatedCount: see PostingStore::LargeCount.
  uint32_t size = 0;

  Slot slot(size_t i) const { return distances != nullptr ? first + distances[i] : slots[i]; }
};

// Lists only grow. Per posting of a frequent term 3 bytes and a share of its block's 24; 5 bytes
// for rare terms and in the last, unfinished block; a term with one posting has no memory of its
// own beyond its 16 bytes in the table.
//
// Thread-compatible: const methods may run concurrently, the others alone.
class PostingStore {
 public:
  // `lengths` are those of all slots up to and including `slot`, which is larger than any slot the
  // term has yet. `average_length` only tunes which bounds are kept.
  void Append(TermId term, Slot slot, uint32_t count, absl::Span<const uint32_t> lengths,
              float average_length);
  // Takes one posting out of the term's live count.
  void Remove(TermId term);

  uint32_t live(TermId term) const { return term < terms_.size() ? terms_[term].live : 0; }

  // All postings of a term, live or not.
  struct List {
    absl::Span<const PostingBlock> blocks;
    const ImpactFront<8>* front = nullptr;  // Of all blocks; null if there are none.
    PostingRun tail;                        // Those after the last block, fewer than a block.
    bool empty() const { return blocks.empty() && tail.size == 0; }
  };
  List Find(TermId term) const;
  PostingRun Load(const PostingBlock& block) const;
  // The count of a posting whose byte is kSaturatedCount.
  uint32_t LargeCount(TermId term, Slot slot) const;

  size_t MemoryBytes() const;

 private:
  struct Term {
    uint32_t size = 0;  // Postings.
    uint32_t live = 0;
    uint32_t tail = PostingArena::kNone;  // With size 1 the slot itself, else a piece of the arena.
    union {
      uint32_t long_list = 0;  // With size >= kBlockSize: position in long_lists_.
      uint8_t single_count;    // With size 1.
    };
  };
  struct LongList {
    std::vector<PostingBlock> blocks;
    ImpactFront<8> front;
  };

  void GrowTail(Term& term, size_t from, size_t to);
  void SealBlock(Term& term, absl::Span<const uint32_t> lengths, float average_length);

  std::vector<Term> terms_;
  std::vector<LongList> long_lists_;
  PostingArena arena_;
  absl::flat_hash_map<uint64_t, uint32_t> large_counts_;  // By term << 32 | slot.
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_POSTING_STORE_H_
