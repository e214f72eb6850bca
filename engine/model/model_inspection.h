// What a model's files say of it.
#ifndef CAIRN_ENGINE_MODEL_MODEL_INSPECTION_H_
#define CAIRN_ENGINE_MODEL_MODEL_INSPECTION_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/checkpoint.h"
#include "engine/model/encoder_config.h"
#include "engine/model/sentence_transformers.h"

namespace cairn::engine {

struct ModelInspection {
  std::string file_format;               // "GGUF 3" or "Hugging Face".
  ModelConfig config;                    // Of a language model,
  std::optional<EncoderConfig> encoder;  // or this of an encoder.
  uint64_t parameters = 0;
  std::map<kernels::BlockFormat, uint64_t> bytes;  // Of the tensors, by their format.
  struct Tensor {
    std::string name;
    kernels::BlockFormat format;
    std::vector<uint64_t> shape;  // Row-major.
  };
  std::vector<Tensor> tensors;
  uint32_t tokens = 0;          // That the tokenizer knows; 0 where it cannot be used.
  std::string tokenizer_error;  // Why not.
  bool has_chat_template = false;
  // How the model makes a text's vector: of encoders, and where the directory is one of
  // sentence-transformers.
  std::optional<SentenceTransformer> embedding;
  std::string embedding_error;  // Why not, where it is one all the same.
  std::string fingerprint;
};

// A language model or an encoder; errors as Checkpoint::Open's or EncoderCheckpoint::Open's.
absl::StatusOr<ModelInspection> InspectModel(const std::string& path);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_MODEL_INSPECTION_H_
