#include "engine/kv/chunk_kv_buffer.h"

namespace cairn::engine {

ChunkKvBuffer::ChunkKvBuffer(KvEncoding encoding, const KvShape& shape, size_t tokens,
                             uint32_t first_position)
    : encoding_(encoding), shape_(shape), tokens_(tokens), first_position_(first_position) {
  layers_.resize(shape.layers);
  for (std::vector<std::byte>& layer : layers_) {
    layer.resize(KvLayerBytes(encoding, shape, tokens));
  }
}

void ChunkKvBuffer::Fill(size_t layer, size_t first, size_t count, const float* keys,
                         const float* values) {
  EncodeKvTokens(encoding_, shape_, tokens_, first, count, keys, values, layers_[layer].data());
}

uint64_t ChunkKvBuffer::bytes() const {
  uint64_t bytes = 0;
  for (const std::vector<std::byte>& layer : layers_) bytes += layer.size();
  return bytes;
}

absl::Status ChunkKvBuffer::Read(size_t layer, size_t first, size_t count, float* keys,
                                 float* values) const {
  DecodeKvTokens(encoding_, shape_, tokens_, first, count, layers_[layer].data(), keys, values);
  return absl::OkStatus();
}

}  // namespace cairn::engine
