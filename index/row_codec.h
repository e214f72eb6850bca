// Byte-level writing and bounded reading of stored rows (docs/formats/store.md, "Row envelope").
#ifndef CAIRN_INDEX_ROW_CODEC_H_
#define CAIRN_INDEX_ROW_CODEC_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace cairn::index {

// Version byte that every row starts with.
inline constexpr uint8_t kRowVersion = 1;

// 128-bit content hash (XXH3-128), as bytes.
std::string Hash128(std::string_view bytes);
// Lower 32 bits of XXH3-64 over `body`, seeded with XXH3-64 of `key`.
uint32_t Checksum32(std::string_view key, std::string_view body);

// Builds one row. Not thread-safe.
class RowWriter {
 public:
  RowWriter() { bytes_.push_back(static_cast<char>(kRowVersion)); }

  void Varint(uint64_t value);
  void String(std::string_view value);
  void Raw(std::string_view value) { bytes_.append(value); }
  void Byte(uint8_t value) { bytes_.push_back(static_cast<char>(value)); }
  void Double(double value);

  // The row as stored under `key`. Ends the writer's use.
  std::string Finish(std::string_view key) &&;

 private:
  std::string bytes_;
};

// Reads one row. Reads past the end, or of malformed values, give zeros and make ok() false; so a
// decoder reads all its fields and then checks once with Done(). Views point into the row.
class RowReader {
 public:
  // DataLoss when the envelope is damaged; Unimplemented for a newer row version.
  static absl::StatusOr<RowReader> Open(std::string_view key, std::string_view row);

  uint64_t Varint();
  // A varint that must not exceed `limit`.
  uint64_t Varint(uint64_t limit);
  std::string_view String();
  std::string_view Raw(size_t size);
  uint8_t Byte();
  double Double();

  // A count of items of at least `item_bytes` bytes each that the rest of the row can hold: safe to
  // reserve memory for.
  size_t Count(size_t item_bytes);
  size_t remaining() const { return rest_.size(); }
  void Fail() { ok_ = false; }
  bool ok() const { return ok_; }
  // DataLoss unless everything was well-formed and nothing is left.
  absl::Status Done() const;

 private:
  explicit RowReader(std::string_view payload) : rest_(payload) {}
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_ROW_CODEC_H_
