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
#include "index/posting_source.h"
#include "index/slot_set.h"

namespace cairn::index {

// Lists only grow. Per posting of a frequent term 3 bytes and a share of its block's 24; 5 bytes
// for rare terms and in the last, unfinished block; a term with one posting has no memory of its
// own beyond its 12 bytes in the table.
//
// Thread-compatible: const methods may run concurrently, the others alone.
class PostingStore final : public PostingSource {
 public:
  // `lengths` are those of all slots up to and including `slot`, which is larger than any slot the
  // term has yet. `average_length` only tunes which bounds are kept.
  void Append(TermId term, Slot slot, uint32_t count, absl::Span<const uint32_t> lengths,
              float average_length);
  // These need no scratch: it may be null.
  List Find(TermId term, PostingScratch* scratch) const override;
  PostingRun Load(const PostingBlock& block, PostingScratch* scratch) const override;
  const void* Packed(const PostingBlock&) const override { return nullptr; }
  uint32_t LargeCount(TermId term, Slot slot) const override;
  void AppendTerms(std::vector<TermId>* out) const override;
  uint64_t Frequency(TermId term) const override {
    return term < terms_.size() ? terms_[term].size : 0;
  }

  size_t MemoryBytes() const;

 private:
  struct Term {
    uint32_t size = 0;                    // Postings.
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
