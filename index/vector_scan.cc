#include "index/vector_scan.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

#include "kernels/top_k.h"

namespace cairn::index {
namespace {

// Below this many wanted rows of a page, only they are scored.
constexpr int kScanFrom = 64;
// Vectors scored exactly at a time, after the first k.
constexpr size_t kBatch = 32;
constexpr size_t kMaxBatch = 256;
// Pages scanned, and slots bounded again, between two looks at the cancellation: under a
// millisecond.
constexpr size_t kPagesBetweenLooks = 32;
constexpr size_t kSlotsBetweenLooks = 4096;

// A slot that may be among the k best.
struct Candidate {
  Slot slot = 0;
  float upper = 0;  // Its exact score is at most this.
};

// One search for the k best of `wanted`.
class ScanSearch {
 public:
  ScanSearch(const EncodedRowsView& rows, absl::Span<const float> query, size_t k,
             const SlotSet& wanted, float floor, ExactScores exact,
             const Cancellation* cancellation)
      : rows_(rows),
        query_(query),
        k_(k),
        wanted_(wanted),
        floor_(floor),
        exact_(exact),
        cancellation_(cancellation),
        needed_(floor) {}

  // `lower_bounds`: how many of the best lower bounds a slot's upper bound has to reach the last
  // of. At least k; larger where some of the vectors are known to be gone.
  absl::Status CollectCandidates(size_t lower_bounds);
  absl::Status Rescore();

  // Slots whose vectors the source did not have.
  const std::vector<Slot>& vanished() const { return vanished_; }
  // Whether no slot left out can be among the k best.
  bool complete() const { return vanished_.empty() || Threshold(top_) >= needed_; }
  std::vector<ScoredSlot> Take();

 private:
  float Threshold(const kernels::TopK& top) const { return std::max(top.threshold(), floor_); }
  void CollectPage(const EncodedQuery& query, size_t page, kernels::TopK* lower);
  void Consider(Slot slot, float score, float error, kernels::TopK* lower) {
    if (score + error < Threshold(*lower)) return;
    candidates_.push_back({slot, score + error});
    lower->Push(score - error, slot);
  }
  absl::Status NarrowCandidates(const EncodedQuery& query, size_t lower_bounds);
  absl::Status RescoreBatch(absl::Span<const Candidate> batch);

