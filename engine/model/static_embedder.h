// Static embedding models: token vectors and their weighted mean (model2vec's directory layout).
#ifndef CAIRN_ENGINE_MODEL_STATIC_EMBEDDER_H_
#define CAIRN_ENGINE_MODEL_STATIC_EMBEDDER_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/model/embedder.h"

namespace cairn::engine {

// The three files of a model directory, in memory.
struct StaticModelFiles {
  std::string_view config_json;
  std::string_view safetensors;
  std::string_view tokenizer_json;
};

// Vector of a text = mean over its known tokens t (no special tokens, unknown dropped) of
// weights[t] * embeddings[mapping[t]], scaled to unit length. `embeddings` is float32, float16 or
// int8 (cast to float, as model2vec does), `weights` (float32, float64) and `mapping` (int32,
// int64) are optional tensors. Models with `normalize: false` are normalised all the same, because
// cairn compares by cosine.
class StaticEmbedder : public Embedder {
 public:
  // Copies what it needs; the files may go away afterwards. InvalidArgument naming the file and the
  // fault for anything malformed: shapes that disagree, NaN or infinity, a mapping out of range,
  // a tokenizer whose ids lie outside the embeddings.
  static absl::StatusOr<std::unique_ptr<StaticEmbedder>> Create(const StaticModelFiles& files);

  // Reads config.json, model.safetensors and tokenizer.json from `directory`.
  static absl::StatusOr<std::unique_ptr<StaticEmbedder>> Load(const std::string& directory);

  // The model compiled into the library.
  static absl::StatusOr<std::unique_ptr<StaticEmbedder>> Default();
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_STATIC_EMBEDDER_H_
