// Embedding models made from language models: the state of a text's last token.
#ifndef CAIRN_ENGINE_MODEL_DECODER_EMBEDDER_H_
#define CAIRN_ENGINE_MODEL_DECODER_EMBEDDER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "engine/model/decoder.h"
#include "engine/model/embedder.h"

namespace cairn::engine {

// Vector of a text = its tokens' states in the last layer, normed, pooled as the directory says
// (without modules.json, and for a GGUF file: the last token's), scaled to unit length. Prompts as
// an encoder's. Texts go through together as far as they fit in a pass. Calls wait for one another:
// each uses all of the decoder's threads.
//
// Errors as Checkpoint::Open's and Decoder::Create's.
absl::StatusOr<std::unique_ptr<Embedder>> OpenDecoderEmbedder(const std::string& path,
                                                              const DecoderOptions& options);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_DECODER_EMBEDDER_H_
