#include "index/vector_tail.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cmath>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "index/encoded_rows.h"
#include "kernels/distance.h"
#include "kernels/top_k.h"

namespace cairn::index {
namespace {

constexpr double kNormTolerance = 1e-3;
// Below this many wanted rows of a page, they are scored one by one.
constexpr int kScanFrom = 32;
// Vectors fetched from the source at a time, after the first k.
constexpr size_t kBatch = 32;
constexpr size_t kMaxBatch = 256;

absl::Status CheckUnitVector(absl::Span<const float> vector, size_t dim) {
  if (vector.size() != dim) {
    return absl::InvalidArgumentError(
        absl::StrCat("vector of dimension ", vector.size(), " where ", dim, " is expected"));
  }
  double sum = 0;
  for (size_t i = 0; i < vector.size(); ++i) {
    if (!std::isfinite(vector[i])) {
      return absl::InvalidArgumentError(absl::StrCat("vector is not finite at position ", i));
    }
    sum += static_cast<double>(vector[i]) * vector[i];
  }
  const double norm = std::sqrt(sum);
  if (std::abs(norm - 1.0) > kNormTolerance) {
    return absl::InvalidArgumentError(
        absl::StrCat("vector of norm ", norm, " where 1 is expected"));
  }
  return absl::OkStatus();
}

// A slot that may be among the k best.
struct Candidate {
  Slot slot = 0;
  float upper = 0;  // Its exact score is at most this.
};

// One search for the k best of `wanted`.
class ExactSearch {
 public:
  ExactSearch(const EncodedRows& rows, absl::Span<const float> query, size_t k,
              const SlotSet& wanted, ExactVectorSource exact)
      : rows_(rows), query_(query), k_(k), wanted_(wanted), exact_(exact) {}

  // `lower_bounds`: how many of the best lower bounds a slot's upper bound has to reach the last
  // of. At least k; larger where some of the vectors are known to be gone.
  void CollectCandidates(size_t lower_bounds);
  absl::Status Rescore();

  // Slots whose vectors the source did not have.
  const std::vector<Slot>& vanished() const { return vanished_; }
  // Whether no slot left out can be among the k best.
  bool complete() const { return vanished_.empty() || top_.threshold() >= needed_; }
  std::vector<ScoredSlot> Take();

 private:
  void CollectPage(const EncodedQuery& query, size_t page, kernels::TopK* lower);
  void NarrowCandidates(const EncodedQuery& query, size_t lower_bounds);
  absl::Status RescoreBatch(absl::Span<Candidate> batch);

