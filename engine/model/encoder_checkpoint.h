// An encoder on disk: settings, tensors, tokenizer, and what a search needs to know of it.
#ifndef CAIRN_ENGINE_MODEL_ENCODER_CHECKPOINT_H_
#define CAIRN_ENGINE_MODEL_ENCODER_CHECKPOINT_H_

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "chunking/text/tokenizer.h"
#include "engine/model/embedder.h"
#include "engine/model/encoder_config.h"
#include "engine/model/hf_weights.h"
#include "engine/model/sentence_transformers.h"

namespace cairn::engine {

// A Hugging Face directory of the BERT family, checked and mapped; nothing of the weights is read.
class EncoderCheckpoint {
 public:
  // Reads config.json, *.safetensors, tokenizer.json (or vocab.txt), and where there are some the
  // files of sentence-transformers. NotFound for what is missing, InvalidArgument for what is
  // wrong, both naming the file.
  static absl::StatusOr<std::unique_ptr<EncoderCheckpoint>> Open(const std::string& directory);

  const EncoderConfig& config() const { return config_; }
  // A tensor of TensorsOf(config()), in the shape it says.
  const TensorView& tensor(const std::string& name) const;
  const std::map<std::string, TensorView, std::less<>>& tensors() const {
    return weights_.tensors();
  }
  void Drop(const TensorView& tensor) const { weights_.Drop(tensor.bytes); }

  // Pooling, prompts and the limit of tokens, special ones included, that the directory or the
  // position embeddings set. Without modules.json: the mean of the states.
  const SentenceTransformer& sentences() const { return sentences_; }
  size_t max_tokens() const { return *sentences_.max_tokens; }
  const FusionAdvice& fusion() const { return fusion_; }
  const std::string& fingerprint() const { return fingerprint_; }

  // Puts a token before each text and one behind it, as the model wants.
  const chunking::Tokenizer& tokenizer() const { return *tokenizer_; }
  std::unique_ptr<chunking::Tokenizer> TakeTokenizer() { return std::move(tokenizer_); }

 private:
  EncoderCheckpoint(EncoderConfig config, HfWeights weights)
      : config_(config), weights_(std::move(weights)) {}

  EncoderConfig config_;
  HfWeights weights_;
  SentenceTransformer sentences_;
  FusionAdvice fusion_;
  std::unique_ptr<chunking::Tokenizer> tokenizer_;
  std::string fingerprint_;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_ENCODER_CHECKPOINT_H_
