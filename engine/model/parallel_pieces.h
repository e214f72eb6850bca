// Independent pieces of work, shared out to threads.
#ifndef CAIRN_ENGINE_MODEL_PARALLEL_PIECES_H_
#define CAIRN_ENGINE_MODEL_PARALLEL_PIECES_H_

#include <cstddef>

#include "absl/functional/function_ref.h"

namespace cairn::engine {

// Calls work(i) once for each i in [0, pieces), on this thread and `threads` - 1 others, which take
// the pieces in order. Returns when all are done.
void ForEachPiece(size_t pieces, size_t threads, absl::FunctionRef<void(size_t)> work);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_PARALLEL_PIECES_H_
