#include "engine/kv/chunk_capture.h"

#include <algorithm>

namespace cairn::engine {

ChunkCapture::ChunkCapture(Decoder* decoder, const KvSequence* sequence, size_t start,
                           absl::Span<const KnownPassage> known, std::vector<Passage> passages,
                           KvEncoding encoding, size_t attention_layers)
    : decoder_(decoder),
      sequence_(sequence),
      start_(start),
      attention_layers_(attention_layers),
      passages_(std::move(passages)),
      known_(known.size()),
      kept_(passages_.size()) {
  const ModelConfig& config = decoder->config();
  const auto slot = [&](uint32_t row) { return static_cast<uint32_t>(start_) + row; };
  std::vector<ChunkAttentionTally::Chunk> chunks;
  for (const KnownPassage& passage : known) {
    chunks.push_back({passage.hash, passage.begin, passage.end, false});
  }
  for (size_t p = 0; p < passages_.size(); ++p) {
    const Passage& passage = passages_[p];
    chunks.push_back({passage.hash,
                      slot(passage.begin) - static_cast<uint32_t>(passage.known_tokens),
                      slot(passage.end), passage.keep});
    if (!passage.keep) continue;
    kept_[p] = std::make_shared<ChunkKvBuffer>(
        encoding, KvShape{config.layers, config.kv_heads, config.head_dim},
        passage.end - passage.begin, slot(passage.begin));
  }
  if (attention_layers > 0 && config.layers > 1) {
    tally_.emplace(std::move(chunks), std::min<size_t>(attention_layers, config.layers - 1));
  }
}

bool ChunkCapture::Wants(uint32_t first, uint32_t last) const {
  return std::any_of(passages_.begin(), passages_.end(), [&](const Passage& passage) {
    return passage.keep && passage.begin <= last && passage.end > first;
  });
}

bool ChunkCapture::WantsQueries(size_t layer) const {
  return tally_.has_value() &&
         LooksAtAttention(layer, decoder_->config().layers - 1, attention_layers_);
}

void ChunkCapture::Take(size_t layer, absl::Span<const uint32_t> rows, const float* keys,
                        const float* values, const float* queries) {
  const ModelConfig& config = decoder_->config();
  const size_t kv_width = size_t{config.kv_heads} * config.head_dim;
  const size_t query_width = size_t{config.heads} * config.head_dim;
  const bool looks = queries != nullptr && WantsQueries(layer);
  for (size_t p = 0; p < passages_.size(); ++p) {
    const Passage& passage = passages_[p];
    if (!passage.keep) continue;
    // All of its rows are computed, so those that are here are neighbours.
    const auto begin = std::lower_bound(rows.begin(), rows.end(), passage.begin);
    const auto end = std::lower_bound(begin, rows.end(), passage.end);
    if (begin == end) continue;
    const auto at = static_cast<size_t>(begin - rows.begin());
    const auto count = static_cast<size_t>(end - begin);
    kept_[p]->Fill(layer, *begin - passage.begin, count, keys + at * kv_width,
                   values + at * kv_width);
    if (!looks) continue;
    std::vector<uint32_t> slots(begin, end);
    for (uint32_t& slot : slots) slot += static_cast<uint32_t>(start_);
    tally_->Add({.sequence = sequence_,
                 .layer = layer,
                 .slots = slots,
                 .queries = queries + at * query_width},
                decoder_);
  }
}

std::vector<std::pair<size_t, std::shared_ptr<const ChunkKvBuffer>>> ChunkCapture::Finish() {
  std::vector<ChunkAttention> attention;
  if (tally_.has_value()) attention = tally_->Take();
  std::vector<std::pair<size_t, std::shared_ptr<const ChunkKvBuffer>>> finished;
  for (size_t p = 0; p < passages_.size(); ++p) {
    if (kept_[p] == nullptr) continue;
    if (tally_.has_value()) kept_[p]->SetAttention(std::move(attention[known_ + p]));
    finished.emplace_back(passages_[p].part, std::move(kept_[p]));
  }
  return finished;
}

}  // namespace cairn::engine
