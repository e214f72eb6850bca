// Block-max MaxScore over the posting lists of one index part.
#ifndef CAIRN_INDEX_LEXICAL_SEARCH_H_
#define CAIRN_INDEX_LEXICAL_SEARCH_H_

#include <cstddef>
#include <vector>

#include "absl/types/span.h"
#include "index/lexical_tail.h"
#include "index/posting_store.h"
#include "index/slot_set.h"

namespace cairn::index {

// LexicalTail::Search. `lengths` by slot; `stats` may be null. Safe to run concurrently.
//
// The slots are visited in ascending windows. In each, every term has an upper bound from its
// blocks there; the terms of the smallest bounds that together cannot beat the k-th best score are
// "non-essential". Only the postings of the others are scored one after the other, into an
// array over the window; the slots whose sum could still win are then completed by looking them
// up in the non-essential lists, largest bound first (Turtle and Flood 1995; Chakrabarti et al.
// 2011; the windows follow Lucene's MaxScoreBulkScorer).
std::vector<ScoredSlot> SearchBlockMax(const PostingStore& store,
                                       absl::Span<const uint32_t> lengths,
                                       const LexicalQuery& query, size_t k, const SlotSet& allowed,
                                       LexicalSearchStats* stats);

}  // namespace cairn::index

#endif  // CAIRN_INDEX_LEXICAL_SEARCH_H_