  const EncodedRows& rows_;
  absl::Span<const float> query_;
  size_t k_;
  const SlotSet& wanted_;
  ExactVectorSource exact_;
  std::vector<Candidate> candidates_;
  float needed_ = -std::numeric_limits<float>::infinity();  // Upper bounds below it are left out.
  kernels::TopK top_{k_};
  std::vector<Slot> vanished_;
  std::vector<Slot> batch_slots_;
  std::vector<float> batch_vectors_;  // [batch][dim]
};

void ExactSearch::CollectCandidates(size_t lower_bounds) {
  const size_t wanted = wanted_.Count();
  if (wanted <= lower_bounds) {
    for (Slot slot = 0; slot < rows_.size(); ++slot) {
      if (wanted_.Test(slot)) candidates_.push_back({slot, 0});
    }
    for (Candidate& c : candidates_) c.upper = std::numeric_limits<float>::infinity();
    return;
  }
  const EncodedQuery query = rows_.Encode(query_);
  kernels::TopK lower(lower_bounds);
  const size_t pages = (rows_.size() + EncodedRows::kPageRows - 1) / EncodedRows::kPageRows;
  for (size_t page = 0; page < pages; ++page) CollectPage(query, page, &lower);
  needed_ = lower.threshold();
  NarrowCandidates(query, lower_bounds);
}

// Adds the wanted slots of a page whose upper bound reaches the last of the best lower bounds.
void ExactSearch::CollectPage(const EncodedQuery& query, size_t page, kernels::TopK* lower) {
  constexpr size_t kWords = EncodedRows::kPageRows / 64;
  const size_t first_word = page * kWords;
  const size_t words = std::min(kWords, wanted_.words().size() - first_word);
  const uint64_t* const bits = &wanted_.words()[first_word];
  int wanted = 0;
  for (size_t i = 0; i < words; ++i) wanted += std::popcount(bits[i]);
  if (wanted == 0) return;

  const Slot base = static_cast<Slot>(page * EncodedRows::kPageRows);
  const auto consider = [&](Slot slot, ScoreInterval s) {
    if (s.score + s.error < lower->threshold()) return;
    candidates_.push_back({slot, s.score + s.error});
    lower->Push(s.score - s.error, slot);
  };
  if (wanted < kScanFrom) {
    for (size_t i = 0; i < words; ++i) {
      for (uint64_t word = bits[i]; word != 0; word &= word - 1) {
        const Slot slot = static_cast<Slot>(base + i * 64 + std::countr_zero(word));
        consider(slot, rows_.ScoreCoarse(query, slot));
      }
    }
    return;
  }
  std::array<float, EncodedRows::kPageRows> scores;
  std::array<float, EncodedRows::kPageRows> errors;
  rows_.ScanPage(query, page, scores.data(), errors.data());
  // Nearly all groups hold nothing: one vectorised test for each.
  constexpr size_t kGroup = 16;
  for (size_t begin = 0; begin < words * 64; begin += kGroup) {
    int reaching = 0;
    for (size_t i = begin; i < begin + kGroup; ++i) {
      reaching |= scores[i] + errors[i] >= lower->threshold();
    }
    if (reaching == 0) continue;
    for (size_t i = begin; i < begin + kGroup; ++i) {
      const Slot slot = static_cast<Slot>(base + i);
      if ((bits[i / 64] >> (i % 64) & 1) != 0) consider(slot, {scores[i], errors[i]});
    }
  }
}

// Bounds the candidates again with the query's full precision, which about halves the intervals.
void ExactSearch::NarrowCandidates(const EncodedQuery& query, size_t lower_bounds) {
  kernels::TopK lower(lower_bounds);
  size_t kept = 0;
  for (const Candidate& c : candidates_) {
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
}

absl::Status ExactSearch::Rescore() {
  std::sort(candidates_.begin(), candidates_.end(), [](const Candidate& a, const Candidate& b) {
    return a.upper != b.upper ? a.upper > b.upper : a.slot < b.slot;
  });
  size_t next = 0;
  while (next < candidates_.size()) {
    const size_t limit = std::clamp(next == 0 ? k_ : kBatch, kBatch, kMaxBatch);
    size_t end = next;
    while (end < candidates_.size() && end - next < limit &&
           candidates_[end].upper >= top_.threshold()) {
      ++end;
    }
    if (end == next) break;
    if (absl::Status s = RescoreBatch(absl::MakeSpan(candidates_).subspan(next, end - next));
        !s.ok()) {
      return s;
    }
    next = end;
  }
  return absl::OkStatus();
}

absl::Status ExactSearch::RescoreBatch(absl::Span<Candidate> batch) {
  const kernels::DistanceKernels& kernels = kernels::GetDistanceKernels();
  const size_t dim = rows_.dim();
  if (rows_.encoding() == VectorEncoding::kFloat32) {
    for (const Candidate& c : batch) {
      top_.Push(kernels.dot_f32(query_.data(), rows_.Float32Row(c.slot), dim), c.slot);
    }
    return absl::OkStatus();
  }
  batch_slots_.clear();
  for (const Candidate& c : batch) batch_slots_.push_back(c.slot);
  std::sort(batch_slots_.begin(), batch_slots_.end());  // The order in which rows are stored.
  batch_vectors_.assign(batch.size() * dim, std::numeric_limits<float>::quiet_NaN());
  if (absl::Status s = exact_(batch_slots_, absl::MakeSpan(batch_vectors_)); !s.ok()) return s;
  for (size_t i = 0; i < batch_slots_.size(); ++i) {
    const float score = kernels.dot_f32(query_.data(), &batch_vectors_[i * dim], dim);
    if (std::isfinite(score)) {
      top_.Push(score, batch_slots_[i]);
    } else {
      vanished_.push_back(batch_slots_[i]);
    }
  }
  return absl::OkStatus();
}

std::vector<ScoredSlot> ExactSearch::Take() {
  std::vector<ScoredSlot> results;
  results.reserve(top_.size());
  for (const kernels::TopK::Entry& entry : top_.TakeSorted()) {
    results.push_back({entry.slot, entry.score});
  }
  return results;
}

}  // namespace

std::string_view VectorEncodingName(VectorEncoding encoding) {
  switch (encoding) {
    case VectorEncoding::kFloat32:
      return "float32";
    case VectorEncoding::kBfloat16:
      return "bfloat16";
    case VectorEncoding::kInt8:
      return "int8";
  }
  return "unknown";
}

struct VectorTail::Impl {
  EncodedRows rows;
  SlotSet present;
};

VectorTail::VectorTail(size_t dim, VectorEncoding encoding)
    : impl_(new Impl{EncodedRows(dim, encoding), SlotSet()}) {}
VectorTail::~VectorTail() = default;
VectorTail::VectorTail(VectorTail&&) noexcept = default;
VectorTail& VectorTail::operator=(VectorTail&&) noexcept = default;

absl::StatusOr<Slot> VectorTail::Append(absl::Span<const float> vector) {
  if (absl::Status s = CheckUnitVector(vector, dim()); !s.ok()) return s;
  const Slot slot = static_cast<Slot>(slots());
  impl_->rows.Append(vector);
  impl_->present.Resize(slots(), true);
  return slot;
}

Slot VectorTail::AppendMissing() {
  const Slot slot = static_cast<Slot>(slots());
  impl_->rows.AppendMissing();
  impl_->present.Resize(slots(), false);
  return slot;
}

size_t VectorTail::slots() const { return impl_->rows.size(); }
size_t VectorTail::dim() const { return impl_->rows.dim(); }
size_t VectorTail::MemoryBytes() const {
  return sizeof(Impl) + impl_->rows.MemoryBytes() +
         impl_->present.words().capacity() * sizeof(uint64_t);
}

absl::StatusOr<std::vector<ScoredSlot>> VectorTail::Search(absl::Span<const float> query, size_t k,
                                                           const SlotSet& allowed,
                                                           ExactVectorSource exact) const {
  assert(allowed.size() == slots());
  if (absl::Status s = CheckUnitVector(query, dim()); !s.ok()) return s;
  if (k == 0) return std::vector<ScoredSlot>();
  SlotSet wanted = allowed;
  wanted.IntersectWith(impl_->present);
  // A vanished vector may have had a lower bound that left others out: then once more without it,
  // with bounds that allow for as many again to be gone.
  size_t spare = 0;
  while (true) {
    ExactSearch search(impl_->rows, query, k, wanted, exact);
    search.CollectCandidates(k > SIZE_MAX - spare ? SIZE_MAX : k + spare);
    if (absl::Status s = search.Rescore(); !s.ok()) return s;
    if (search.complete()) return search.Take();
    for (Slot slot : search.vanished()) wanted.Clear(slot);
    spare = 2 * (spare + search.vanished().size());
  }
}

}  // namespace cairn::index
