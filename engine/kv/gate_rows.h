// What a model's gates gave, kept in the store they were run for.
#ifndef CAIRN_ENGINE_KV_GATE_ROWS_H_
#define CAIRN_ENGINE_KV_GATE_ROWS_H_

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/kv/reuse_gates.h"
#include "index/row_store.h"

namespace cairn::engine {

// Rows "kv_gates/" fingerprint (docs/formats/kv-blob.md, "Rows"). Nothing where there is none, or
// one that cannot be read or was written by other gates: they are run again then.
absl::StatusOr<std::optional<ReuseGateReport>> ReadGates(const index::RowStore& rows,
                                                         std::string_view fingerprint);
absl::Status WriteGates(index::RowStore* rows, std::string_view fingerprint,
                        const ReuseGateReport& report);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_GATE_ROWS_H_
