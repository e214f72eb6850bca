// Keys and values to store, without a model.
#ifndef CAIRN_TESTS_SUPPORT_KV_BLOBS_H_
#define CAIRN_TESTS_SUPPORT_KV_BLOBS_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "engine/kv/kv_blob.h"
#include "engine/kv/kv_encoding.h"

namespace cairn::testing {

// Of kv_store_child: its documents, and room for some of their blobs.
inline constexpr uint32_t kChildDocuments = 5;
inline constexpr uint64_t kChildDiskBytes = 4 * 17000;

// The number at [token][i] of a layer's keys, or its values.
inline float KvNumber(uint32_t seed, size_t layer, bool value, size_t token, size_t i) {
  const uint32_t mixed = static_cast<uint32_t>((seed * 31 + layer) * 31 + (value ? 7 : 0)) * 31 +
                         static_cast<uint32_t>(token * 17 + i);
  return static_cast<float>(mixed % 2048);  // Exact in float16.
}

// Numbers that depend on the seed.
inline engine::KvBlob MakeKvBlob(uint32_t seed, uint32_t tokens = 3, uint32_t layers = 4,
                                 double seconds = 1,
                                 engine::KvEncoding encoding = engine::KvEncoding::kF16) {
  engine::KvBlob blob;
  blob.metadata.shape = {layers, 2, 4};
  blob.metadata.encoding = encoding;
  blob.metadata.tokens = tokens;
  blob.metadata.first_position = seed;
  blob.seconds = seconds;
  const size_t width = blob.metadata.shape.width();
  for (size_t layer = 0; layer < layers; ++layer) {
    std::vector<float> keys(tokens * width), values(tokens * width);
    for (size_t n = 0; n < keys.size(); ++n) {
      keys[n] = KvNumber(seed, layer, false, n / width, n % width);
      values[n] = KvNumber(seed, layer, true, n / width, n % width);
    }
    engine::AlignedBytes bytes(blob.metadata.layer_bytes());
    engine::EncodeKvTokens(encoding, blob.metadata.shape, tokens, 0, tokens, keys.data(),
                           values.data(), bytes.data());
    blob.layers.push_back(std::move(bytes));
  }
  return blob;
}

// Whether the numbers are those of MakeKvBlob, in every layer.
inline absl::Status CheckKv(const engine::ChunkKv& kv, uint32_t seed) {
  const size_t width = kv.shape().width();
  std::vector<float> keys(kv.tokens() * width), values(keys.size());
  for (size_t layer = 0; layer < kv.shape().layers; ++layer) {
    absl::Status s = kv.Read(layer, 0, kv.tokens(), keys.data(), values.data());
    if (!s.ok()) return s;
    for (size_t n = 0; n < keys.size(); ++n) {
      if (keys[n] != KvNumber(seed, layer, false, n / width, n % width) ||
          values[n] != KvNumber(seed, layer, true, n / width, n % width)) {
        return absl::InternalError("other numbers than were stored");
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_SUPPORT_KV_BLOBS_H_
