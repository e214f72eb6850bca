// A TREC run, put into a reranker's order.
#ifndef CAIRN_ENGINE_BATCH_RERANK_RUN_H_
#define CAIRN_ENGINE_BATCH_RERANK_RUN_H_

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "chunking/readers/reader.h"
#include "engine/eval/topics.h"
#include "engine/eval/trec_files.h"
#include "engine/model/reranker.h"

namespace cairn::engine {

struct RerankRunOptions {
  size_t depth = 100;  // Documents of each topic that are reranked; the rest follows.
  std::function<void(size_t topics)> on_progress;
};

// Reorders the first documents of each topic by what the reranker makes of the topic's text and the
// document's title and text, which `corpus` (JSON lines, ParseTextRecord, `name` in errors) holds;
// equal scores keep their order. The scores of the rest are moved below. Only the texts that are
// needed are kept in memory. InvalidArgument for a topic or document that cannot be found.
absl::Status RerankRun(const Reranker& reranker, const std::vector<Topic>& topics,
                       chunking::ByteSource& corpus, const std::string& name,
                       const RerankRunOptions& options, TrecRun* run);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_BATCH_RERANK_RUN_H_
