// The part of a model's config.json that cairn reads.
#ifndef CAIRN_ENGINE_MODEL_MODEL_CONFIG_H_
#define CAIRN_ENGINE_MODEL_MODEL_CONFIG_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "engine/model/embedder.h"

namespace cairn::engine {

// Reads {"cairn": {"fusion": "convex", "normalization": "theoretical" | "min-max", "alpha": 0..1}}.
// Everything else is ignored, and `given` is false without an alpha. InvalidArgument for malformed
// JSON and for values that are none of these.
absl::StatusOr<FusionAdvice> ParseFusionAdvice(std::string_view config_json);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_MODEL_CONFIG_H_
