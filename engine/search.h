// The query pipeline: query -> candidates -> fusion -> reranking -> hits with their texts.
#ifndef CAIRN_ENGINE_SEARCH_H_
#define CAIRN_ENGINE_SEARCH_H_

#include <cstdint>
#include <functional>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "chunking/text/analyzer.h"
#include "engine/engine.h"
#include "engine/model/embedder.h"
#include "engine/model/reranker.h"
#include "index/collection.h"

namespace cairn::engine {

// What a search reads. Everything must outlive the call.
struct SearchContext {
  const index::Collection* collection = nullptr;
  const chunking::Analyzer* analyzer = nullptr;
  const Embedder* embedder = nullptr;
  const Reranker* reranker = nullptr;  // Null: none.
  // Told which chunks may become hits, best first, before they are reranked. Optional.
  std::function<void(absl::Span<const uint64_t> chunks)> on_candidates = {};
};

// InvalidArgument for a request out of range or a bad filter; FailedPrecondition when vectors are
// asked of a collection that another model embedded, or reranking without a reranker; Cancelled
// when request.is_cancelled says so. Thread-safe.
absl::StatusOr<SearchResponse> RunSearch(const SearchContext& context,
                                         const SearchRequest& request);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_SEARCH_H_
