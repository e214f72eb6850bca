#include "services/wire/field_checks.h"

#include <algorithm>
#include <limits>

namespace cairn::services {

absl::StatusOr<size_t> ReadCount(std::string_view field, int32_t value, size_t least, size_t most,
                                 size_t otherwise) {
  if (value == 0) return otherwise;
  if (value > 0 && static_cast<size_t>(value) >= least && static_cast<size_t>(value) <= most) {
    return static_cast<size_t>(value);
  }
  return BadField(field, absl::StrCat("must be ", least, " to ", most, ", not ", value));
}

absl::Status CheckRange(std::string_view field, uint64_t value, uint64_t least, uint64_t most) {
  if (value >= least && value <= most) return absl::OkStatus();
  return BadField(field, absl::StrCat("must be ", least, " to ", most, ", not ", value));
}

absl::Status CheckRange(std::string_view field, double value, double least, double most) {
  if (value >= least && value <= most) return absl::OkStatus();
  return BadField(field, absl::StrCat("must be ", least, " to ", most, ", not ", value));
}

absl::Status CheckRequired(std::string_view field, std::string_view value) {
  return value.empty() ? BadField(field, "is empty") : absl::OkStatus();
}

uint32_t Uint32Of(uint64_t value) {
  return static_cast<uint32_t>(std::min<uint64_t>(value, std::numeric_limits<uint32_t>::max()));
}

int32_t Int32Of(uint64_t value) {
  return static_cast<int32_t>(
      std::min<uint64_t>(value, static_cast<uint64_t>(std::numeric_limits<int32_t>::max())));
}

}  // namespace cairn::services
