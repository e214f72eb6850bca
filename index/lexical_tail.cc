#include "index/lexical_tail.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "index/bm25.h"
#include "index/lexical_search.h"
#include "index/posting_store.h"
#include "kernels/top_k.h"

namespace cairn::index {

float Bm25Idf(uint64_t document_frequency, uint64_t live_chunks) {
  const double df = static_cast<double>(document_frequency);
  const double absent = std::max(static_cast<double>(live_chunks) - df, 0.0);
  return static_cast<float>(std::log1p((absent + 0.5) / (df + 0.5)));
}

struct LexicalTail::Impl {
  PostingStore postings;
  std::vector<uint32_t> lengths;  // By slot.
  uint64_t total_length = 0;
};

LexicalTail::LexicalTail() : impl_(std::make_unique<Impl>()) {}
LexicalTail::~LexicalTail() = default;
LexicalTail::LexicalTail(LexicalTail&&) noexcept = default;
LexicalTail& LexicalTail::operator=(LexicalTail&&) noexcept = default;

Slot LexicalTail::Append(uint32_t length, absl::Span<const TermCount> terms) {
  assert(impl_->lengths.size() < UINT32_MAX);
  const Slot slot = static_cast<Slot>(impl_->lengths.size());
  impl_->lengths.push_back(length);
  impl_->total_length += length;
  const float average_length =
      static_cast<float>(impl_->total_length) / static_cast<float>(impl_->lengths.size());
  for (const TermCount& term : terms) {
    assert(term.count > 0);
    impl_->postings.Append(term.term, slot, term.count, impl_->lengths, average_length);
  }
  return slot;
}

size_t LexicalTail::slots() const { return impl_->lengths.size(); }
uint64_t LexicalTail::DocumentFrequency(TermId term) const {
  return impl_->postings.Frequency(term);
}
uint64_t LexicalTail::total_length() const { return impl_->total_length; }
absl::Span<const uint32_t> LexicalTail::lengths() const { return impl_->lengths; }
const PostingSource& LexicalTail::postings() const { return impl_->postings; }

size_t LexicalTail::MemoryBytes() const {
  return sizeof(Impl) + impl_->lengths.capacity() * sizeof(uint32_t) +
         impl_->postings.MemoryBytes();
}

std::vector<ScoredSlot> LexicalTail::Search(const LexicalQuery& query, size_t k,
                                            const SlotSet& allowed,
                                            LexicalSearchStats* stats) const {
  kernels::TopK top(k);
  SearchBlockMax(impl_->postings, impl_->lengths, query, allowed, 0, &top, k, stats);
  std::vector<ScoredSlot> results;
  results.reserve(top.size());
  for (const kernels::TopK::Entry& entry : top.TakeSorted()) {
    results.push_back({entry.slot, entry.score});
  }
  return results;
}

std::vector<ScoredSlot> LexicalTail::SearchExhaustively(const LexicalQuery& query, size_t k,
                                                        const SlotSet& allowed) const {
  assert(allowed.size() == slots());
  const Bm25Scorer scorer(query.bm25, query.average_length);
  std::vector<float> sums(slots(), 0.0f);
  SlotSet matched(slots());
  for (const LexicalQuery::Term& term : query.terms) {
    const float scale = scorer.Scale(term.weight);
    const auto add = [&](const PostingRun& run) {
      for (size_t i = 0; i < run.size; ++i) {
        const Slot slot = run.slot(i);
        const uint32_t count = run.counts[i] == kSaturatedCount
                                   ? impl_->postings.LargeCount(term.term, slot)
                                   : run.counts[i];
        sums[slot] += scorer.ScoreOf(scale, count, impl_->lengths[slot]);
        matched.Set(slot);
      }
    };
    const PostingSource::List list = impl_->postings.Find(term.term, nullptr);
    for (const PostingBlock& block : list.blocks) add(impl_->postings.Load(block, nullptr));
    add(list.rest);
  }
  matched.IntersectWith(allowed);
  std::vector<ScoredSlot> results;
  for (size_t slot = 0; slot < slots(); ++slot) {
    if (matched.Test(static_cast<Slot>(slot))) {
      results.push_back({static_cast<Slot>(slot), sums[slot]});
    }
  }
  const size_t kept = std::min(k, results.size());
  std::partial_sort(results.begin(), results.begin() + kept, results.end(),
                    [](const ScoredSlot& a, const ScoredSlot& b) {
                      return a.score != b.score ? a.score > b.score : a.slot < b.slot;
                    });
  results.resize(kept);
  return results;
}

}  // namespace cairn::index
