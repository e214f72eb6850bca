#include "engine/kv/chunk_attention_tally.h"

#include <algorithm>
#include <utility>

namespace cairn::engine {

ChunkAttentionTally::ChunkAttentionTally(std::vector<Chunk> chunks, size_t layers)
    : chunks_(std::move(chunks)),
      layers_(static_cast<float>(std::max<size_t>(1, layers))),
      attention_(chunks_.size()) {
  for (size_t c = 0; c < chunks_.size(); ++c) {
    if (!chunks_[c].counted) continue;
    attention_[c].token_inter.resize(chunks_[c].end - chunks_[c].begin);
    for (size_t b = 0; b < c; ++b) {
      attention_[c].before.push_back({chunks_[b].hash, chunks_[b].end - chunks_[b].begin, 0});
    }
  }
}

void ChunkAttentionTally::Add(const AttentionRequest& rows, Decoder* decoder) {
  const size_t tokens = size_t{rows.slots.back()} + 1;
  mass_.assign(rows.slots.size() * tokens, 0);
  AddAttentionMass(rows, decoder, mass_.data());
  for (size_t c = 0; c < chunks_.size(); ++c) {
    const Chunk& chunk = chunks_[c];
    if (!chunk.counted) continue;
    ChunkAttention& attention = attention_[c];
    for (size_t r = 0; r < rows.slots.size(); ++r) {
      if (rows.slots[r] < chunk.begin || rows.slots[r] >= chunk.end) continue;
      const auto paid = [&](const Chunk& to) {
        float total = 0;
        for (size_t t = to.begin; t < std::min<size_t>(tokens, to.end); ++t) {
          total += mass_[r * tokens + t];
        }
        return total / layers_;
      };
      for (size_t b = 0; b < c; ++b) {
        const float inter = paid(chunks_[b]);
        attention.before[b].inter += inter;
        attention.token_inter[rows.slots[r] - chunk.begin] += inter;
      }
      attention.intra += paid(chunk);
    }
  }
}

std::vector<ChunkAttention> ChunkAttentionTally::Take() { return std::move(attention_); }

bool LooksAtAttention(size_t layer, size_t layers, size_t count) {
  count = std::min(count, layers);
  return layer < layers && layer * count / layers != (layer + 1) * count / layers;
}

}  // namespace cairn::engine
