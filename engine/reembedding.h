// Another model's vectors for a collection that exists.
#ifndef CAIRN_ENGINE_REEMBEDDING_H_
#define CAIRN_ENGINE_REEMBEDDING_H_

#include <string>

#include "absl/status/statusor.h"
#include "engine/engine.h"
#include "engine/model/embedder.h"
#include "index/store.h"

namespace cairn::engine {

// Engine::Reembed over an open store, with `embedder`, called `model` in messages. The chunks stay
// as they are; their terms are analysed anew.
//
// Documents are copied into a second collection (index::Reembedding) by ascending chunk id, durably
// a few hundred at a time, while searches and ingestion go on. Rounds of comparing and copying
// follow until little is left; the last one keeps writers out, and then the collections change
// places. So a stop at any moment costs the documents of the batches at work, and whatever is
// written meanwhile is there afterwards.
absl::StatusOr<ReembedReport> RunReembedding(index::Store* store, const Embedder& embedder,
                                             const std::string& model,
                                             const ReembedOptions& options);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_REEMBEDDING_H_
