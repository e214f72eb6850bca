// Exact search by scanning encoded rows.
#ifndef CAIRN_INDEX_VECTOR_SCAN_H_
#define CAIRN_INDEX_VECTOR_SCAN_H_

#include <cstddef>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/cancellation.h"
#include "index/encoded_rows.h"
#include "index/lexical_tail.h"
#include "index/slot_set.h"

namespace cairn::index {

// Fills in the float32 inner products of the query with the vectors of `slots`, which ascend; NaN
// for a slot whose vector no longer exists, which is left out of the result.
using ExactScores =
    absl::FunctionRef<absl::Status(absl::Span<const Slot> slots, absl::Span<float> scores)>;

// The k slots of `wanted` (size rows.size()) with the largest inner product with `query` (unit
// length), by score descending, then slot ascending; those below `floor` may be left out. Scans the
// codes of all wanted slots, and asks `exact` for those that the encoding's error bound leaves in
// doubt: the result is the exact top k of the float32 inner products. The bound: for a stored x^ of
// x and an encoded query q^ of q, |q.x - q^.x^| <= |q| |x - x^| + |q - q^| |x^| (Cauchy-Schwarz),
// with the norms kept per slot. The errors of `exact` pass through; Cancelled when `cancellation`
// (may be null) says so.
absl::StatusOr<std::vector<ScoredSlot>> ScanForTopK(const EncodedRowsView& rows,
                                                    absl::Span<const float> query, size_t k,
                                                    SlotSet wanted, float floor, ExactScores exact,
                                                    const Cancellation* cancellation = nullptr);

}  // namespace cairn::index

#endif  // CAIRN_INDEX_VECTOR_SCAN_H_
