// Which of the passages found are worth their tokens in a prompt.
#ifndef CAIRN_ENGINE_ANSWER_PASSAGE_SELECTION_H_
#define CAIRN_ENGINE_ANSWER_PASSAGE_SELECTION_H_

#include <cstddef>
#include <vector>

#include "absl/types/span.h"
#include "chunking/text/analyzer.h"
#include "engine/engine.h"

namespace cairn::engine {

// Passages that the score gap never cuts.
inline constexpr size_t kMinPassages = 3;
// A drop between neighbours of more than this share of all scores' range ends the list (after SAGE,
// arXiv 2503.01713, whose cut is at a steep gradient too; relative to the range, so that it holds
// for any kind of score).
inline constexpr float kMaxScoreDrop = 0.5f;
// Maximal marginal relevance (Carbonell and Goldstein 1998): what a passage loses by being the same
// as one chosen before, where 1 is the whole range of the scores.
inline constexpr float kRedundancyWeight = 0.5f;
// A passage that is this similar to one chosen before adds nothing.
inline constexpr float kDuplicate = 0.9f;

// Indices into `hits` (best first), in the order in which they go into a prompt: by maximal
// marginal relevance, similarity being the Jaccard index of the passages' terms. tokens[i] is what
// hits[i] costs; one that does not fit what is left of `budget` is passed over.
std::vector<size_t> SelectPassages(const chunking::Analyzer& analyzer,
                                   absl::Span<const SearchHit> hits,
                                   absl::Span<const size_t> tokens, size_t budget);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_ANSWER_PASSAGE_SELECTION_H_
