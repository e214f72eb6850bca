// Cache-Craft's rules (arXiv 2502.15734): how much of a chunk has to be computed again, by what
// stood before it when it was cached and what stands before it now.
#ifndef CAIRN_ENGINE_KV_CACHE_CRAFT_H_
#define CAIRN_ENGINE_KV_CACHE_CRAFT_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "engine/kv/chunk_kv.h"

namespace cairn::engine {

// Cache context impact, in (0, 1): 1 / (1 + e^(-a / b)), with a = the attention that a token of
// the chunk pays to one before the chunk, b = to one within it; `tokens` in the chunk. Nothing
// before it: 1/2.
double ContextImpact(const ChunkAttention& attention, size_t tokens);

// beta', in [0, 1]: the share of the chunk's attention to earlier chunks that went to chunks which
// stand before it now too, times (1 - the share of their pairs whose order is another). `before`:
// hashes of the chunks that stand before it now, in order. 1 where there was no such attention; 0
// where no chunk stood before it, but one does now: what it would have looked at is not known.
double PrefixMatch(const ChunkAttention& attention, absl::Span<const uint64_t> before);

// Cache fix overhead, in [0, 1]: alpha * ContextImpact * (1 - PrefixMatch), at most 1: the share of
// the chunk's tokens to compute again.
double FixOverhead(const ChunkAttention& attention, size_t tokens,
                   absl::Span<const uint64_t> before, double alpha);

// The variant of a chunk that is the best behind `before`, and its overhead.
struct VariantChoice {
  size_t variant = 0;
  double overhead = 1;
};
// That with the least overhead; one without statistics, which is null, counts as 1. Of equals the
// first. `variants`, each of `tokens` tokens, are not empty.
VariantChoice BestVariant(absl::Span<const ChunkAttention* const> variants, size_t tokens,
                          absl::Span<const uint64_t> before, double alpha);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_CACHE_CRAFT_H_
