// Where a server listens.
#ifndef CAIRN_SERVICES_CLIENT_SERVER_ADDRESS_H_
#define CAIRN_SERVICES_CLIENT_SERVER_ADDRESS_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace cairn::services {

struct ServerAddress {
  std::string shown;   // As it was given.
  std::string target;  // As gRPC has it.
  // Nobody outside this machine sees what passes: a Unix socket, or a loopback address.
  bool local = false;
};

// "HOST:PORT" (an IPv6 address in brackets) or "unix:PATH". InvalidArgument for anything else.
absl::StatusOr<ServerAddress> ParseServerAddress(std::string_view text);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_CLIENT_SERVER_ADDRESS_H_
