// Pages of lists, as AIP-158 has them.
#ifndef CAIRN_SERVICES_SERVER_PAGING_H_
#define CAIRN_SERVICES_SERVER_PAGING_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "services/server/page_token.h"
#include "services/wire/status.h"

namespace cairn::services {

inline constexpr int32_t kDefaultPageSize = 100;
inline constexpr int32_t kMostPageSize = 1000;

// 0 is the default, more than the most is the most; InvalidArgument below 0.
inline absl::StatusOr<size_t> PageSize(int32_t asked) {
  if (asked < 0) return BadField("page_size", "must not be negative");
  return static_cast<size_t>(asked == 0 ? kDefaultPageSize : std::min(asked, kMostPageSize));
}

// The key to go on after; empty for the first page. InvalidArgument for a token that the list
// described by `request_key` did not give.
inline absl::StatusOr<std::string> PageStart(const PageTokens& pages, std::string_view request_key,
                                             std::string_view token) {
  if (token.empty()) return std::string();
  absl::StatusOr<std::string> after = pages.Read(request_key, token);
  if (!after.ok()) return BadField("page_token", std::string(after.status().message()));
  return after;
}

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_SERVER_PAGING_H_
