#include "services/metadata_flag.h"

#include <cmath>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace cairn::services {
namespace {

MetadataValue ParseValue(const std::string& text) {
  if (text.size() >= 2 && (text.front() == '"' || text.front() == '\'') &&
      text.back() == text.front()) {
    return text.substr(1, text.size() - 2);
  }
  if (text == "true") return true;
  if (text == "false") return false;
  int64_t integer;
  if (absl::SimpleAtoi(text, &integer)) return integer;
  double number;
  // "nan" and "inf" are words here, not numbers.
  if (absl::SimpleAtod(text, &number) && std::isfinite(number)) return number;
  return text;
}

}  // namespace

absl::StatusOr<Metadata> ParseMetadata(const std::vector<std::string>& items) {
  Metadata metadata;
  for (const std::string& item : items) {
    const size_t equals = item.find('=');
    if (equals == std::string::npos || equals == 0) {
      return absl::InvalidArgumentError(absl::StrCat("--metadata ", item, ": expected NAME=VALUE"));
    }
    metadata[item.substr(0, equals)] = ParseValue(item.substr(equals + 1));
  }
  return metadata;
}

}  // namespace cairn::services
