// Keys and values that a chunk's tokens once had, kept for prompts to come.
#ifndef CAIRN_ENGINE_KV_CHUNK_KV_H_
#define CAIRN_ENGINE_KV_CHUNK_KV_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "engine/kv/kv_encoding.h"

namespace cairn::engine {

// What attention the tokens of a chunk paid to what stood before it when its keys and values were
// computed, for Cache-Craft's rules (arXiv 2502.15734). A mass is the sum of softmax weights over
// pairs of tokens, a mean over heads and over the layers that were looked at.
struct ChunkAttention {
  // A chunk that stood before it, and what all of this chunk's tokens paid to it: inter(C, Cj).
  struct Before {
    uint64_t hash = 0;  // Of its tokens: HashTokens.
    uint32_t tokens = 0;
    float inter = 0;
  };
  std::vector<Before> before;      // In the order of the text.
  float intra = 0;                 // The mass within the chunk.
  std::vector<float> token_inter;  // By token: its mass in all chunks before.
};

// Keys (before their rotation) and values of a run of tokens in every layer of a model. Immutable;
// thread-safe.
class ChunkKv {
 public:
  virtual ~ChunkKv() = default;

  virtual const KvShape& shape() const = 0;
  virtual size_t tokens() const = 0;
  // Null where none was computed.
  virtual const ChunkAttention* attention() const = 0;
  // Where the first of the tokens stood when they were computed.
  virtual uint32_t first_position() const = 0;
  virtual uint64_t bytes() const = 0;  // In memory or on disk.

  // Fills keys and values [count][shape().width()] of tokens [first, first + count), which exist,
  // in `layer`. Waits for the layer where it is still being loaded. DataLoss where what was stored
  // is not what is there now.
  virtual absl::Status Read(size_t layer, size_t first, size_t count, float* keys,
                            float* values) const = 0;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_CHUNK_KV_H_
