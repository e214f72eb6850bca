// The settings that a collection is made with, and stays with.
#ifndef CAIRN_ENGINE_COLLECTION_SETTINGS_H_
#define CAIRN_ENGINE_COLLECTION_SETTINGS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/engine.h"
#include "engine/model/embedder.h"
#include "index/rows.h"

namespace cairn::engine {

// Those of a collection that is made with `options` and embedded by `embedder`. InvalidArgument
// when no collection can have them.
absl::StatusOr<index::CollectionSettings> NewSettings(const CollectionOptions& options,
                                                      const Embedder& embedder);

// FailedPrecondition where `asked` names settings that a collection which exists does not have, or
// it was embedded with another model.
absl::Status CheckSettings(const std::string& collection, const CollectionOptions& asked,
                           const index::CollectionSettings& settings, const Embedder& embedder);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_COLLECTION_SETTINGS_H_
