// Rows computed by several threads and written in order.
#ifndef CAIRN_ENGINE_MODEL_PARALLEL_ROWS_H_
#define CAIRN_ENGINE_MODEL_PARALLEL_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

namespace cairn::engine {

// Calls compute(begin, end, out) for runs of rows that together are [0, rows), on `threads` threads
// (at least 1), and write(bytes) with each run's rows, in order, on this thread. `out` has
// `row_bytes` for each row. Holds 4 MiB, or `threads` rows where those are larger. The first
// error ends it.
absl::Status ComputeRows(
    uint64_t rows, uint64_t row_bytes, size_t threads,
    absl::FunctionRef<absl::Status(uint64_t begin, uint64_t end, char* out)> compute,
    absl::FunctionRef<absl::Status(std::string_view bytes)> write);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_PARALLEL_ROWS_H_
