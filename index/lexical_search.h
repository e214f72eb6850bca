// Block-max MaxScore over the posting lists of one index part.
#ifndef CAIRN_INDEX_LEXICAL_SEARCH_H_
#define CAIRN_INDEX_LEXICAL_SEARCH_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "index/cancellation.h"
#include "index/lexical_tail.h"
#include "index/posting_source.h"
#include "index/slot_set.h"
#include "kernels/top_k.h"

namespace cairn::index {

// Offers to *top every allowed slot of one part that can win, as base + slot. What *top, whose size
// is k, holds already prunes from the start: so several parts have one top k. They must be searched
// in ascending order of base, for ties to go to the smaller slot. `lengths` and `allowed` by slot;
// `stats` may be null. Ends early when `cancellation` (may be null) says so. Safe to run
// concurrently, with a collector each.
//
// The slots are visited in ascending windows. In each, every term has an upper bound from its
// blocks there; the terms of the smallest bounds that together cannot beat the k-th best score are
// "non-essential". Only the postings of the others are scored one after the other, into an
// array over the window; the slots whose sum could still win are then completed by looking them
// up in the non-essential lists, largest bound first (Turtle and Flood 1995; Chakrabarti et al.
// 2011; the windows follow Lucene's MaxScoreBulkScorer).
void SearchBlockMax(const PostingSource& postings, absl::Span<const uint32_t> lengths,
                    const LexicalQuery& query, const SlotSet& allowed, uint32_t base,
                    kernels::TopK* top, size_t k, LexicalSearchStats* stats,
                    const Cancellation* cancellation = nullptr);

}  // namespace cairn::index

#endif  // CAIRN_INDEX_LEXICAL_SEARCH_H_
