#include "engine/model/first_layers.h"

#include <algorithm>

namespace cairn::engine {

FirstLayers::FirstLayers(const Checkpoint* whole, uint64_t max_bytes)
    : whole_(whole), config_(whole->config()) {
  const uint64_t hidden = config_.hidden_size;
  const uint64_t heads = 2 * uint64_t{config_.heads} + 2 * uint64_t{config_.kv_heads};
  const uint64_t layer =
      (hidden * heads * config_.head_dim + 3 * hidden * config_.intermediate_size) * sizeof(float);
  const uint64_t layers = std::max<uint64_t>(2, max_bytes / std::max<uint64_t>(1, layer));
  config_.layers = static_cast<uint32_t>(std::min<uint64_t>(config_.layers, layers));
}

}  // namespace cairn::engine
