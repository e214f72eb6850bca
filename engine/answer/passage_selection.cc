#include "engine/answer/passage_selection.h"

#include <algorithm>
#include <string>

#include "absl/container/flat_hash_set.h"

namespace cairn::engine {
namespace {

using Terms = absl::flat_hash_set<std::string>;

float Jaccard(const Terms& a, const Terms& b) {
  if (a.empty() && b.empty()) return 1;
  const Terms& small = a.size() < b.size() ? a : b;
  const Terms& large = a.size() < b.size() ? b : a;
  size_t both = 0;
  for (const std::string& term : small) both += large.contains(term);
  return static_cast<float>(both) / static_cast<float>(a.size() + b.size() - both);
}

// How many of the hits come before the gap.
size_t BeforeGap(absl::Span<const SearchHit> hits) {
  const float range = hits.front().score - hits.back().score;
  size_t count = std::min(kMinPassages, hits.size());
  while (count < hits.size() &&
         hits[count - 1].score - hits[count].score <= kMaxScoreDrop * range) {
    ++count;
  }
  return count;
}

}  // namespace

std::vector<size_t> SelectPassages(const chunking::Analyzer& analyzer,
                                   absl::Span<const SearchHit> hits,
                                   absl::Span<const size_t> tokens, size_t budget) {
  if (hits.empty()) return {};
  const size_t count = BeforeGap(hits);
  const float best = hits.front().score;
  const float range = best - hits.back().score;
  std::vector<Terms> terms(count);
  std::vector<size_t> left;
  for (size_t i = 0; i < count; ++i) {
    analyzer.Analyze(hits[i].text, [&](std::string_view t) { terms[i].emplace(t); });
    left.push_back(i);
  }
  std::vector<float> repeated(count, 0);  // Similarity to the most similar one chosen.
  std::vector<size_t> chosen;
  while (true) {
    std::erase_if(left, [&](size_t i) { return tokens[i] > budget || repeated[i] >= kDuplicate; });
    if (left.empty()) return chosen;
    const auto value = [&](size_t i) {
      const float relevance = range > 0 ? 1 - (best - hits[i].score) / range : 1;
      return relevance - kRedundancyWeight * repeated[i];
    };
    const size_t next = *std::max_element(left.begin(), left.end(),
                                          [&](size_t a, size_t b) { return value(a) < value(b); });
    chosen.push_back(next);
    budget -= tokens[next];
    std::erase(left, next);
    for (const size_t i : left) repeated[i] = std::max(repeated[i], Jaccard(terms[i], terms[next]));
  }
}

}  // namespace cairn::engine
