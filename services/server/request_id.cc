#include "services/server/request_id.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "services/server/random_bytes.h"

namespace cairn::services {

std::string RequestId(std::string_view from_client) {
  constexpr size_t kMaxBytes = 128;
  const auto allowed = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == ':' ||
           c == '-';
  };
  if (!from_client.empty() && from_client.size() <= kMaxBytes &&
      std::all_of(from_client.begin(), from_client.end(), allowed)) {
    return std::string(from_client);
  }
  return RandomHex(16);
}

}  // namespace cairn::services
