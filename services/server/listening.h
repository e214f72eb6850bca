// Addresses a server listens on, and the credentials it has there.
#ifndef CAIRN_SERVICES_SERVER_LISTENING_H_
#define CAIRN_SERVICES_SERVER_LISTENING_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/server/server_options.h"

namespace grpc {
class ServerCredentials;
}

namespace cairn::services {

// TLS with the files of the options, read again when they change; none without.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    const ServerOptions& options);

// InvalidArgument when the PEM files cannot be read, do not belong together, or have expired.
absl::Status CheckTlsFiles(const std::string& cert, const std::string& key,
                           const std::string& client_ca);

// Before a Unix socket is bound: Unavailable where a server listens on it, for binding would take
// it away from that one. A path that is something else than a socket is InvalidArgument.
absl::Status CheckUnixSocket(const std::string& path);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_SERVER_LISTENING_H_
