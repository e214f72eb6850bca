#include "index/lexical_search.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "index/bm25.h"
#include "index/term_cursor.h"
#include "kernels/top_k.h"

namespace cairn::index {
namespace {

constexpr uint32_t kNoBlock = UINT32_MAX;
constexpr float kUnmatched = -1.0f;

// Slots that a window covers where several terms are essential.
constexpr size_t kWindowSlots = 4096;
// Terms looked at in a window each, between two looks at the cancellation: a few milliseconds.
constexpr size_t kTermWindowsBetweenLooks = 512;
// A term with more blocks than this in one window is bounded by its whole list.
constexpr size_t kMaxBoundedBlocks = 8;

// The first set bit at or after `slot`; kNoSlot if there is none.
Slot NextSet(const SlotSet& set, Slot slot) {
  if (slot >= set.size()) return kNoSlot;
  const std::vector<uint64_t>& words = set.words();
  size_t i = slot / 64;
  uint64_t word = words[i] & (~uint64_t{0} << (slot % 64));
  while (word == 0) {
    if (++i == words.size()) return kNoSlot;
    word = words[i];
  }
  return static_cast<Slot>(i * 64 + std::countr_zero(word));
}

class BlockMaxSearch {
 public:
  BlockMaxSearch(const PostingSource& postings, absl::Span<const uint32_t> lengths,
                 const LexicalQuery& query, const SlotSet& allowed, uint32_t base,
                 kernels::TopK* top, size_t k, const Cancellation* cancellation);

  void Run();
  LexicalSearchStats Stats() const;

 private:
  struct Bounded {
    size_t cursor = 0;
    float bound = 0;
    float prefix = 0;  // Sum of the bounds up to and including this one.
  };
  struct Window {
    Slot begin = 0;
    Slot end = 0;
  };

  // Asked once a window, or a window's part.
  bool Stopped();
  // Whether a slot whose score is at most `sum`, computed in any order, cannot enter.
  bool Loses(float sum) const { return sum * slack_ <= top_->threshold(); }

  static void SortByBound(std::vector<Bounded>* terms);
  size_t Partition(std::vector<Bounded>* terms) const;
  bool NextWindow(Slot from, Window* window);
  void BoundInWindow(const Window& window);
  void ScanOne(const Window& window);
  void ScanSeveral(const Window& window);
  void Accumulate(TermCursor& cursor, const Window& window, Slot base);
  void CollectAccumulated(Slot base, size_t words);
  template <typename Visit>
  void VisitPostings(TermCursor& cursor, const Window& window, Visit visit);
  void CompleteCandidates();
  void AddNonEssential(size_t position);
  float ExactScore(Slot slot);
  void MarkRead(TermCursor& cursor, size_t block);

  const SlotSet& allowed_;
  Bm25Scorer scorer_;
  const std::unique_ptr<PostingScratch[]> scratch_;  // One for each cursor; uninitialised.
  std::vector<TermCursor> cursors_;                  // In the query's order.
  float slack_;
  const uint32_t base_;
  kernels::TopK* const top_;
  const size_t k_;
  const Cancellation* const cancellation_;
  size_t term_windows_ = 0;  // Since the last look at it.

  // Ascending by the bound over the whole list, of which those before first_essential_in_list_
  // cannot make a winner by themselves.
  std::vector<Bounded> by_list_;
  size_t first_essential_in_list_ = 0;
  float partitioned_at_ = -std::numeric_limits<float>::infinity();
  // The same over the current window.
  std::vector<Bounded> by_window_;
  size_t first_essential_ = 0;

  // Candidates of the window in ascending order, and their sums so far.
  size_t candidates_ = 0;
  std::array<Slot, kWindowSlots> candidate_slots_;
  std::array<float, kWindowSlots> candidate_sums_;
  std::array<uint32_t, kWindowSlots> candidate_blocks_;  // Of the term being added.

  std::array<float, kWindowSlots> sums_;  // By slot - base; 0 where `matched_` is not set.
  std::array<uint64_t, kWindowSlots / 64> matched_;

