// A chunk's keys and values in memory.
#ifndef CAIRN_ENGINE_KV_CHUNK_KV_BUFFER_H_
#define CAIRN_ENGINE_KV_CHUNK_KV_BUFFER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "engine/kv/chunk_kv.h"
#include "engine/kv/kv_encoding.h"

namespace cairn::engine {

// Holds encoded layers. Filled by one thread, then immutable.
class ChunkKvBuffer final : public ChunkKv {
 public:
  ChunkKvBuffer(KvEncoding encoding, const KvShape& shape, size_t tokens, uint32_t first_position);

  // Takes keys (before their rotation) and values [count][shape.width()] of tokens
  // [first, first + count) of `layer`.
  void Fill(size_t layer, size_t first, size_t count, const float* keys, const float* values);
  void SetAttention(ChunkAttention attention) { attention_ = std::move(attention); }

  KvEncoding encoding() const { return encoding_; }
  // One layer as docs/formats/kv-blob.md has it.
  const std::vector<std::byte>& layer(size_t l) const { return layers_[l]; }

  const KvShape& shape() const override { return shape_; }
  size_t tokens() const override { return tokens_; }
  const ChunkAttention* attention() const override {
    return attention_.has_value() ? &*attention_ : nullptr;
  }
  uint32_t first_position() const override { return first_position_; }
  uint64_t bytes() const override;
  absl::Status Read(size_t layer, size_t first, size_t count, float* keys,
                    float* values) const override;

 private:
  const KvEncoding encoding_;
  const KvShape shape_;
  const size_t tokens_;
  const uint32_t first_position_;
  std::vector<std::vector<std::byte>> layers_;
  std::optional<ChunkAttention> attention_;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_CHUNK_KV_BUFFER_H_
