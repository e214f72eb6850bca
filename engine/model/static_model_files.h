// The files of a static embedding model, as they are written.
#ifndef CAIRN_ENGINE_MODEL_STATIC_MODEL_FILES_H_
#define CAIRN_ENGINE_MODEL_STATIC_MODEL_FILES_H_

#include <string>
#include <string_view>

#include "engine/model/static_distillation.h"

namespace cairn::engine {

// What config.json says besides the model's size.
struct StaticModelFacts {
  std::string tokenizer_name;  // Of the encoder.
  double sif = 0;
  double alpha = 0.6;  // Weight of the vector score in convex fusion, theoretical minimum.
};

std::string StaticConfigJson(const DistilledModel& model, const StaticModelFacts& facts);

// Tensors `embeddings` (int8) and `weights` (float32).
std::string StaticSafetensors(const DistilledModel& model);

// A valid tokenizer.json without truncation and padding, which would be those of the encoder, and
// without white space between its parts.
std::string UncutTokenizerJson(std::string_view tokenizer_json);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_STATIC_MODEL_FILES_H_
