#include "index/kv_rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "index/row_codec.h"

namespace cairn::index {
namespace {

std::string_view Prefix(KvRowKind kind) {
  switch (kind) {
    case KvRowKind::kSecret:
      return "kv_secret/";
    case KvRowKind::kBlob:
      return "kv_blob/";
    case KvRowKind::kRef:
      return "kv_ref/";
    case KvRowKind::kChunk:
      return "kv_chunk/";
  }
  return {};
}

void AppendChunk(ChunkId chunk, std::string* key) {
  for (int shift = 56; shift >= 0; shift -= 8) key->push_back(static_cast<char>(chunk >> shift));
}

uint64_t BigEndian(std::string_view bytes) {
  uint64_t value = 0;
  for (char c : bytes) value = value << 8 | static_cast<uint8_t>(c);
  return value;
}

std::array<uint8_t, 32> ReadHash(RowReader* reader) {
  std::array<uint8_t, 32> hash{};
  const std::string_view bytes = reader->Raw(hash.size());
  if (bytes.size() == hash.size()) std::memcpy(hash.data(), bytes.data(), hash.size());
  return hash;
}

std::string HashRow(std::string_view key, const std::array<uint8_t, 32>& hash) {
  RowWriter writer;
  writer.Raw({reinterpret_cast<const char*>(hash.data()), hash.size()});
  return std::move(writer).Finish(key);
}

absl::StatusOr<std::array<uint8_t, 32>> DecodeHash(std::string_view key, std::string_view bytes) {
  absl::StatusOr<RowReader> reader = RowReader::Open(key, bytes);
  if (!reader.ok()) return reader.status();
  const std::array<uint8_t, 32> hash = ReadHash(&*reader);
  if (absl::Status s = reader->Done(); !s.ok()) return s;
  return hash;
}

// Finite and not negative; anything else fails the row.
double ReadAmount(RowReader* reader) {
  const double value = reader->Double();
  if (std::isfinite(value) && value >= 0) return value;
  reader->Fail();
  return 0;
}

}  // namespace

std::string KvBegin(KvRowKind kind) { return std::string(Prefix(kind)); }

std::string KvEnd(KvRowKind kind) {
  std::string end = KvBegin(kind);
  ++end.back();
  return end;
}

std::string KvBegin(KvRowKind kind, CollectionId collection) {
  return KvBegin(kind) + CollectionPrefix(collection);
}

std::string KvEnd(KvRowKind kind, CollectionId collection) {
  return KvBegin(kind) + CollectionEnd(collection);
}

std::string KvSecretKey(CollectionId collection) { return KvBegin(KvRowKind::kSecret, collection); }

std::string KvBlobKey(CollectionId collection, const KvBlobName& name) {
  return KvBegin(KvRowKind::kBlob, collection).append(name.view());
}

std::string KvRefKey(CollectionId collection, const KvBlobName& name, ChunkId chunk) {
  std::string key = KvBegin(KvRowKind::kRef, collection).append(name.view());
  AppendChunk(chunk, &key);
  return key;
}

std::string KvChunkKey(CollectionId collection, ChunkId chunk, const KvBlobName& name) {
  std::string key = KvBegin(KvRowKind::kChunk, collection);
  AppendChunk(chunk, &key);
  return key.append(name.view());
}

absl::StatusOr<KvRowKey> ParseKvKey(KvRowKind kind, std::string_view key) {
  constexpr size_t kNameBytes = sizeof(KvBlobName::bytes);
  const bool has_name = kind != KvRowKind::kSecret;
  const bool has_chunk = kind == KvRowKind::kRef || kind == KvRowKind::kChunk;
  const std::string_view prefix = Prefix(kind);
  const size_t size = prefix.size() + 4 + (has_name ? kNameBytes : 0) + (has_chunk ? 8 : 0);
  if (key.size() != size || key.substr(0, prefix.size()) != prefix) {
    return absl::DataLossError("KV key of a wrong shape");
  }
  key.remove_prefix(prefix.size());
  KvRowKey parsed;
  parsed.collection = static_cast<CollectionId>(BigEndian(key.substr(0, 4)));
  key.remove_prefix(4);
  if (kind == KvRowKind::kChunk) {
    parsed.chunk = BigEndian(key.substr(0, 8));
    key.remove_prefix(8);
  }
  if (has_name) {
    parsed.name = *KvBlobName::FromView(key.substr(0, kNameBytes));
    key.remove_prefix(kNameBytes);
  }
  if (kind == KvRowKind::kRef) parsed.chunk = BigEndian(key);
  return parsed;
}

std::string EncodeKvSecret(std::string_view key, const KvSecret& secret) {
  return HashRow(key, secret);
}

absl::StatusOr<KvSecret> DecodeKvSecret(std::string_view key, std::string_view bytes) {
  return DecodeHash(key, bytes);
}

std::string EncodeKvRef(std::string_view key) { return RowWriter().Finish(key); }

std::string EncodeKvChunk(std::string_view key, const KvConfigurationHash& configuration) {
  return HashRow(key, configuration);
}

absl::StatusOr<KvConfigurationHash> DecodeKvChunk(std::string_view key, std::string_view bytes) {
  return DecodeHash(key, bytes);
}

std::string Encode(std::string_view key, const KvBlobRow& row) {
  RowWriter writer;
  writer.Varint(row.bytes);
  writer.Varint(row.tokens);
  writer.Byte(row.encoding);
  writer.String(row.model);
  writer.Double(row.seconds);
  writer.Double(row.uses);
  writer.Varint(static_cast<uint64_t>(std::max<int64_t>(row.last_use_ms, 0)));
  writer.Double(row.priority);
  return std::move(writer).Finish(key);
}

absl::StatusOr<KvBlobRow> DecodeKvBlob(std::string_view key, std::string_view bytes) {
  absl::StatusOr<RowReader> reader = RowReader::Open(key, bytes);
  if (!reader.ok()) return reader.status();
  KvBlobRow row;
  row.bytes = reader->Varint(std::numeric_limits<int64_t>::max());
  row.tokens = static_cast<uint32_t>(reader->Varint(std::numeric_limits<uint32_t>::max()));
  row.encoding = reader->Byte();
  row.model = reader->String();
  row.seconds = ReadAmount(&*reader);
  row.uses = ReadAmount(&*reader);
  row.last_use_ms = static_cast<int64_t>(reader->Varint(std::numeric_limits<int64_t>::max()));
  row.priority = ReadAmount(&*reader);
  if (absl::Status s = reader->Done(); !s.ok()) return s;
  return row;
}

}  // namespace cairn::index
