// Extractive answers: the best sentences of the best passages, each with its citation.
#ifndef CAIRN_ENGINE_ANSWER_EXTRACTIVE_ANSWER_H_
#define CAIRN_ENGINE_ANSWER_EXTRACTIVE_ANSWER_H_

#include "absl/status/statusor.h"
#include "engine/engine.h"
#include "engine/search.h"

namespace cairn::engine {

// Retrieves passages, scores their sentences and picks the best ones that do not repeat each other.
// A sentence's score is w_s * cos(question, sentence) + w_l * (share of the question's idf mass
// among the passages that the sentence's terms cover) + w_p * (the passage's score relative to the
// best); picking is maximal marginal relevance (Carbonell and Goldstein 1998). Errors as RunSearch.
// A sentence is what it cites, so it is supported by definition. Thread-safe.
absl::StatusOr<AskResponse> AnswerExtractively(const SearchContext& context,
                                               const AskRequest& request);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_ANSWER_EXTRACTIVE_ANSWER_H_
