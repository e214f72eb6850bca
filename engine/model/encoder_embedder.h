// Embedding models of the BERT family, as sentence-transformers lays them out.
#ifndef CAIRN_ENGINE_MODEL_ENCODER_EMBEDDER_H_
#define CAIRN_ENGINE_MODEL_ENCODER_EMBEDDER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "engine/model/embedder.h"
#include "engine/model/encoder.h"

namespace cairn::engine {

// Vector of a text = its tokens' states in the last layer, pooled as the directory says, scaled to
// unit length. Before a query stands the prompt called "query", before a passage that called
// "document" or "passage"; without one of these the default prompt. A text's vector does not depend
// on the other texts of a call.
//
// InvalidArgument for a cross-encoder; otherwise errors as EncoderCheckpoint::Open's.
absl::StatusOr<std::unique_ptr<Embedder>> OpenEncoderEmbedder(const std::string& directory,
                                                              const EncoderOptions& options);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_ENCODER_EMBEDDER_H_
