// Keys and values of one layer as bytes: the extents of docs/formats/kv-blob.md.
#ifndef CAIRN_ENGINE_KV_KV_ENCODING_H_
#define CAIRN_ENGINE_KV_KV_ENCODING_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace cairn::engine {

// What a token's keys, or its values, are in each layer of a model.
struct KvShape {
  uint32_t layers = 0;
  uint32_t kv_heads = 0;
  uint32_t head_dim = 0;

  size_t width() const { return size_t{kv_heads} * head_dim; }
  friend bool operator==(const KvShape&, const KvShape&) = default;
};

// How numbers are stored. kI8 keeps a float32 scale for each token and head.
enum class KvEncoding : uint8_t { kF32 = 0, kF16 = 1, kI8 = 2 };

// "f32", "f16", "int8".
std::string_view KvEncodingName(KvEncoding encoding);
std::optional<KvEncoding> ParseKvEncoding(std::string_view name);

// Bytes of one layer's keys and values of `tokens` tokens.
size_t KvLayerBytes(KvEncoding encoding, const KvShape& shape, size_t tokens);

// Writes keys and values [count][shape.width()] to the places of tokens [first, first + count) in
// `layer` [KvLayerBytes(encoding, shape, tokens)]. Values beyond the encoding's range become its
// largest, NaN too.
void EncodeKvTokens(KvEncoding encoding, const KvShape& shape, size_t tokens, size_t first,
                    size_t count, const float* keys, const float* values, std::byte* layer);

// Reads them back.
void DecodeKvTokens(KvEncoding encoding, const KvShape& shape, size_t tokens, size_t first,
                    size_t count, const std::byte* layer, float* keys, float* values);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_KV_ENCODING_H_
