// The searching half of Collection: one query over all parts.
#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "index/collection.h"
#include "index/lexical_search.h"
#include "kernels/distance.h"
#include "kernels/top_k.h"

namespace cairn::index {
namespace {

// Below this many slots a second thread costs more than it saves.
constexpr size_t kParallelSlots = 100'000;

// Terms looked up, and vectors read, between two looks at the cancellation.
constexpr size_t kTermsBetweenLooks = 1024;
constexpr size_t kVectorsBetweenLooks = 1024;

}  // namespace

// One query over the parts of a view. A slot has a global number: its part's base and its own.
class CandidateSearch {
 public:
  // The parts must stay as they are while the search runs.
  CandidateSearch(const Collection::View& view, const std::vector<Collection::Entry>& entries,
                  const CandidateQuery& query)
      : collection_(view.collection_),
        entries_(entries),
        snapshot_(view.snapshot_.get()),
        query_(query) {}

  absl::Status Run(Candidates* out);

 private:
  struct PartView {
    const Part* part = nullptr;
    Slot base = 0;
    SlotSet matching;  // With a filter.
    const SlotSet* allowed = nullptr;
    std::vector<ScoredSlot> vectors;
    absl::Status status;
  };

  absl::Status Prepare();
  absl::StatusOr<LexicalQuery> MakeLexicalQuery() const;
  absl::Status SearchLexically();
  // Slots that score below `floor` may be left out.
  void SearchVectors(PartView* view, float floor) const;
  absl::Status FillCosines(std::vector<float>* cosines) const;
  absl::Status ReadVectors(const PartView& view, absl::Span<const Slot> slots,
                           absl::Span<float> out) const;
  const PartView& ViewOf(Slot slot) const;
  std::vector<ScoredChunk> Resolve(const std::vector<ScoredSlot>& slots) const;

