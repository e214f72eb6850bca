#include "index/row_codec.h"

#include <xxhash.h>

#include <bit>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace cairn::index {

static_assert(std::endian::native == std::endian::little, "rows are written little-endian");

std::string Hash128(std::string_view bytes) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data(), bytes.size()));
  return {reinterpret_cast<const char*>(canonical.digest), sizeof(canonical.digest)};
}

uint32_t Checksum32(std::string_view key, std::string_view body) {
  const uint64_t seed = XXH3_64bits(key.data(), key.size());
  return static_cast<uint32_t>(XXH3_64bits_withSeed(body.data(), body.size(), seed));
}

void RowWriter::Varint(uint64_t value) {
  while (value >= 0x80) {
    bytes_.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  bytes_.push_back(static_cast<char>(value));
}

void RowWriter::String(std::string_view value) {
  Varint(value.size());
  bytes_.append(value);
}

void RowWriter::Double(double value) {
  char raw[sizeof(value)];
  std::memcpy(raw, &value, sizeof(value));
  bytes_.append(raw, sizeof(raw));
}

std::string RowWriter::Finish(std::string_view key) && {
  const uint32_t checksum = Checksum32(key, bytes_);
  char raw[sizeof(checksum)];
  std::memcpy(raw, &checksum, sizeof(checksum));
  bytes_.append(raw, sizeof(raw));
  return std::move(bytes_);
}

absl::StatusOr<RowReader> RowReader::Open(std::string_view key, std::string_view row) {
  if (row.size() < 5) return absl::DataLossError("row is shorter than its envelope");
  const std::string_view body = row.substr(0, row.size() - 4);
  uint32_t stored;
  std::memcpy(&stored, row.data() + body.size(), sizeof(stored));
  if (stored != Checksum32(key, body)) return absl::DataLossError("row checksum does not match");
  const auto version = static_cast<uint8_t>(body[0]);
  if (version != kRowVersion) {
    return absl::UnimplementedError(absl::StrCat("row version ", version, ", this program knows ",
                                                 kRowVersion, ": use a newer cairn"));
  }
  return RowReader(body.substr(1));
}

uint64_t RowReader::Varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (rest_.empty()) break;
    const auto byte = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    if (shift == 63 && byte > 1) break;  // Would not fit in 64 bits.
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return value;
  }
  ok_ = false;
  return 0;
}

uint64_t RowReader::Varint(uint64_t limit) {
  const uint64_t value = Varint();
  if (value <= limit) return value;
  ok_ = false;
  return 0;
}

std::string_view RowReader::Raw(size_t size) {
  if (size > rest_.size()) {
    ok_ = false;
    return {};
  }
  const std::string_view value = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return value;
}

std::string_view RowReader::String() { return Raw(Varint()); }

uint8_t RowReader::Byte() {
  const std::string_view raw = Raw(1);
  return raw.empty() ? 0 : static_cast<uint8_t>(raw[0]);
}

double RowReader::Double() {
  const std::string_view raw = Raw(sizeof(double));
  double value = 0;
  if (!raw.empty()) std::memcpy(&value, raw.data(), sizeof(value));
  return value;
}

size_t RowReader::Count(size_t item_bytes) { return Varint(rest_.size() / item_bytes); }

absl::Status RowReader::Done() const {
  if (!ok_) return absl::DataLossError("row is malformed");
  if (!rest_.empty()) return absl::DataLossError("row has bytes after its last field");
  return absl::OkStatus();
}

}  // namespace cairn::index
