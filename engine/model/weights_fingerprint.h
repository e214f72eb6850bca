// A name for a model's weights that does not take reading them all.
#ifndef CAIRN_ENGINE_MODEL_WEIGHTS_FINGERPRINT_H_
#define CAIRN_ENGINE_MODEL_WEIGHTS_FINGERPRINT_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model/checkpoint.h"

namespace cairn::engine {

// Hex digest of `tag` (what is made of the weights, and in which version), of `files` (all that is
// not weights) and of some bytes of each tensor: its beginning, middle and end.
std::string WeightsFingerprint(std::string_view tag, const std::vector<std::string_view>& files,
                               const std::map<std::string, TensorView, std::less<>>& tensors);

// Of a language model.
std::string WeightsFingerprint(const std::vector<std::string_view>& files,
                               const Checkpoint& checkpoint);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_WEIGHTS_FINGERPRINT_H_
