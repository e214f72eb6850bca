// Cross-encoders: an encoder reads query and passage as one text and gives one number.
#ifndef CAIRN_ENGINE_MODEL_CROSS_ENCODER_H_
#define CAIRN_ENGINE_MODEL_CROSS_ENCODER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "engine/model/encoder.h"
#include "engine/model/reranker.h"

namespace cairn::engine {

struct CrossEncoderOptions {
  EncoderOptions encoder;
  size_t threads = 0;  // For one query's passages; 0: one per core.
};

// A model with a classification head of one output (MS MARCO's MiniLM and TinyBERT, BGE's
// rerankers). A query takes at most half of the model's tokens, a passage the rest.
//
// InvalidArgument for an encoder without such a head; otherwise errors as
// EncoderCheckpoint::Open's.
absl::StatusOr<std::unique_ptr<Reranker>> OpenCrossEncoder(const std::string& directory,
                                                           const CrossEncoderOptions& options);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_CROSS_ENCODER_H_
