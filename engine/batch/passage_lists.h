// Queries with passages, put into a reranker's order.
#ifndef CAIRN_ENGINE_BATCH_PASSAGE_LISTS_H_
#define CAIRN_ENGINE_BATCH_PASSAGE_LISTS_H_

#include <atomic>
#include <functional>
#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "chunking/readers/reader.h"
#include "engine/batch/embed_records.h"
#include "engine/model/reranker.h"

namespace cairn::engine {

struct PassageListsOptions {
  bool skip_bad = false;
  std::function<void(const BatchReport&)> on_progress;  // On the caller's thread.
  const std::atomic<bool>* cancel = nullptr;
};

// Reads JSON lines {"query", "passages"}, where a passage is a string or an object with "text" and
// perhaps "title", and writes each line with its passages as objects that have a "score", best
// first; equal scores keep their order. Other members stay. A list is in memory at a time, and the
// next. `report` is filled in on an error, too.
absl::Status RerankLists(const Reranker& reranker, chunking::ByteSource& in,
                         const std::string& name, std::ostream& out,
                         const PassageListsOptions& options, BatchReport* report);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_BATCH_PASSAGE_LISTS_H_
