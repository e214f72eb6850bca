// Blob files of keys and values: whatever bytes, opening and reading end without harm, and allocate
// no more than the file has. The first byte says what to put right before (magic and version; size;
// the head's hash), and whether to take it for the payload of metadata,
// or the fuzzer would never get past it; the rest is the file.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/kv/kv_blob.h"
#include "index/kv_blob_files.h"
#include "index/kv_blob_layout.h"
#include "index/row_codec.h"

namespace ci = cairn::index;

namespace {

void PutRight(uint8_t what, std::string* file) {
  if (file->size() < ci::kKvHeaderBytes) return;
  char* const head = file->data();
  if ((what & 1) != 0) {
    std::memcpy(head, ci::kKvMagic, sizeof ci::kKvMagic);
    std::memcpy(head + 8, &ci::kKvVersion, sizeof ci::kKvVersion);
    std::memset(head + 20, 0, 4);
    std::memset(head + 32, 0, 32);
  }
  if ((what & 2) != 0) {
    const uint64_t size = file->size();
    std::memcpy(head + 24, &size, sizeof size);
  }
  if ((what & 4) != 0) {
    uint32_t extents, metadata;
    std::memcpy(&extents, head + 12, sizeof extents);
    std::memcpy(&metadata, head + 16, sizeof metadata);
    if (extents > ci::kMaxKvExtents || metadata > ci::kMaxKvMetadataBytes) return;
    const uint64_t bytes = ci::KvHeadBytes(extents, metadata);
    if (bytes > file->size()) return;
    const size_t hashed = bytes - sizeof(ci::KvChecksum);
    const ci::KvChecksum checksum = ci::KvChecksumOf(head, hashed);
    std::memcpy(head + hashed, checksum.data(), checksum.size());
  }
}

// Of a row with a right checksum.
void CheckMetadata(const std::string& payload) {
  ci::RowWriter writer;
  writer.Raw(payload);
  const auto metadata = cairn::engine::DecodeKvMetadata(std::move(writer).Finish(""));
  if (!metadata.ok()) return;
  const std::string again = cairn::engine::EncodeKvMetadata(*metadata);
  if (again.size() > ci::kMaxKvMetadataBytes) std::abort();
  const auto same = cairn::engine::DecodeKvMetadata(again);
  if (!same.ok() || cairn::engine::EncodeKvMetadata(*same) != again) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  PutRight(data[0], &bytes);
  // What stands in a blob's metadata is read by itself, too.
  (void)cairn::engine::DecodeKvMetadata(bytes);
  if ((data[0] & 8) != 0) CheckMetadata(bytes);
  const int descriptor = ::memfd_create("blob", MFD_CLOEXEC);
  if (descriptor < 0) std::abort();
  if (::write(descriptor, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
    std::abort();
  }
  const auto file = ci::KvBlobFile::Adopt(descriptor, "blob", ci::KvBlobName());
  if (!file.ok()) return 0;
  uint64_t total = (*file)->metadata().size();
  std::vector<std::vector<std::byte>> extents;
  bool whole = true;
  for (size_t i = 0; i < (*file)->extents(); ++i) {
    total += (*file)->extent_bytes(i);
    if (total > bytes.size()) std::abort();
    extents.emplace_back((*file)->extent_bytes(i));
    whole = (*file)->Read(i, absl::MakeSpan(extents.back())).ok() && whole;
  }
  (void)cairn::engine::DecodeKvMetadata((*file)->metadata());
  // The layout is the only one: what is read whole has the size that would be written.
  std::vector<uint64_t> sizes;
  for (const auto& extent : extents) sizes.push_back(extent.size());
  if (ci::KvBlobFileBytes((*file)->metadata().size(), sizes) != bytes.size()) std::abort();
  return 0;
}
