// The BM25 score as one float expression, and upper bounds of it.
#ifndef CAIRN_INDEX_BM25_H_
#define CAIRN_INDEX_BM25_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "index/lexical_tail.h"

namespace cairn::index {

// Term counts are stored in a byte; this value says that the count is 255 or more and is kept
// elsewhere.
inline constexpr uint8_t kSaturatedCount = 255;

// Up to N (term count, chunk length) pairs such that every posting of a set has at most the count
// and at least the length of one of them. Pairs left over repeat another one.
template <size_t N>
struct ImpactFront {
  std::array<uint16_t, N> lengths = {};  // Saturated: a smaller length bounds from above.
  std::array<uint8_t, N> counts = {};    // kSaturatedCount means any count.
};

// weight * tf * (k1 + 1) / (tf + k1 * (1 - b + b * length / average_length)), computed as
// scale / (1 + norm * (1 / tf)). Each step of that form is one correctly rounded operation that is
// monotone in its argument, so the float itself (and not only the real number) never falls when tf
// grows or the length shrinks: the score of an ImpactFront's best pair is a bound without slack.
// Needs weight >= 0, k1 >= 0 and 0 <= b <= 1.
class Bm25Scorer {
 public:
  Bm25Scorer(const Bm25Parameters& parameters, float average_length)
      : factor_(parameters.k1 + 1.0f),
        base_(parameters.k1 * (1.0f - parameters.b)),
        slope_(average_length > 0 ? parameters.k1 * parameters.b / average_length : 0.0f) {}

  float Scale(float weight) const { return weight * factor_; }
  float Norm(uint32_t length) const { return base_ + slope_ * static_cast<float>(length); }

  static float InverseCount(uint32_t count) { return 1.0f / static_cast<float>(count); }
  static float Score(float scale, float norm, float inverse_count) {
    return scale / (1.0f + norm * inverse_count);
  }
  float ScoreOf(float scale, uint32_t count, uint32_t length) const {
    return Score(scale, Norm(length), InverseCount(count));
  }

  // InverseCount of the counts a byte can hold; 0, the limit, for kSaturatedCount.
  using InverseCounts = std::array<float, 256>;
  static const InverseCounts& InverseCountTable() {
    static constexpr InverseCounts kTable = [] {
      InverseCounts table = {};
      for (uint32_t i = 1; i < kSaturatedCount; ++i) table[i] = 1.0f / static_cast<float>(i);
      return table;
    }();
    return kTable;
  }

  template <size_t N>
  float Bound(float scale, const ImpactFront<N>& front) const {
    const InverseCounts& inverse = InverseCountTable();
    float smallest = Norm(front.lengths[0]) * inverse[front.counts[0]];
    for (size_t i = 1; i < N; ++i) {
      smallest = std::min(smallest, Norm(front.lengths[i]) * inverse[front.counts[i]]);
    }
    return scale / (1.0f + smallest);
  }

 private:
  float factor_;
  float base_;
  float slope_;
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_BM25_H_
