// A name for a model's weights that does not take reading them all.
#ifndef CAIRN_ENGINE_MODEL_WEIGHTS_FINGERPRINT_H_
#define CAIRN_ENGINE_MODEL_WEIGHTS_FINGERPRINT_H_

#include <string>
#include <string_view>
#include <vector>

#include "engine/model/checkpoint.h"

namespace cairn::engine {

// Hex digest of `files` (all that is not weights) and of some bytes of each tensor: its beginning,
// middle and end.
std::string WeightsFingerprint(const std::vector<std::string_view>& files,
                               const Checkpoint& checkpoint);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_WEIGHTS_FINGERPRINT_H_
