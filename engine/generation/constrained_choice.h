// Which of some given answers a model finds most likely.
#ifndef CAIRN_ENGINE_GENERATION_CONSTRAINED_CHOICE_H_
#define CAIRN_ENGINE_GENERATION_CONSTRAINED_CHOICE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/generation/prefix_cache.h"
#include "engine/model/kv_cache.h"
#include "engine/model/language_model.h"

namespace cairn::engine {

struct ChoiceOptions {
  // Tokens that end a text. Where given, a candidate's probability includes that the text ends
  // after it, with any of them: the way to compare candidates of which one begins another, where
  // the shorter is otherwise never less likely than the longer.
  std::vector<uint32_t> end_tokens;
  // Ranked by the mean log probability of a token instead of the candidate's own: a candidate is
  // not punished for its length. The end counts as a token.
  bool per_token = false;
  // Rows of logits held at once: `max_rows` times the vocabulary's size floats.
  size_t max_rows = 64;
};

struct RankedChoice {
  size_t index = 0;    // Of the candidate.
  size_t tokens = 0;   // With the end, where that counts.
  double logprob = 0;  // Natural logarithm of the probability that the prompt goes on this way.

  double logprob_per_token() const { return logprob / static_cast<double>(tokens); }
};

// All candidates, most likely first, equals in the order given. The prompt is computed once, or
// taken from `cache` (which may be null) as far as it is known there; so is every beginning that
// several candidates share, and all that can be computed in one pass is. InvalidArgument where
// there is no candidate, the prompt is empty, or a candidate is and no end counts;
// ResourceExhausted where the pool is too small; the model's faults.
absl::StatusOr<std::vector<RankedChoice>> RankChoices(
    LanguageModel* model, KvPool* pool, PrefixCache* cache, absl::Span<const uint32_t> prompt,
    absl::Span<const std::vector<uint32_t>> candidates, const ChoiceOptions& options);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_GENERATION_CONSTRAINED_CHOICE_H_
