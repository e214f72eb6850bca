// Long work on whole stores, for those who want to follow it and may lose interest.
#ifndef CAIRN_ENGINE_MAINTENANCE_H_
#define CAIRN_ENGINE_MAINTENANCE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/engine.h"
#include "index/store.h"

namespace cairn::engine {

// As the methods of Engine.
absl::StatusOr<VerifyResult> VerifyStore(index::Store* store, bool deep,
                                         const MaintenanceOptions& options);
absl::Status CompactStore(index::Store* store, const MaintenanceOptions& options);
absl::Status ReindexStore(index::Store* store, const MaintenanceOptions& options);
absl::Status SnapshotStore(index::Store* store, const std::string& destination,
                           const MaintenanceOptions& options);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MAINTENANCE_H_
