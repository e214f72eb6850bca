#include "engine/model/open_model.h"

#include "engine/model/static_embedder.h"

namespace cairn::engine {

absl::StatusOr<std::unique_ptr<Embedder>> OpenEmbedder(const std::string& path) {
  return StaticEmbedder::Load(path);
}

absl::StatusOr<std::unique_ptr<Reranker>> OpenReranker(const std::string& path) {
  return absl::InvalidArgumentError(path + " is no cross-encoder");
}

}  // namespace cairn::engine
