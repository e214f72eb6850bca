// The models by themselves: texts to vectors, passages to scores.
#ifndef CAIRN_ENGINE_MODEL_CALLS_H_
#define CAIRN_ENGINE_MODEL_CALLS_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/engine.h"
#include "engine/model/embedder.h"
#include "engine/model/reranker.h"

namespace cairn::engine {

// Engine::Embed with the model given. Thread-safe.
absl::StatusOr<std::vector<std::vector<float>>> EmbedTexts(const Embedder& embedder,
                                                           absl::Span<const std::string> texts,
                                                           TextUse use);

// Engine::Rerank with the model given. Internal when it gives a score that is not finite.
// Thread-safe.
absl::StatusOr<std::vector<float>> ScorePassages(const Reranker& reranker, const std::string& query,
                                                 absl::Span<const std::string> passages,
                                                 const std::function<bool()>& is_cancelled);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_CALLS_H_
