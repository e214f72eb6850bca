#include "engine/kv/kv_blob.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "index/kv_blob_files.h"
#include "index/row_codec.h"

namespace cairn::engine {
namespace {

// So that no size below overflows.
constexpr uint64_t kMaxDimension = uint64_t{1} << 16;
constexpr uint64_t kMaxTokens = uint64_t{1} << 24;
constexpr uint64_t kMaxPosition = uint64_t{1} << 31;

template <typename T>
void Write(T value, index::RowWriter* writer) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  writer->Raw({bytes, sizeof bytes});
}

template <typename T>
T Read(index::RowReader* reader) {
  T value = 0;
  const std::string_view bytes = reader->Raw(sizeof value);
  if (bytes.size() == sizeof value) std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

// A mass: finite; anything else fails the row.
float ReadMass(index::RowReader* reader) {
  const float mass = Read<float>(reader);
  if (std::isfinite(mass)) return mass;
  reader->Fail();
  return 0;
}

void WriteAttention(const ChunkAttention& attention, index::RowWriter* writer) {
  Write(attention.intra, writer);
  writer->Varint(attention.before.size());
  for (const ChunkAttention::Before& chunk : attention.before) {
    Write(chunk.hash, writer);
    writer->Varint(chunk.tokens);
    Write(chunk.inter, writer);
  }
  writer->Varint(attention.token_inter.size());
  for (float mass : attention.token_inter) Write(mass, writer);
}

ChunkAttention ReadAttention(index::RowReader* reader, uint32_t tokens) {
  ChunkAttention attention;
  attention.intra = ReadMass(reader);
  const size_t before = reader->Count(sizeof(uint64_t) + 1 + sizeof(float));
  for (size_t i = 0; i < before && reader->ok(); ++i) {
    ChunkAttention::Before& chunk = attention.before.emplace_back();
    chunk.hash = Read<uint64_t>(reader);
    chunk.tokens = static_cast<uint32_t>(reader->Varint(std::numeric_limits<uint32_t>::max()));
    chunk.inter = ReadMass(reader);
  }
  const size_t masses = reader->Count(sizeof(float));
  if (masses != 0 && masses != tokens) reader->Fail();
  for (size_t i = 0; i < masses && reader->ok(); ++i) {
    attention.token_inter.push_back(ReadMass(reader));
  }
  return attention;
}

std::string EncodeWith(const KvMetadata& metadata, const ChunkAttention* attention) {
  index::RowWriter writer;
  writer.Varint(metadata.shape.layers);
  writer.Varint(metadata.shape.kv_heads);
  writer.Varint(metadata.shape.head_dim);
  writer.Byte(static_cast<uint8_t>(metadata.encoding));
  writer.Varint(metadata.tokens);
  writer.Varint(metadata.first_position);
  writer.Byte(attention != nullptr ? 1 : 0);
  if (attention != nullptr) WriteAttention(*attention, &writer);
  return std::move(writer).Finish("");
}

}  // namespace

std::string EncodeKvMetadata(const KvMetadata& metadata) {
  if (metadata.attention.has_value()) {
    std::string bytes = EncodeWith(metadata, &*metadata.attention);
    if (bytes.size() <= index::kMaxKvMetadataBytes) return bytes;
  }
  return EncodeWith(metadata, nullptr);
}

absl::StatusOr<KvMetadata> DecodeKvMetadata(std::string_view bytes) {
  absl::StatusOr<index::RowReader> reader = index::RowReader::Open("", bytes);
  if (!reader.ok()) return reader.status();
  KvMetadata metadata;
  metadata.shape.layers = static_cast<uint32_t>(reader->Varint(index::kMaxKvExtents));
  metadata.shape.kv_heads = static_cast<uint32_t>(reader->Varint(kMaxDimension));
  metadata.shape.head_dim = static_cast<uint32_t>(reader->Varint(kMaxDimension));
  const uint8_t encoding = reader->Byte();
  metadata.tokens = static_cast<uint32_t>(reader->Varint(kMaxTokens));
  metadata.first_position = static_cast<uint32_t>(reader->Varint(kMaxPosition));
  const uint8_t attention = reader->Byte();
  if (encoding > static_cast<uint8_t>(KvEncoding::kI8) || attention > 1) reader->Fail();
  metadata.encoding = static_cast<KvEncoding>(encoding);
  if (reader->ok() && attention == 1) {
    metadata.attention = ReadAttention(&*reader, metadata.tokens);
  }
  if (absl::Status s = reader->Done(); !s.ok()) return s;
  if (metadata.shape.layers == 0 || metadata.shape.width() == 0 || metadata.tokens == 0) {
    return absl::DataLossError("KV metadata of nothing");
  }
  return metadata;
}

KvBlob BlobOf(const ChunkKvBuffer& kv, double seconds) {
  KvBlob blob;
  blob.metadata.shape = kv.shape();
  blob.metadata.encoding = kv.encoding();
  blob.metadata.tokens = static_cast<uint32_t>(kv.tokens());
  blob.metadata.first_position = kv.first_position();
  if (kv.attention() != nullptr) blob.metadata.attention = *kv.attention();
  for (size_t l = 0; l < kv.shape().layers; ++l) {
    AlignedBytes bytes(kv.layer(l).size());
    std::memcpy(bytes.data(), kv.layer(l).data(), bytes.size());
    blob.layers.push_back(std::move(bytes));
  }
  blob.seconds = seconds;
  return blob;
}

absl::Status CheckKvBlob(const KvBlob& blob) {
  const KvMetadata& m = blob.metadata;
  const bool attention_fits = !m.attention.has_value() || m.attention->token_inter.empty() ||
                              m.attention->token_inter.size() == m.tokens;
  if (m.tokens == 0 || m.shape.width() == 0 || blob.layers.size() != m.shape.layers ||
      !attention_fits || !(blob.seconds >= 0) || blob.seconds > 1e12) {
    return absl::InvalidArgumentError("a KV blob that is not what its metadata says");
  }
  for (const AlignedBytes& layer : blob.layers) {
    if (layer.size() != m.layer_bytes()) {
      return absl::InvalidArgumentError("a KV blob with a layer of a wrong size");
    }
  }
  return absl::OkStatus();
}

}  // namespace cairn::engine
