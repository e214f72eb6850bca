// Synthetic collections whose terms follow Zipf's law.
#ifndef CAIRN_TESTS_SUPPORT_ZIPF_COLLECTION_H_
#define CAIRN_TESTS_SUPPORT_ZIPF_COLLECTION_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "index/lexical_tail.h"

namespace cairn::testing {

// Draws terms with probability ~ 1 / (rank + 1)^exponent. Term ids are ranks.
class ZipfTerms {
 public:
  ZipfTerms(size_t terms, double exponent) : cumulative_(terms) {
    double sum = 0;
    for (size_t i = 0; i < terms; ++i) {
      sum += std::pow(static_cast<double>(i + 1), -exponent);
      cumulative_[i] = sum;
    }
  }

  index::TermId operator()(std::mt19937& rng) const {
    const double at = std::uniform_real_distribution<double>(0, cumulative_.back())(rng);
    const auto it = std::lower_bound(cumulative_.begin(), cumulative_.end(), at);
    return static_cast<index::TermId>(
        std::min<size_t>(it - cumulative_.begin(), cumulative_.size() - 1));
  }

  // The distinct terms of `length` draws, ascending. With probability `repetition` a draw repeats
  // an earlier one of the chunk, as texts do that are about something.
  std::vector<index::TermCount> Chunk(size_t length, double repetition, std::mt19937& rng) const {
    std::vector<index::TermId> drawn(length);
    std::bernoulli_distribution repeats(repetition);
    for (size_t i = 0; i < length; ++i) {
      drawn[i] = i > 0 && repeats(rng) ? drawn[rng() % i] : (*this)(rng);
    }
    std::sort(drawn.begin(), drawn.end());
    std::vector<index::TermCount> counts;
    for (index::TermId term : drawn) {
      if (counts.empty() || counts.back().term != term) counts.push_back({term, 0});
      ++counts.back().count;
    }
    return counts;
  }

 private:
  std::vector<double> cumulative_;
};

// A query over `tail` with the collection's statistics, each term once.
inline index::LexicalQuery MakeQuery(const index::LexicalTail& tail,
                                     const std::vector<index::TermId>& terms,
                                     index::Bm25Parameters bm25 = {}) {
  index::LexicalQuery query;
  query.bm25 = bm25;
  query.average_length = static_cast<float>(tail.total_length()) /
                         static_cast<float>(std::max<uint64_t>(tail.slots(), 1));
  for (index::TermId term : terms) {
    query.terms.push_back({term, index::Bm25Idf(tail.DocumentFrequency(term), tail.slots())});
  }
  return query;
}

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_SUPPORT_ZIPF_COLLECTION_H_
