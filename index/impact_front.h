// Fronts of (term count, chunk length) pairs under construction.
#ifndef CAIRN_INDEX_IMPACT_FRONT_H_
#define CAIRN_INDEX_IMPACT_FRONT_H_

#include <cstddef>
#include <cstdint>

#include "absl/container/inlined_vector.h"
#include "index/bm25.h"

namespace cairn::index {

// A posting as an ImpactFront sees it: its count's byte and its chunk's length, saturated.
struct Impact {
  uint8_t count = 0;
  uint16_t length = 0;
};
Impact MakeImpact(uint8_t count, uint32_t length);

// The pairs of a set of postings that no other one dominates by at least its count and at most its
// length. Not thread-safe.
class ImpactSet {
 public:
  void Add(Impact impact);
  template <size_t N>
  void AddAll(const ImpactFront<N>& front) {
    for (size_t i = 0; i < N; ++i) Add({front.counts[i], front.lengths[i]});
  }

  // N pairs that between them dominate the whole set, which is not empty: neighbours are replaced
  // by the pair that dominates both, each time those whose replacement scores lowest with the
  // default parameters and `average_length`, until N are left.
  template <size_t N>
  ImpactFront<N> Shorten(float average_length) const;

  void Clear() { impacts_.clear(); }

 private:
  absl::InlinedVector<Impact, 16> impacts_;  // Ascends strictly in count and in length.
};

extern template ImpactFront<4> ImpactSet::Shorten<4>(float) const;
extern template ImpactFront<8> ImpactSet::Shorten<8>(float) const;

// Whether one of the front's pairs dominates `impact`.
template <size_t N>
bool Dominates(const ImpactFront<N>& front, Impact impact) {
  for (size_t i = 0; i < N; ++i) {
    if (front.counts[i] >= impact.count && front.lengths[i] <= impact.length) return true;
  }
  return false;
}

}  // namespace cairn::index

#endif  // CAIRN_INDEX_IMPACT_FRONT_H_
