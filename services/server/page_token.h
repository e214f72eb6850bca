// Opaque page tokens.
#ifndef CAIRN_SERVICES_SERVER_PAGE_TOKEN_H_
#define CAIRN_SERVICES_SERVER_PAGE_TOKEN_H_

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"

namespace cairn::services {

// Makes and reads tokens that say after which key a list goes on. A token is good only for the
// request it was made for, and only from whoever has the key: a client can make none up. What it
// holds is signed, not secret. Immutable, so thread-safe.
class PageTokens {
 public:
  static constexpr size_t kMaxTokenBytes = 64 << 10;

  // `key`: 32 random bytes of this server, or of all that should take each other's tokens.
  explicit PageTokens(std::string key) : key_(std::move(key)) {}

  // `request_key`: all other arguments of the request, the caller and the method included. `after`
  // of up to 48,000 bytes, or the token is too long to be read.
  std::string Make(std::string_view request_key, std::string_view after) const;

  // InvalidArgument where the token is none of this server's, or of another request. The empty
  // token is not one: it means the first page, which is the caller's to know.
  absl::StatusOr<std::string> Read(std::string_view request_key, std::string_view token) const;

 private:
  std::string Signature(std::string_view payload, std::string_view request_key) const;

  std::string key_;
};

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_SERVER_PAGE_TOKEN_H_
