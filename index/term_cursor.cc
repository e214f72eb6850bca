#include "index/term_cursor.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace cairn::index {
namespace {

// Branch-free binary search in sorted [size]; the first position of a value >= target.
template <typename T>
size_t FirstNotBelow(const T* values, size_t size, T target) {
  size_t at = 0;
  while (size > 1) {
    const size_t half = size / 2;
    at += half * (values[at + half - 1] < target);
    size -= half;
  }
  return at + (size == 1 && values[at] < target);
}

constexpr size_t kNear = 32;

// Where the kNear values around the place that an even spread over [0, span] gives `distance`
// begin.
size_t NearBegin(size_t size, uint32_t distance, uint32_t span) {
  const size_t guess = uint64_t{distance} * size / (uint64_t{span} + 1);
  return std::min(guess - std::min(guess, kNear / 2), size - kNear);
}

// FirstNotBelow that counts in a small range where the value is likely: no dependent loads, no
// unpredictable branch, two cache lines.
template <typename T>
size_t FirstNotBelowNear(const T* values, size_t size, T target, size_t begin) {
  T below = 0;
  for (size_t i = 0; i < kNear; ++i) below += values[begin + i] < target;
  if ((below > 0 || begin == 0) && (below < kNear || begin + kNear == size)) return begin + below;
  return FirstNotBelow(values, size, target);
}

template <typename SlotAt>
void ScoreRange(const Bm25Scorer& scorer, float scale, const uint32_t* lengths,
                const uint8_t* counts, size_t from, size_t to, SlotAt slot_at, float* out) {
  const Bm25Scorer::InverseCounts& inverse = Bm25Scorer::InverseCountTable();
  for (size_t i = from; i < to; ++i) {
    out[i - from] = Bm25Scorer::Score(scale, scorer.Norm(lengths[slot_at(i)]), inverse[counts[i]]);
  }
}

}  // namespace

TermCursor::TermCursor(const PostingSource& postings, absl::Span<const uint32_t> lengths,
                       const Bm25Scorer& scorer, const LexicalQuery::Term& term,
                       PostingScratch* scratch)
    : postings_(&postings),
      lengths_(lengths.data()),
      scorer_(&scorer),
      term_(term.term),
      scale_(scorer.Scale(term.weight)),
      scratch_(scratch),
      list_(postings.Find(term.term, scratch)) {
  blocks_ = list_.blocks.size();
  if (list_.front != nullptr) bound_ = scorer.Bound(scale_, *list_.front);
  if (const size_t n = list_.rest.size; n > 0) {
    ++blocks_;
    rest_last_ = list_.rest.slot(n - 1);
    std::array<float, LexicalTail::kBlockSize> scores;
    Score(list_.rest, 0, n, scores.data());
    for (size_t i = 0; i < n; ++i) rest_bound_ = std::max(rest_bound_, scores[i]);
    bound_ = std::max(bound_, rest_bound_);
  }
}

float TermCursor::Bound(size_t block) {
  if (block >= list_.blocks.size()) return rest_bound_;
  if (block != bounded_block_) {
    bounded_block_ = block;
    block_bound_ = scorer_->Bound(scale_, list_.blocks[block].front);
  }
  return block_bound_;
}

size_t TermCursor::Skip(size_t block, Slot slot) const {
  if (block >= blocks_ || last(block) >= slot) return block;
  // Gallop, then search between the last two steps.
  const PostingBlock* const data = list_.blocks.data();
  const size_t full = list_.blocks.size();
  size_t step = 1;
  while (block + step < full && data[block + step].last < slot) {
    block += step;
    step *= 2;
  }
  const auto* const found = std::lower_bound(
      data + std::min(block + 1, full), data + std::min(block + step, full), slot,
      [](const PostingBlock& candidate, Slot target) { return candidate.last < target; });
  block = found - data;
  if (block < full) return block;
  return full < blocks_ && rest_last_ >= slot ? full : blocks_;
}

size_t TermCursor::LowerBound(const PostingRun& run, size_t from, Slot slot) {
  if (run.distances == nullptr) {
    return from + FirstNotBelow(run.slots + from, run.size - from, slot);
  }
  if (slot <= run.first) return from;
  const Slot distance = slot - run.first;
  if (distance > UINT16_MAX) return run.size;
  return from +
         FirstNotBelow(run.distances + from, run.size - from, static_cast<uint16_t>(distance));
}

void TermCursor::Score(const PostingRun& run, size_t from, size_t to, float* out) const {
  if (run.distances != nullptr) {
    const uint32_t* const lengths = lengths_ + run.first;
    const uint16_t* const distances = run.distances;
    ScoreRange(
        *scorer_, scale_, lengths, run.counts, from, to,
        [distances](size_t i) { return distances[i]; }, out);
  } else {
    const Slot* const slots = run.slots;
    ScoreRange(
        *scorer_, scale_, lengths_, run.counts, from, to, [slots](size_t i) { return slots[i]; },
        out);
  }
  const void* large = std::memchr(run.counts + from, kSaturatedCount, to - from);
  while (large != nullptr) {
    const size_t i = static_cast<const uint8_t*>(large) - run.counts;
    const Slot slot = run.slot(i);
    out[i - from] = scorer_->ScoreOf(scale_, postings_->LargeCount(term_, slot), lengths_[slot]);
    large = std::memchr(run.counts + i + 1, kSaturatedCount, to - i - 1);
  }
}

float TermCursor::Lookup(size_t block, Slot slot) {
  const PostingRun& run = Load(block);
  size_t at = 0;
  if (run.distances != nullptr) {
    const uint32_t distance = slot - run.first;
    at = FirstNotBelowNear(run.distances, run.size, static_cast<uint16_t>(distance),
                           NearBegin(run.size, distance, last(block) - run.first));
  } else {
    at = FirstNotBelow(run.slots, run.size, slot);
  }
  if (at == run.size || run.slot(at) != slot) return -1.0f;
  float score = 0;
  Score(run, at, at + 1, &score);
  return score;
}

void TermCursor::PrefetchLookup(size_t block, Slot slot) {
  if (block == loaded_block_ || block >= list_.blocks.size()) return;
  if (const void* packed = postings_->Packed(list_.blocks[block])) {
    // 188 bytes: gaps of 9 bits and counts of 2. More is rare.
    for (size_t line = 0; line < 3; ++line) {
      __builtin_prefetch(static_cast<const char*>(packed) + 64 * line);
    }
    return;
  }
  const PostingRun run = postings_->Load(list_.blocks[block], scratch_);
  if (run.distances == nullptr) return;
  const size_t near = NearBegin(run.size, slot - run.first, last(block) - run.first);
  __builtin_prefetch(run.distances + near);
  __builtin_prefetch(run.distances + near + kNear - 1);
  __builtin_prefetch(run.counts + near + kNear / 2);
}

}  // namespace cairn::index
