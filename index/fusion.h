// Fusion: several ranked lists into one.
#ifndef CAIRN_INDEX_FUSION_H_
#define CAIRN_INDEX_FUSION_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "index/collection.h"

namespace cairn::index {

enum class FusionMethod : uint8_t {
  kConvex,  // alpha * phi(vector) + (1 - alpha) * phi(lexical); Bruch et al., arXiv 2210.11934
  kRrf,     // sum of 1 / (rrf_constant + rank); Cormack et al. 2009
};

enum class Normalization : uint8_t {
  // phi(s) = (s - inf) / (max - inf), inf the least possible score: 0 for BM25, -1 for cosine, max
  // the best score in the list.
  kTheoretical,
  kMinMax,  // (s - min) / (max - min) over the list; 1 for a list of equal scores.
};

struct FusionOptions {
  FusionMethod method = FusionMethod::kConvex;
  Normalization normalization = Normalization::kTheoretical;
  float alpha = 0.5f;  // Weight of the vector list, 0 to 1.
  float rrf_constant = 60;
};

// What one search says of a chunk.
struct ComponentScore {
  uint32_t rank = 0;     // From 1; 0: not in the list.
  bool known = false;    // In the list, or scored apart from it (a cosine).
  float raw = 0;         // The search's own score.
  float normalized = 0;  // phi(raw) for kConvex, 1 / (constant + rank) for kRrf; 0 when unknown.
};

struct FusedChunk {
  ChunkId chunk = 0;
  ChunkId document = 0;
  float score = 0;
  ComponentScore lexical;
  ComponentScore vector;
};

// The union of both lists, by fused score descending, then chunk id ascending. A chunk that is
// absent from a list gets nothing from it, except that convex fusion uses `lexical_cosines`, the
// cosines of the chunks of `lexical` (empty, or as long as it; NaN: none).
std::vector<FusedChunk> Fuse(absl::Span<const ScoredChunk> lexical,
                             absl::Span<const ScoredChunk> vector,
                             absl::Span<const float> lexical_cosines, const FusionOptions& options);

// One list by itself, in its own order and with its own scores.
std::vector<FusedChunk> FromLexical(absl::Span<const ScoredChunk> lexical);
std::vector<FusedChunk> FromVector(absl::Span<const ScoredChunk> vector);

// The best chunk of each document, in order: document-level results from chunk results.
std::vector<FusedChunk> BestChunkPerDocument(std::vector<FusedChunk> chunks);

}  // namespace cairn::index

#endif  // CAIRN_INDEX_FUSION_H_
