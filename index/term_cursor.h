// One term's posting list during a search.
#ifndef CAIRN_INDEX_TERM_CURSOR_H_
#define CAIRN_INDEX_TERM_CURSOR_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "index/bm25.h"
#include "index/posting_source.h"
#include "index/slot_set.h"

namespace cairn::index {

// Scores and bounds of one query term. Works on block numbers: the list's full blocks and, as a
// last block, its rest. Refers to all that it is made of; the scratch is its own. Not thread-safe.
class TermCursor {
 public:
  TermCursor(const PostingSource& postings, absl::Span<const uint32_t> lengths,
             const Bm25Scorer& scorer, const LexicalQuery::Term& term, PostingScratch* scratch);

  size_t blocks() const { return blocks_; }
  Slot first(size_t block) const {
    return block < list_.blocks.size() ? list_.blocks[block].first : list_.rest.first;
  }
  Slot last(size_t block) const {
    return block < list_.blocks.size() ? list_.blocks[block].last : rest_last_;
  }

  // No score in the list, or in a block, is larger.
  float bound() const { return bound_; }
  float Bound(size_t block);

  // The first block from `block` on whose last slot is at least `slot`; blocks() if there is none.
  size_t Skip(size_t block, Slot slot) const;

  // Valid until the next call of this or Lookup.
  const PostingRun& Load(size_t block) {
    if (block >= list_.blocks.size()) return list_.rest;
    if (block != loaded_block_) {
      loaded_block_ = block;
      loaded_ = postings_->Load(list_.blocks[block], scratch_);
    }
    return loaded_;
  }
  // The first position of a run from `from` on whose slot is at least `slot`.
  static size_t LowerBound(const PostingRun& run, size_t from, Slot slot);

  // out[i - from] = score of posting i, for i in [from, to); to - from is at most a block.
  void Score(const PostingRun& run, size_t from, size_t to, float* out) const;

  // The score of `slot`, which lies within block `block`; -1 if it is not in the list.
  float Lookup(size_t block, Slot slot);
  // Starts to load what Lookup of the same will read.
  void PrefetchLookup(size_t block, Slot slot);

  // Where the scans of a search stand; each only moves up.
  size_t scan_block = 0;          // Postings scored one after the other.
  size_t probe_block = 0;         // Slots looked up while a window's candidates are completed.
  size_t final_block = 0;         // Slots looked up for their exact sums.
  size_t first_unread_block = 0;  // For statistics.

 private:
  const PostingSource* postings_;
  const uint32_t* lengths_;
  const Bm25Scorer* scorer_;
  TermId term_;
  float scale_;
  PostingScratch* scratch_;
  PostingSource::List list_;
  size_t blocks_ = 0;
  Slot rest_last_ = 0;
  float rest_bound_ = 0;
  float bound_ = 0;
  size_t loaded_block_ = SIZE_MAX;  // The block of loaded_.
  PostingRun loaded_;
  size_t bounded_block_ = SIZE_MAX;  // The block of block_bound_.
  float block_bound_ = 0;
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_TERM_CURSOR_H_
