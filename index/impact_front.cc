#include "index/impact_front.h"

#include <algorithm>

namespace cairn::index {

Impact MakeImpact(uint8_t count, uint32_t length) {
  return {count, static_cast<uint16_t>(std::min<uint32_t>(length, UINT16_MAX))};
}

void ImpactSet::Add(Impact impact) {
  size_t at = 0;
  while (at < impacts_.size() && impacts_[at].count < impact.count) ++at;
  if (at < impacts_.size() && impacts_[at].length <= impact.length) return;
  // Those before `at` with the same length or more, and an equal count at `at`, are dominated.
  size_t begin = at;
  while (begin > 0 && impacts_[begin - 1].length >= impact.length) --begin;
  const size_t end = at < impacts_.size() && impacts_[at].count == impact.count ? at + 1 : at;
  impacts_.erase(impacts_.begin() + begin, impacts_.begin() + end);
  impacts_.insert(impacts_.begin() + begin, impact);
}

template <size_t N>
ImpactFront<N> ImpactSet::Shorten(float average_length) const {
  const Bm25Scorer scorer(Bm25Parameters(), average_length);
  absl::InlinedVector<Impact, 16> front = impacts_;
  while (front.size() > N) {
    size_t best = 0;
    float best_score = 0;
    for (size_t i = 0; i + 1 < front.size(); ++i) {
      const float score = scorer.ScoreOf(1.0f, front[i + 1].count, front[i].length);
      if (i == 0 || score < best_score) {
        best = i;
        best_score = score;
      }
    }
    front[best].count = front[best + 1].count;
    front.erase(front.begin() + best + 1);
  }
  ImpactFront<N> out;
  for (size_t i = 0; i < N; ++i) {
    const Impact& impact = front[std::min(i, front.size() - 1)];
    out.counts[i] = impact.count;
    out.lengths[i] = impact.length;
  }
  return out;
}

template ImpactFront<4> ImpactSet::Shorten<4>(float) const;
template ImpactFront<8> ImpactSet::Shorten<8>(float) const;

}  // namespace cairn::index
