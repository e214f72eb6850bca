// The settings of an encoder of the BERT family in a Hugging Face directory.
#ifndef CAIRN_ENGINE_MODEL_ENCODER_CONFIG_H_
#define CAIRN_ENGINE_MODEL_ENCODER_CONFIG_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace cairn::engine {

// Bert stands for MiniLM, BGE, E5 and GTE too, Roberta for XLM-RoBERTa and what is made from it
// (multilingual E5, BGE-M3's small kin).
enum class EncoderFamily : uint8_t { kBert, kRoberta };

enum class EncoderActivation : uint8_t { kGelu, kGeluTanh, kRelu };

// All counts are checked: positive, and of a size that their products cannot overflow.
struct EncoderConfig {
  EncoderFamily family = EncoderFamily::kBert;
  uint32_t layers = 0;
  uint32_t hidden_size = 0;
  uint32_t intermediate_size = 0;
  uint32_t heads = 0;  // Divides hidden_size.
  uint32_t vocabulary_size = 0;
  uint32_t positions = 0;       // Rows of the position embeddings.
  uint32_t first_position = 0;  // A text's first token has this one.
  uint32_t types = 0;           // Rows of the token type embeddings.
  float norm_epsilon = 1e-12f;
  EncoderActivation activation = EncoderActivation::kGelu;
  uint32_t labels = 0;  // Outputs of the classification head; 0: the model has none.

  uint32_t head_dim() const { return hidden_size / heads; }
  uint32_t max_tokens() const { return positions - first_position; }
};

// Whether a config.json's model_type is an encoder's. False for what is malformed too.
bool IsEncoderConfig(std::string_view config_json);

// Reads and checks a config.json; what is left out is what transformers takes for it.
// InvalidArgument naming the setting that is wrong, or that asks for something cairn does not
// compute.
absl::StatusOr<EncoderConfig> ParseEncoderConfig(std::string_view config_json);

struct EncoderTensor {
  std::string name;             // transformers', without "bert." or "roberta.".
  std::vector<uint64_t> shape;  // Row-major.
};

// All tensors that computing the model takes.
std::vector<EncoderTensor> TensorsOf(const EncoderConfig& config);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_ENCODER_CONFIG_H_
