// An ingestion through a server.
#ifndef CAIRN_SERVICES_CLIENT_REMOTE_INGESTION_H_
#define CAIRN_SERVICES_CLIENT_REMOTE_INGESTION_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/engine.h"
#include "services/client/server_connection.h"

namespace cairn::services {

// Reads the paths, and sends what it finds while the server acknowledges what it has stored; gRPC's
// flow control bounds what is between the two. As Engine::IngestPaths otherwise, except that the
// collection must agree with options.create already (EnsureCollection), and that `bulk` and
// `threads` are the server's to decide. An error's message ends with the number of documents that
// were acknowledged before it.
absl::StatusOr<IngestReport> IngestRemotely(ServerConnection* connection,
                                            absl::Span<const std::string> paths,
                                            const IngestOptions& options);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_CLIENT_REMOTE_INGESTION_H_
