// A connection to a server, secured as asked for.
#ifndef CAIRN_SERVICES_CLIENT_CHANNEL_H_
#define CAIRN_SERVICES_CLIENT_CHANNEL_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "services/client/server_address.h"

namespace grpc {
class Channel;
}

namespace cairn::services {

// Largest message either way.
inline constexpr size_t kMaxMessageBytes = size_t{64} << 20;

struct ChannelSecurity {
  bool tls = false;  // Also where one of the files below is named.
  // Files in PEM. Authorities to trust; empty: the system's.
  std::string ca;
  // The client's own certificate and its key; both or none.
  std::string cert;
  std::string key;

  bool uses_tls() const { return tls || !ca.empty() || !cert.empty() || !key.empty(); }
};

// Keeps gRPC from writing to standard error, of the whole process: what goes wrong comes back as a
// status, which is for the program to print.
void SilenceTransport();

// Connects when it is first used. InvalidArgument where the security does not fit together;
// FailedPrecondition, NotFound and the like for files.
absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const ServerAddress& address,
                                                           const ChannelSecurity& security);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_CLIENT_CHANNEL_H_
