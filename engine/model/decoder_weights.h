// A decoder's weights in memory, packed for products.
#ifndef CAIRN_ENGINE_MODEL_DECODER_WEIGHTS_H_
#define CAIRN_ENGINE_MODEL_DECODER_WEIGHTS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/checkpoint.h"
#include "kernels/packed_matrix.h"
#include "kernels/thread_team.h"

namespace cairn::engine {

// Vectors are empty where the architecture has none.
struct LayerWeights {
  std::vector<float> attention_norm;     // [hidden]
  kernels::PackedMatrix query;           // [heads * head_dim][hidden]
  kernels::PackedMatrix key;             // [kv_heads * head_dim][hidden]
  kernels::PackedMatrix value;           // [kv_heads * head_dim][hidden]
  std::vector<float> qkv_bias;           // [(heads + 2 kv_heads) * head_dim]
  std::vector<float> query_norm;         // [head_dim]
  std::vector<float> key_norm;           // [head_dim]
  kernels::PackedMatrix output;          // [hidden][heads * head_dim]
  std::vector<float> feed_forward_norm;  // [hidden]
  kernels::PackedMatrix gate;            // [intermediate][hidden]
  kernels::PackedMatrix up;              // [intermediate][hidden]
  kernels::PackedMatrix down;            // [hidden][intermediate]

  size_t bytes() const;
};

struct DecoderWeights {
  std::vector<LayerWeights> layers;
  std::vector<float> output_norm;  // [hidden]
  kernels::PackedMatrix output;    // [vocabulary][hidden]

  size_t bytes() const;
};

// Packs all weights of `checkpoint`, by all members of `team`. What has been packed is dropped from
// the mapping, so memory never holds much more than the weights once. Matrices of a quantised
// format whose rows are not whole blocks do not exist: the checkpoint has checked that.
absl::StatusOr<DecoderWeights> LoadDecoderWeights(const Checkpoint& checkpoint,
                                                  kernels::ThreadTeam* team);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_DECODER_WEIGHTS_H_
