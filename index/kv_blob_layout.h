// Where things stand in a blob file (docs/formats/kv-blob.md). For its reader and its writer.
#ifndef CAIRN_INDEX_KV_BLOB_LAYOUT_H_
#define CAIRN_INDEX_KV_BLOB_LAYOUT_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "index/kv_blob_files.h"

namespace cairn::index {

inline constexpr char kKvMagic[8] = {'C', 'A', 'I', 'R', 'N', 'K', 'V', 'B'};
inline constexpr uint32_t kKvVersion = 1;
inline constexpr size_t kKvHeaderBytes = 64;
inline constexpr size_t kKvExtentEntryBytes = 32;

using KvChecksum = std::array<uint8_t, 16>;
KvChecksum KvChecksumOf(const void* bytes, size_t size);

// Header, extent table, metadata and hash, before the zeros. Of sizes within the limits.
inline uint64_t KvHeadBytes(size_t extents, size_t metadata_bytes) {
  return kKvHeaderBytes + extents * kKvExtentEntryBytes + metadata_bytes + sizeof(KvChecksum);
}

inline uint64_t KvAlign(uint64_t offset) {
  return (offset + kKvBlobAlignment - 1) / kKvBlobAlignment * kKvBlobAlignment;
}

}  // namespace cairn::index

#endif  // CAIRN_INDEX_KV_BLOB_LAYOUT_H_