  const Collection& collection_;
  const std::vector<Collection::Entry>& entries_;
  const RowSnapshot* const snapshot_;
  const CandidateQuery& query_;
  std::vector<PartView> parts_;
  size_t slots_ = 0;
  std::vector<ScoredSlot> lexical_;  // Global.
  std::vector<ScoredSlot> vectors_;  // Global.
};

absl::Status CandidateSearch::Run(Candidates* out) {
  if (absl::Status s = Prepare(); !s.ok()) return s;
  const bool lexical = query_.terms != nullptr && query_.lexical_k > 0;
  const bool vectors = !query_.vector.empty() && query_.vector_k > 0;
  absl::Status lexical_status;
  kernels::TopK top(query_.vector_k);
  const auto take = [&](const PartView& view) {
    for (const ScoredSlot& s : view.vectors) top.Push(s.score, view.base + s.slot);
  };
  if (vectors && slots_ >= kParallelSlots && collection_.context_.threads != nullptr) {
    // Task 0 is the lexical search; the others search the vectors of a part each.
    collection_.context_.threads->ParallelFor(parts_.size() + 1, [&](size_t i) {
      if (i > 0) {
        SearchVectors(&parts_[i - 1], -std::numeric_limits<float>::infinity());
      } else if (lexical) {
        lexical_status = SearchLexically();
      }
    });
    for (const PartView& view : parts_) take(view);
  } else {
    if (lexical) lexical_status = SearchLexically();
    for (size_t i = 0; vectors && i < parts_.size(); ++i) {
      SearchVectors(&parts_[i], top.threshold());
      take(parts_[i]);
    }
  }
  if (!lexical_status.ok()) return lexical_status;
  if (absl::Status s = CheckCancellation(query_.cancellation); !s.ok()) return s;
  out->lexical = Resolve(lexical_);
  if (!vectors) return absl::OkStatus();
  for (const PartView& view : parts_) {
    if (!view.status.ok()) return view.status;
  }
  for (const kernels::TopK::Entry& e : top.TakeSorted()) vectors_.push_back({e.slot, e.score});
  out->vector = Resolve(vectors_);
  return query_.cosines_of_lexical ? FillCosines(&out->lexical_cosines) : absl::OkStatus();
}

absl::Status CandidateSearch::Prepare() {
  parts_.reserve(entries_.size());
  for (const Collection::Entry& entry : entries_) {
    const Part& part = *entry.part;
    if (part.live_slots() == 0) continue;
    if (part.slots() > std::numeric_limits<Slot>::max() - slots_) {
      return absl::ResourceExhaustedError("more chunks than one collection can search");
    }
    PartView& view = parts_.emplace_back();
    view.part = &part;
    view.base = static_cast<Slot>(slots_);
    slots_ += part.slots();
  }
  for (PartView& view : parts_) {
    view.allowed = &view.part->live();
    if (query_.filter == nullptr) continue;
    absl::StatusOr<SlotSet> matching = view.part->Matching(*query_.filter, query_.cancellation);
    if (!matching.ok()) return matching.status();
    view.matching = *std::move(matching);
    view.allowed = &view.matching;
  }
  return absl::OkStatus();
}

// The statistics are of all live chunks, so that the parts rank as one.
absl::StatusOr<LexicalQuery> CandidateSearch::MakeLexicalQuery() const {
  LexicalQuery q;
  q.bm25 = query_.bm25;
  uint64_t live = 0;
  uint64_t length = 0;
  for (const PartView& view : parts_) {
    live += view.part->live_slots();
    length += view.part->live_length();
  }
  q.average_length = live == 0 ? 1 : static_cast<float>(length) / static_cast<float>(live);
  size_t looked_up = 0;
  for (const TermBag::Entry& e : query_.terms->entries) {
    if (looked_up++ % kTermsBetweenLooks == 0) {
      if (absl::Status s = CheckCancellation(query_.cancellation); !s.ok()) return s;
    }
    absl::StatusOr<std::optional<TermId>> term = collection_.terms_->Find(query_.terms->term(e));
    if (!term.ok()) return term.status();
    if (!term->has_value()) continue;
    uint64_t frequency = 0;
    for (const PartView& view : parts_) frequency += view.part->DocumentFrequency(**term);
    if (frequency == 0) continue;
    q.terms.push_back({**term, Bm25Idf(frequency, live) * static_cast<float>(e.count)});
  }
  return q;
}

absl::Status CandidateSearch::SearchLexically() {
  absl::StatusOr<LexicalQuery> q = MakeLexicalQuery();
  if (!q.ok()) return q.status();
  kernels::TopK top(query_.lexical_k);
  // In ascending order: a tie goes to the smaller slot, which is the one that came first.
  for (const PartView& view : parts_) {
    SearchBlockMax(view.part->postings(), view.part->lengths(), *q, *view.allowed, view.base, &top,
                   query_.lexical_k, nullptr, query_.cancellation);
    if (absl::Status s = CheckCancellation(query_.cancellation); !s.ok()) return s;
  }
  for (const kernels::TopK::Entry& e : top.TakeSorted()) lexical_.push_back({e.slot, e.score});
  return absl::OkStatus();
}

void CandidateSearch::SearchVectors(PartView* view, float floor) const {
  const auto rows = [&](absl::Span<const Slot> slots, absl::Span<float> out) {
    return ReadVectors(*view, slots, out);
  };
  absl::StatusOr<std::vector<ScoredSlot>> found =
      view->part->SearchVectors(query_.vector, query_.vector_k, *view->allowed, floor,
                                query_.exact_vectors, rows, query_.cancellation);
  view->status = found.status();
  if (found.ok()) view->vectors = *std::move(found);
}

// The vectors of a part's slots; NaN where there is none.
absl::Status CandidateSearch::ReadVectors(const PartView& view, absl::Span<const Slot> slots,
                                          absl::Span<float> out) const {
  if (view.part->has_exact_vectors()) {
    const size_t dim = slots.empty() ? 0 : out.size() / slots.size();
    for (size_t i = 0; i < slots.size(); ++i) {
      const float* const vector = view.part->ExactVector(slots[i]);
      float* const to = out.data() + i * dim;
      if (vector != nullptr) {
        std::copy(vector, vector + dim, to);
      } else {
        std::fill(to, to + dim, std::numeric_limits<float>::quiet_NaN());
      }
    }
    return absl::OkStatus();
  }
  std::vector<ChunkId> chunks;
  chunks.reserve(slots.size());
  for (Slot s : slots) chunks.push_back(view.part->SlotChunk(s));
  return collection_.RowsAt(snapshot_).GetVectors(chunks, out);
}

absl::Status CandidateSearch::FillCosines(std::vector<float>* cosines) const {
  absl::flat_hash_map<Slot, float> known;
  known.reserve(vectors_.size());
  for (const ScoredSlot& s : vectors_) known.emplace(s.slot, s.score);
  cosines->assign(lexical_.size(), std::numeric_limits<float>::quiet_NaN());
  const kernels::DistanceKernels& distance = kernels::GetDistanceKernels();
  const size_t dim = query_.vector.size();
  // By part, those whose vectors are in rows only: the rest can be computed where they lie.
  absl::flat_hash_map<const PartView*, std::pair<std::vector<Slot>, std::vector<size_t>>> to_read;
  for (size_t i = 0; i < lexical_.size(); ++i) {
    if (const auto it = known.find(lexical_[i].slot); it != known.end()) {
      (*cosines)[i] = it->second;
      continue;
    }
    const PartView& view = ViewOf(lexical_[i].slot);
    const Slot slot = lexical_[i].slot - view.base;
    if (!view.part->has_exact_vectors()) {
      auto& [slots, positions] = to_read[&view];
      slots.push_back(slot);
      positions.push_back(i);
    } else if (const float* const vector = view.part->ExactVector(slot)) {
      (*cosines)[i] = distance.dot_f32(query_.vector.data(), vector, dim);
    }
  }
  for (const auto& entry : to_read) {
    const absl::Span<const Slot> all = entry.second.first;
    std::vector<float> vectors;
    for (size_t begin = 0; begin < all.size(); begin += kVectorsBetweenLooks) {
      const absl::Span<const Slot> slots = all.subspan(begin, kVectorsBetweenLooks);
      vectors.resize(slots.size() * dim);
      absl::Status s = CheckCancellation(query_.cancellation);
      if (s.ok()) s = ReadVectors(*entry.first, slots, absl::MakeSpan(vectors));
      if (!s.ok()) return s;
      for (size_t i = 0; i < slots.size(); ++i) {
        (*cosines)[entry.second.second[begin + i]] =
            distance.dot_f32(query_.vector.data(), vectors.data() + i * dim, dim);
      }
    }
  }
  return absl::OkStatus();
}

const CandidateSearch::PartView& CandidateSearch::ViewOf(Slot slot) const {
  return *std::prev(std::upper_bound(parts_.begin(), parts_.end(), slot,
                                     [](Slot s, const PartView& view) { return s < view.base; }));
}

std::vector<ScoredChunk> CandidateSearch::Resolve(const std::vector<ScoredSlot>& slots) const {
  std::vector<ScoredChunk> chunks;
  chunks.reserve(slots.size());
  for (const ScoredSlot& s : slots) {
    const PartView& view = ViewOf(s.slot);
    const Slot slot = s.slot - view.base;
    const Part::Document d = view.part->document(view.part->SlotDocument(slot));
    chunks.push_back({d.first_chunk + (slot - d.first_slot), d.first_chunk, s.score});
  }
  return chunks;
}

absl::StatusOr<Candidates> Collection::View::Search(const CandidateQuery& query) const {
  collection_.mutex_.AssertReaderHeld();
  Candidates candidates;
  CandidateSearch search(*this, collection_.parts_, query);
  if (absl::Status s = search.Run(&candidates); !s.ok()) return s;
  return candidates;
}

}  // namespace cairn::index
