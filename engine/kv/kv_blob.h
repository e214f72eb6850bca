// Keys and values of a chunk as they are stored: bytes of every layer, and what to know of them.
#ifndef CAIRN_ENGINE_KV_KV_BLOB_H_
#define CAIRN_ENGINE_KV_KV_BLOB_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/kv/chunk_kv.h"
#include "engine/kv/chunk_kv_buffer.h"
#include "engine/kv/kv_encoding.h"

namespace cairn::engine {

// Bytes that begin at a multiple of 64, not set to anything at first. Movable.
class AlignedBytes {
 public:
  static constexpr std::align_val_t kAlignment{64};

  AlignedBytes() = default;
  explicit AlignedBytes(size_t size)
      : data_(static_cast<std::byte*>(::operator new[](size, kAlignment))), size_(size) {}

  std::byte* data() { return data_.get(); }
  const std::byte* data() const { return data_.get(); }
  size_t size() const { return size_; }
  absl::Span<std::byte> span() { return {data_.get(), size_}; }
  absl::Span<const std::byte> span() const { return {data_.get(), size_}; }

 private:
  struct Free {
    void operator()(std::byte* p) const { ::operator delete[](p, kAlignment); }
  };
  std::unique_ptr<std::byte[], Free> data_;
  size_t size_ = 0;
};

// What is known of a chunk's keys and values without reading them.
struct KvMetadata {
  KvShape shape;
  KvEncoding encoding = KvEncoding::kF16;
  uint32_t tokens = 0;
  uint32_t first_position = 0;
  std::optional<ChunkAttention> attention;

  size_t layer_bytes() const { return KvLayerBytes(encoding, shape, tokens); }
};

// As in a blob file. Attention statistics that would be too long for one are left out.
std::string EncodeKvMetadata(const KvMetadata& metadata);
// DataLoss for anything else. What it accepts has sizes that can be multiplied.
absl::StatusOr<KvMetadata> DecodeKvMetadata(std::string_view bytes);

// A chunk's keys and values, to be stored: shape.layers layers of layer_bytes() each.
struct KvBlob {
  KvMetadata metadata;
  std::vector<AlignedBytes> layers;
  double seconds = 0;  // What they cost to compute.
};

// A copy of what is in memory.
KvBlob BlobOf(const ChunkKvBuffer& kv, double seconds);

// InvalidArgument unless it is what its metadata says.
absl::Status CheckKvBlob(const KvBlob& blob);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_KV_BLOB_H_
