// Adds up the attention that chunks pay to each other while they are computed.
#ifndef CAIRN_ENGINE_KV_CHUNK_ATTENTION_TALLY_H_
#define CAIRN_ENGINE_KV_CHUNK_ATTENTION_TALLY_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/kv/attention_mass.h"
#include "engine/kv/chunk_kv.h"
#include "engine/model/decoder.h"

namespace cairn::engine {

// Of the chunks of one sequence. Not thread-safe.
class ChunkAttentionTally {
 public:
  struct Chunk {
    uint64_t hash = 0;
    uint32_t begin = 0, end = 0;  // Slots.
    bool counted = false;         // Whether what it pays is asked for.
  };
  // Chunks in the order of their slots; `layers`: how many layers Add is called for.
  ChunkAttentionTally(std::vector<Chunk> chunks, size_t layers);

  // What rows, each in every one of the layers once, pay to the tokens before them. Rows of chunks
  // that are not counted do no harm.
  void Add(const AttentionRequest& rows, Decoder* decoder);
  // By chunk; nothing for those that are not counted.
  std::vector<ChunkAttention> Take();

 private:
  std::vector<Chunk> chunks_;
  float layers_;
  std::vector<ChunkAttention> attention_;
  std::vector<float> mass_;
};

// Whether attention is looked at in `layer`, where it is in `count` of `layers`: in the last of
// each of `count` equal parts.
bool LooksAtAttention(size_t layer, size_t layers, size_t count);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_CHUNK_ATTENTION_TALLY_H_
