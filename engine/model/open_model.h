// Opens a model for what it is to do, whatever its kind.
#ifndef CAIRN_ENGINE_MODEL_OPEN_MODEL_H_
#define CAIRN_ENGINE_MODEL_OPEN_MODEL_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "engine/model/embedder.h"
#include "engine/model/reranker.h"

namespace cairn::engine {

// An embedding model: a static one (static_embedder.h), an encoder (encoder_embedder.h), or a
// language model (decoder_embedder.h), which may be a GGUF file. NotFound where there is nothing at
// `path`, InvalidArgument naming the file and the fault, also for a model that is no embedder.
absl::StatusOr<std::unique_ptr<Embedder>> OpenEmbedder(const std::string& path);

// A cross-encoder (cross_encoder.h); errors as OpenEmbedder's.
absl::StatusOr<std::unique_ptr<Reranker>> OpenReranker(const std::string& path);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_OPEN_MODEL_H_