  uint64_t postings_scored_ = 0;
  uint64_t blocks_read_ = 0;
};

// Sums in another order than the query's differ by rounding: with u = 2^-24, a sum of n floats that
// are not negative is off by at most a factor of (1 + u)^(n - 1) each way. Two floats have only one
// sum, so ties are pruned without slack there.
float Slack(size_t terms) {
  return terms <= 2 ? 1.0f
                    : 1.0f + 4.0f * static_cast<float>(terms) *
                                 (std::numeric_limits<float>::epsilon() / 2);
}

BlockMaxSearch::BlockMaxSearch(const PostingSource& postings, absl::Span<const uint32_t> lengths,
                               const LexicalQuery& query, const SlotSet& allowed, uint32_t base,
                               kernels::TopK* top, size_t k, const Cancellation* cancellation)
    : allowed_(allowed),
      scorer_(query.bm25, query.average_length),
      scratch_(new PostingScratch[query.terms.size()]),
      base_(base),
      top_(top),
      k_(k),
      cancellation_(cancellation) {
  cursors_.reserve(query.terms.size());
  for (const LexicalQuery::Term& term : query.terms) {
    assert(term.weight >= 0);
    cursors_.emplace_back(postings, lengths, scorer_, term, &scratch_[cursors_.size()]);
    if (cursors_.back().blocks() == 0) cursors_.pop_back();
  }
  slack_ = Slack(cursors_.size());
  by_list_.resize(cursors_.size());
  for (size_t i = 0; i < cursors_.size(); ++i) by_list_[i] = {i, cursors_[i].bound(), 0};
  SortByBound(&by_list_);
  by_window_ = by_list_;
  sums_.fill(0);
  matched_.fill(0);
}

LexicalSearchStats BlockMaxSearch::Stats() const {
  uint64_t blocks = 0;
  for (const TermCursor& cursor : cursors_) blocks += cursor.blocks();
  return {postings_scored_, blocks - blocks_read_};
}

void BlockMaxSearch::SortByBound(std::vector<Bounded>* terms) {
  std::sort(terms->begin(), terms->end(), [](const Bounded& a, const Bounded& b) {
    return a.bound != b.bound ? a.bound < b.bound : a.cursor < b.cursor;
  });
}

// Sums the bounds, and returns how many of the first terms are non-essential.
size_t BlockMaxSearch::Partition(std::vector<Bounded>* terms) const {
  float sum = 0;
  size_t non_essential = 0;
  for (size_t i = 0; i < terms->size(); ++i) {
    sum += (*terms)[i].bound;
    (*terms)[i].prefix = sum;
    if (non_essential == i && Loses(sum)) ++non_essential;
  }
  return non_essential;
}

bool BlockMaxSearch::Stopped() {
  term_windows_ += cursors_.size();
  if (cancellation_ == nullptr || term_windows_ < kTermWindowsBetweenLooks) return false;
  term_windows_ = 0;
  return cancellation_->Requested();
}

void BlockMaxSearch::Run() {
  Slot from = 0;
  Window window;
  while (NextWindow(from, &window) && !Stopped()) {
    from = window.end;
    BoundInWindow(window);
    const size_t essential_terms = by_window_.size() - first_essential_;
    if (essential_terms == 1) {
      ScanOne(window);
    } else if (essential_terms > 1) {
      ScanSeveral(window);
    }
  }
}

// Finds the next slots at which a posting of a globally essential term may be.
bool BlockMaxSearch::NextWindow(Slot from, Window* window) {
  if (top_->threshold() > partitioned_at_) {
    partitioned_at_ = top_->threshold();
    first_essential_in_list_ = Partition(&by_list_);
  }
  const auto essential = absl::MakeSpan(by_list_).subspan(first_essential_in_list_);
  Slot begin = kNoSlot;
  for (const Bounded& term : essential) {
    TermCursor& cursor = cursors_[term.cursor];
    cursor.scan_block = cursor.Skip(cursor.scan_block, from);
    if (cursor.scan_block == cursor.blocks()) continue;
    begin = std::min(begin, std::max(from, cursor.first(cursor.scan_block)));
  }
  if (begin == kNoSlot) return false;
  const Slot next_allowed = NextSet(allowed_, begin);
  if (next_allowed == kNoSlot) return false;
  begin = next_allowed;

  // One term: up to its block's end, so that whole blocks are left out. Several: what fits.
  uint64_t end = uint64_t{begin} / 64 * 64 + kWindowSlots;
  if (essential.size() == 1) {
    const TermCursor& cursor = cursors_[essential.front().cursor];
    const size_t block = cursor.Skip(cursor.scan_block, begin);
    if (block == cursor.blocks()) return false;
    end = uint64_t{cursor.last(block)} + 1;
  }
  *window = {begin, static_cast<Slot>(std::min<uint64_t>(end, allowed_.size()))};
  return true;
}

// Bounds every term in the window, and partitions.
void BlockMaxSearch::BoundInWindow(const Window& window) {
  if (top_->size() < k_) {
    first_essential_ = 0;
    return;
  }
  for (Bounded& term : by_window_) {
    TermCursor& cursor = cursors_[term.cursor];
    size_t block = cursor.scan_block = cursor.Skip(cursor.scan_block, window.begin);
    const size_t limit = std::min(cursor.blocks(), block + kMaxBoundedBlocks);
    float bound = 0;
    while (block < limit && cursor.first(block) < window.end) {
      bound = std::max(bound, cursor.Bound(block));
      if (cursor.last(block) >= window.end) break;
      ++block;
    }
    const bool cut = block == limit && block < cursor.blocks() && cursor.first(block) < window.end;
    term.bound = cut ? cursor.bound() : std::min(bound, cursor.bound());
  }
  SortByBound(&by_window_);
  first_essential_ = Partition(&by_window_);
}

void BlockMaxSearch::MarkRead(TermCursor& cursor, size_t block) {
  if (block >= cursor.first_unread_block) {
    ++blocks_read_;
    cursor.first_unread_block = block + 1;
  }
}

// Calls visit(run, from, to, scores) for the cursor's postings in the window, block by block.
template <typename Visit>
void BlockMaxSearch::VisitPostings(TermCursor& cursor, const Window& window, Visit visit) {
  std::array<float, LexicalTail::kBlockSize> scores;
  size_t block = cursor.scan_block = cursor.Skip(cursor.scan_block, window.begin);
  for (; block < cursor.blocks() && cursor.first(block) < window.end; ++block) {
    MarkRead(cursor, block);
    const PostingRun& run = cursor.Load(block);
    const size_t from = run.first < window.begin ? TermCursor::LowerBound(run, 0, window.begin) : 0;
    const size_t to =
        cursor.last(block) < window.end ? run.size : TermCursor::LowerBound(run, from, window.end);
    cursor.Score(run, from, to, scores.data());
    postings_scored_ += to - from;
    visit(run, from, to, scores.data());
    cursor.scan_block = block;
    if (to < run.size) break;
  }
}

// One essential term: its postings are the candidates.
void BlockMaxSearch::ScanOne(const Window& window) {
  const float rest = first_essential_ > 0 ? by_window_[first_essential_ - 1].prefix : 0.0f;
  VisitPostings(cursors_[by_window_[first_essential_].cursor], window,
                [&](const PostingRun& run, size_t from, size_t to, const float* scores) {
                  candidates_ = 0;
                  for (size_t i = from; i < to; ++i) {
                    const float sum = scores[i - from];
                    if (Loses(sum + rest)) continue;
                    const Slot slot = run.slot(i);
                    if (!allowed_.Test(slot)) continue;
                    candidate_slots_[candidates_] = slot;
                    candidate_sums_[candidates_++] = sum;
                  }
                  CompleteCandidates();
                });
}

// Several: their postings are added up by slot, in the query's order, so that the sums are exact
// where no other term matches.
void BlockMaxSearch::ScanSeveral(const Window& window) {
  std::sort(by_window_.begin() + first_essential_, by_window_.end(),
            [](const Bounded& a, const Bounded& b) { return a.cursor < b.cursor; });
  // One term may be essential in general and several in a window, which then is its block.
  for (Window part = {window.begin, 0}; part.begin < window.end; part.begin = part.end) {
    if (part.begin != window.begin && Stopped()) return;
    const Slot base = part.begin / 64 * 64;
    part.end = static_cast<Slot>(std::min<uint64_t>(window.end, uint64_t{base} + kWindowSlots));
    for (size_t i = first_essential_; i < by_window_.size(); ++i) {
      Accumulate(cursors_[by_window_[i].cursor], part, base);
    }
    CollectAccumulated(base, (part.end - base + 63) / 64);
    CompleteCandidates();
  }
}

void BlockMaxSearch::Accumulate(TermCursor& cursor, const Window& window, Slot base) {
  VisitPostings(cursor, window,
                [&](const PostingRun& run, size_t from, size_t to, const float* scores) {
                  for (size_t i = from; i < to; ++i) {
                    const size_t at = run.slot(i) - base;
                    sums_[at] += scores[i - from];
                    matched_[at / 64] |= uint64_t{1} << (at % 64);
                  }
                });
}

// Turns the allowed slots that can still win into candidates, and clears the sums.
void BlockMaxSearch::CollectAccumulated(Slot base, size_t words) {
  const float rest = first_essential_ > 0 ? by_window_[first_essential_ - 1].prefix : 0.0f;
  candidates_ = 0;
  for (size_t i = 0; i < words; ++i) {
    const uint64_t allowed = allowed_.words()[base / 64 + i];
    for (uint64_t word = matched_[i]; word != 0; word &= word - 1) {
      const size_t bit = std::countr_zero(word);
      const size_t at = i * 64 + bit;
      const float sum = sums_[at];
      sums_[at] = 0;
      const bool keep = (allowed >> bit & 1) != 0 && !Loses(sum + rest);
      candidate_slots_[candidates_] = static_cast<Slot>(base + at);
      candidate_sums_[candidates_] = sum;
      candidates_ += keep;
    }
    matched_[i] = 0;
  }
}

// Adds the non-essential terms, the largest bound first, and offers what is left.
void BlockMaxSearch::CompleteCandidates() {
  for (size_t i = first_essential_; i > 0 && candidates_ > 0; --i) AddNonEssential(i - 1);
  const bool exact = first_essential_ == 0 || cursors_.size() <= 2;
  for (size_t i = 0; i < candidates_; ++i) {
    const float sum = candidate_sums_[i];
    if (Loses(sum)) continue;
    const Slot slot = candidate_slots_[i];
    top_->Push(exact ? sum : ExactScore(slot), base_ + slot);
  }
}

void BlockMaxSearch::AddNonEssential(size_t position) {
  TermCursor& cursor = cursors_[by_window_[position].cursor];
  const float with_this = by_window_[position].prefix;
  const float rest = position > 0 ? by_window_[position - 1].prefix : 0.0f;
  // First which blocks to look at, so that they load while others are read.
  size_t kept = 0;
  for (size_t i = 0; i < candidates_; ++i) {
    const float sum = candidate_sums_[i];
    if (Loses(sum + with_this)) continue;
    const Slot slot = candidate_slots_[i];
    size_t block = cursor.probe_block = cursor.Skip(cursor.probe_block, slot);
    if (block < cursor.blocks() && cursor.first(block) <= slot) {
      if (Loses(sum + cursor.Bound(block) + rest)) continue;
      cursor.PrefetchLookup(block, slot);
    } else {
      block = kNoBlock;
    }
    candidate_slots_[kept] = slot;
    candidate_blocks_[kept] = static_cast<uint32_t>(block);
    candidate_sums_[kept++] = sum;
  }
  candidates_ = kept;
  for (size_t i = 0; i < candidates_; ++i) {
    const uint32_t block = candidate_blocks_[i];
    if (block == kNoBlock) continue;
    MarkRead(cursor, block);
    const float score = cursor.Lookup(block, candidate_slots_[i]);
    if (score == kUnmatched) continue;
    candidate_sums_[i] += score;
    ++postings_scored_;
  }
}

// The sum in the query's order.
float BlockMaxSearch::ExactScore(Slot slot) {
  float sum = 0;
  for (TermCursor& cursor : cursors_) {
    const size_t block = cursor.final_block = cursor.Skip(cursor.final_block, slot);
    if (block == cursor.blocks() || cursor.first(block) > slot) continue;
    const float score = cursor.Lookup(block, slot);
    if (score != kUnmatched) sum += score;
  }
  return sum;
}

}  // namespace

void SearchBlockMax(const PostingSource& postings, absl::Span<const uint32_t> lengths,
                    const LexicalQuery& query, const SlotSet& allowed, uint32_t base,
                    kernels::TopK* top, size_t k, LexicalSearchStats* stats,
                    const Cancellation* cancellation) {
  assert(allowed.size() == lengths.size());
  if (stats != nullptr) *stats = {};
  if (k == 0) return;
  BlockMaxSearch search(postings, lengths, query, allowed, base, top, k, cancellation);
  search.Run();
  if (stats != nullptr) *stats = search.Stats();
}

}  // namespace cairn::index
