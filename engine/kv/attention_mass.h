// Who looks at what: attention weights themselves, which the attention kernels never write down.
#ifndef CAIRN_ENGINE_KV_ATTENTION_MASS_H_
#define CAIRN_ENGINE_KV_ATTENTION_MASS_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "engine/model/decoder.h"
#include "engine/model/kv_cache.h"

namespace cairn::engine {

// Rows' attention in one layer.
struct AttentionRequest {
  const KvSequence* sequence = nullptr;  // Keys are in place, reserved slots too.
  size_t layer = 0;
  absl::Span<const uint32_t> slots;  // Of the rows, ascending; row i sees tokens [0, slots[i]].
  const float* queries = nullptr;    // [rows][heads * head_dim], rotated.
};

// Adds to mass [rows][slots.back() + 1] what each row pays to each token: softmax weights, their
// mean over the heads, so that a row pays 1 in all. Heads of `decoder`'s model; its threads share
// the work.
void AddAttentionMass(const AttentionRequest& request, Decoder* decoder, float* mass);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_ATTENTION_MASS_H_
