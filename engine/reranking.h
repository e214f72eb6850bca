// The search stage in which a reranker reads the best candidates.
#ifndef CAIRN_ENGINE_RERANKING_H_
#define CAIRN_ENGINE_RERANKING_H_

#include <cstddef>
#include <functional>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "engine/engine.h"
#include "engine/model/reranker.h"

namespace cairn::engine {

// Candidates that a search reranks where it is not told how many.
inline constexpr size_t kDefaultRerank = 100;
inline constexpr size_t kMaxRerank = 10'000;

// Reorders the first `count` hits, which have their texts, by what the reranker makes of the query
// and each chunk as an embedder sees it (ChunkContext, then the text); ties by chunk id. The others
// follow as they were. A reranked hit's score is the reranker's; the scores of the others keep
// their distances and are moved below those, so that scores descend over the whole list.
// Internal when the model's scores are not finite. `is_cancelled` as Reranker::Score.
absl::Status RerankHits(const Reranker& reranker, std::string_view query, size_t count,
                        std::vector<SearchHit>* hits,
                        const std::function<bool()>& is_cancelled = nullptr);

// Keeps each document's first hit.
void KeepFirstOfEachDocument(std::vector<SearchHit>* hits);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_RERANKING_H_
