// Keeps the keys and values of a prompt's passages as they are computed.
#ifndef CAIRN_ENGINE_KV_CHUNK_CAPTURE_H_
#define CAIRN_ENGINE_KV_CHUNK_CAPTURE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "engine/kv/blender.h"
#include "engine/kv/chunk_attention_tally.h"
#include "engine/kv/chunk_kv_buffer.h"
#include "engine/model/decoder.h"
#include "engine/model/kv_cache.h"

namespace cairn::engine {

// Sees every row of the passages that are to be kept in every layer once. Not thread-safe.
class ChunkCapture {
 public:
  struct Passage {
    size_t part = 0;  // Of the prompt: whoever asks knows it by that.
    uint64_t hash = 0;
    uint32_t begin = 0, end = 0;  // Rows: `start` is the slot of row 0.
    size_t known_tokens = 0;      // Of it, right before `begin`: BlendPart::known_tokens.
    bool keep = false;            // Of one that is here as a whole.
  };
  // `known` and then `passages` in the order of their tokens. `attention_layers`: how many layers,
  // but the last, are looked at for ChunkAttention. 0: none.
  ChunkCapture(Decoder* decoder, const KvSequence* sequence, size_t start,
               absl::Span<const KnownPassage> known, std::vector<Passage> passages,
               KvEncoding encoding, size_t attention_layers);

  // Whether anything of [first, last], ascending rows, is kept.
  bool Wants(uint32_t first, uint32_t last) const;
  bool WantsQueries(size_t layer) const;

  // keys and values [rows][kv width] of ascending rows, whose keys are in the sequence;
  // queries [rows][heads * head_dim] of a layer that WantsQueries.
  void Take(size_t layer, absl::Span<const uint32_t> rows, const float* keys, const float* values,
            const float* queries);

  // After the last layer: each passage that was kept, by its part.
  std::vector<std::pair<size_t, std::shared_ptr<const ChunkKvBuffer>>> Finish();

 private:
  Decoder* const decoder_;
  const KvSequence* const sequence_;
  const size_t start_;
  const size_t attention_layers_;
  const std::vector<Passage> passages_;
  const size_t known_;                                // How many stand before them.
  std::vector<std::shared_ptr<ChunkKvBuffer>> kept_;  // By passage; null: not kept.
  std::optional<ChunkAttentionTally> tally_;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_CHUNK_CAPTURE_H_
