// Collections of a server.
#ifndef CAIRN_SERVICES_CLIENT_REMOTE_COLLECTIONS_H_
#define CAIRN_SERVICES_CLIENT_REMOTE_COLLECTIONS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/engine.h"
#include "services/client/server_connection.h"

namespace cairn::services {

// "collections/NAME". InvalidArgument for what no collection of a server is called.
absl::StatusOr<std::string> RemoteCollection(const std::string& name);

// Makes the collection with these settings where it is missing. FailedPrecondition where it is
// there with others. Does nothing without settings: an ingestion makes its collection.
absl::Status EnsureCollection(ServerConnection* connection, const std::string& name,
                              const CollectionOptions& settings);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_CLIENT_REMOTE_COLLECTIONS_H_