  const EncodedRowsView& rows_;
  absl::Span<const float> query_;
  size_t k_;
  const SlotSet& wanted_;
  float floor_;
  ExactScores exact_;
  const Cancellation* const cancellation_;
  std::vector<Candidate> candidates_;
  float needed_;  // Upper bounds below it are left out.
  kernels::TopK top_{k_};
  std::vector<Slot> vanished_;
  std::vector<Slot> batch_slots_;
  std::vector<float> batch_scores_;
};

absl::Status ScanSearch::CollectCandidates(size_t lower_bounds) {
  const size_t wanted = wanted_.Count();
  if (wanted <= lower_bounds) {
    const std::vector<uint64_t>& words = wanted_.words();
    for (size_t i = 0; i < words.size(); ++i) {
      for (uint64_t word = words[i]; word != 0; word &= word - 1) {
        candidates_.push_back({static_cast<Slot>(i * 64 + std::countr_zero(word)),
                               std::numeric_limits<float>::infinity()});
      }
    }
    return absl::OkStatus();
  }
  const EncodedQuery query = rows_.Encode(query_);
  kernels::TopK lower(lower_bounds);
  const size_t pages = (rows_.size() + rows_.kPageRows - 1) / rows_.kPageRows;
  for (size_t page = 0; page < pages; ++page) {
    if (page % kPagesBetweenLooks == 0) {
      if (absl::Status s = CheckCancellation(cancellation_); !s.ok()) return s;
    }
    CollectPage(query, page, &lower);
  }
  needed_ = Threshold(lower);
  return NarrowCandidates(query, lower_bounds);
}

// Adds the wanted slots of a page whose upper bound reaches the last of the best lower bounds.
void ScanSearch::CollectPage(const EncodedQuery& query, size_t page, kernels::TopK* lower) {
  constexpr size_t kPageRows = EncodedRowsView::kPageRows;
  constexpr size_t kWords = kPageRows / 64;
  const size_t first_word = page * kWords;
  const size_t words = std::min(kWords, wanted_.words().size() - first_word);
  const uint64_t* const bits = &wanted_.words()[first_word];
  int wanted = 0;
  for (size_t i = 0; i < words; ++i) {
    if (bits[i] != 0) wanted += std::popcount(bits[i]);
  }
  if (wanted == 0) return;

  const Slot base = static_cast<Slot>(page * kPageRows);
  std::array<float, kPageRows> scores;
  if (wanted < kScanFrom) {
    std::array<uint32_t, kScanFrom> offsets;
    size_t count = 0;
    for (size_t i = 0; i < words; ++i) {
      for (uint64_t word = bits[i]; word != 0; word &= word - 1) {
        offsets[count++] = static_cast<uint32_t>(i * 64 + std::countr_zero(word));
      }
    }
    rows_.ScoreInPage(query, page, offsets.data(), count, scores.data());
    for (size_t i = 0; i < count; ++i) {
      const Slot slot = base + offsets[i];
      Consider(slot, scores[i], rows_.Error(query, slot), lower);
    }
    return;
  }
  std::array<float, kPageRows> errors;
  rows_.ScanPage(query, page, scores.data(), errors.data());
  // Nearly all groups hold nothing: one vectorised test for each.
  constexpr size_t kGroup = 16;
  for (size_t begin = 0; begin < words * 64; begin += kGroup) {
    const float threshold = Threshold(*lower);
    int reaching = 0;
    for (size_t i = begin; i < begin + kGroup; ++i) reaching |= scores[i] + errors[i] >= threshold;
    if (reaching == 0) continue;
    for (size_t i = begin; i < begin + kGroup; ++i) {
      if ((bits[i / 64] >> (i % 64) & 1) == 0) continue;
      Consider(static_cast<Slot>(base + i), scores[i], errors[i], lower);
    }
  }
}

// Bounds the candidates again with the query's full precision, which about halves the intervals.
absl::Status ScanSearch::NarrowCandidates(const EncodedQuery& query, size_t lower_bounds) {
  kernels::TopK lower(lower_bounds);
  size_t kept = 0;
  for (size_t i = 0; i < candidates_.size(); ++i) {
    if (i % kSlotsBetweenLooks == 0) {
      if (absl::Status s = CheckCancellation(cancellation_); !s.ok()) return s;
    }
    const Candidate c = candidates_[i];
    if (c.upper < needed_) continue;
    const ScoreInterval s = rows_.ScoreFine(query, c.slot);
    lower.Push(s.score - s.error, c.slot);
    candidates_[kept++] = {c.slot, std::min(c.upper, s.score + s.error)};
  }
  candidates_.resize(kept);
  needed_ = std::max(needed_, lower.threshold());
  candidates_.erase(std::remove_if(candidates_.begin(), candidates_.end(),
                                   [&](const Candidate& c) { return c.upper < needed_; }),
                    candidates_.end());
  return absl::OkStatus();
}

absl::Status ScanSearch::Rescore() {
  std::sort(candidates_.begin(), candidates_.end(), [](const Candidate& a, const Candidate& b) {
    return a.upper != b.upper ? a.upper > b.upper : a.slot < b.slot;
  });
  size_t next = 0;
  while (next < candidates_.size()) {
    const size_t limit = std::clamp(next == 0 ? k_ : kBatch, kBatch, kMaxBatch);
    size_t end = next;
    while (end < candidates_.size() && end - next < limit &&
           candidates_[end].upper >= Threshold(top_)) {
      ++end;
    }
    if (end == next) break;
    if (absl::Status s = CheckCancellation(cancellation_); !s.ok()) return s;
    if (absl::Status s = RescoreBatch(absl::MakeConstSpan(candidates_).subspan(next, end - next));
        !s.ok()) {
      return s;
    }
    next = end;
  }
  return absl::OkStatus();
}

absl::Status ScanSearch::RescoreBatch(absl::Span<const Candidate> batch) {
  batch_slots_.clear();
  for (const Candidate& c : batch) batch_slots_.push_back(c.slot);
  std::sort(batch_slots_.begin(), batch_slots_.end());  // The order in which rows are stored.
  batch_scores_.resize(batch.size());
  if (absl::Status s = exact_(batch_slots_, absl::MakeSpan(batch_scores_)); !s.ok()) return s;
  for (size_t i = 0; i < batch_slots_.size(); ++i) {
    if (!std::isfinite(batch_scores_[i])) {
      vanished_.push_back(batch_slots_[i]);
    } else if (batch_scores_[i] >= floor_) {
      top_.Push(batch_scores_[i], batch_slots_[i]);
    }
  }
  return absl::OkStatus();
}

std::vector<ScoredSlot> ScanSearch::Take() {
  std::vector<ScoredSlot> results;
  results.reserve(top_.size());
  for (const kernels::TopK::Entry& entry : top_.TakeSorted()) {
    results.push_back({entry.slot, entry.score});
  }
  return results;
}

}  // namespace

absl::StatusOr<std::vector<ScoredSlot>> ScanForTopK(const EncodedRowsView& rows,
                                                    absl::Span<const float> query, size_t k,
                                                    SlotSet wanted, float floor, ExactScores exact,
                                                    const Cancellation* cancellation) {
  if (k == 0) return std::vector<ScoredSlot>();
  // A vanished vector may have had a lower bound that left others out: then once more without it,
  // with bounds that allow for as many again to be gone.
  size_t spare = 0;
  while (true) {
    ScanSearch search(rows, query, k, wanted, floor, exact, cancellation);
    absl::Status collected = search.CollectCandidates(k > SIZE_MAX - spare ? SIZE_MAX : k + spare);
    if (!collected.ok()) return collected;
    if (absl::Status s = search.Rescore(); !s.ok()) return s;
    if (search.complete()) return search.Take();
    for (Slot slot : search.vanished()) wanted.Clear(slot);
    spare = 2 * (spare + search.vanished().size());
  }
}

}  // namespace cairn::index
