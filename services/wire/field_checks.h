// What is asked of the fields of a request, each fault with the field's name.
#ifndef CAIRN_SERVICES_WIRE_FIELD_CHECKS_H_
#define CAIRN_SERVICES_WIRE_FIELD_CHECKS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "services/wire/status.h"

namespace cairn::services {

// Passages that a request may have reranked.
inline constexpr uint64_t kMaxRerank = 10'000;

// `value` if it is in [least, most], `value` 0 being `otherwise`.
absl::StatusOr<size_t> ReadCount(std::string_view field, int32_t value, size_t least, size_t most,
                                 size_t otherwise);

// InvalidArgument unless it is in [least, most], which NaN is not.
absl::Status CheckRange(std::string_view field, uint64_t value, uint64_t least, uint64_t most);
absl::Status CheckRange(std::string_view field, double value, double least, double most);

absl::Status CheckRequired(std::string_view field, std::string_view value);

// Saturates: what does not fit is refused by the other side for its size, and does not become
// another number on the way.
uint32_t Uint32Of(uint64_t value);
int32_t Int32Of(uint64_t value);

template <typename Wire, typename Ours>
struct EnumPair {
  Wire wire;
  Ours ours;
};
// All values but the wire's 0, which stands for a default.
template <typename Wire, typename Ours, size_t kSize>
using EnumTable = std::array<EnumPair<Wire, Ours>, kSize>;

// BadField for a number that is none of the table's.
template <typename Wire, typename Ours, size_t kSize>
absl::StatusOr<Ours> ReadEnum(std::string_view field, const EnumTable<Wire, Ours, kSize>& table,
                              Wire value, const Ours& otherwise) {
  if (value == Wire{}) return otherwise;
  for (const EnumPair<Wire, Ours>& pair : table) {
    if (pair.wire == value) return pair.ours;
  }
  return BadField(field, absl::StrCat("has no value ", static_cast<int>(value)));
}

// The wire's 0 for what is not in the table.
template <typename Wire, typename Ours, size_t kSize, typename Value>
Wire WriteEnum(const EnumTable<Wire, Ours, kSize>& table, const Value& value) {
  for (const EnumPair<Wire, Ours>& pair : table) {
    if (pair.ours == value) return pair.wire;
  }
  return Wire{};
}

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_WIRE_FIELD_CHECKS_H_
