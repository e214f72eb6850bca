// What callers of the engine search by, and what they find.
#ifndef CAIRN_ENGINE_SEARCH_REQUEST_H_
#define CAIRN_ENGINE_SEARCH_REQUEST_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "chunking/metadata.h"
namespace cairn {

using Metadata = chunking::Metadata;
using MetadataValue = chunking::MetadataValue;

enum class SearchMode : uint8_t { kHybrid, kLexical, kVector };
enum class Granularity : uint8_t { kChunk, kDocument };  // kDocument: each document's best chunk.
enum class Fusion : uint8_t { kConvex, kRrf };

struct SearchRequest {
  std::string collection = "default";
  std::string query;
  size_t k = 10;  // 1 to 1,000,000.
  SearchMode mode = SearchMode::kHybrid;
  Granularity granularity = Granularity::kChunk;
  std::string filter;  // On document metadata, e.g. `lang = "en" AND year >= 2020`; empty: none.
  // Texts, titles, headings and sources of the hits; without them a hit has ids and scores only.
  bool with_text = true;
  // Compare the query with every vector instead of walking a graph.
  bool exact = false;
  Fusion fusion = Fusion::kConvex;
  std::optional<float>
      alpha;  // Weight of the vector score; unset: what the embedder's maker advises.
  // Candidates that the reranker reads and puts into its own order, at most 10,000; the rest
  // follows. 0: none. Unset: 100 where the engine has a reranker.
  std::optional<size_t> rerank;
  float k1 = 0.9f;
  float b = 0.4f;
  // Asked often, by several threads at once; true ends the search soon, with Cancelled. Optional.
  std::function<bool()> is_cancelled;
};

struct SearchComponent {
  uint32_t rank = 0;     // From 1; 0: not among the chunks this search returned.
  bool known = false;    // Whether the scores below are known (a cosine may be without a rank).
  float raw = 0;         // BM25 score, or cosine.
  float normalized = 0;  // Its share before weighting.
};

struct RerankComponent {
  uint32_t rank = 0;  // From 1 among the reranked; 0: not one of them.
  float score = 0;    // The model's raw output.
};

struct SearchHit {
  std::string document_id;
  uint64_t chunk_id = 0;
  // Fused; of reranked hits the reranker's, and below those in the rest of a reranked list.
  float score = 0;
  SearchComponent lexical;
  SearchComponent vector;
  RerankComponent rerank;
  // With SearchRequest::with_text:
  uint32_t ordinal = 0;  // Of the chunk in its document, from 0.
  size_t begin = 0;      // Byte span of the chunk in the document's text.
  size_t end = 0;
  std::string text;
  std::string title;
  std::vector<std::string> headings;
  std::string source_uri;
  Metadata metadata;
};

// Wall-clock microseconds.
struct SearchTimings {
  double analyze = 0;     // Query to terms.
  double embed = 0;       // Query to vector.
  double candidates = 0;  // Index search, fusion and grouping.
  double rerank = 0;      // The candidates' texts, and the reranker.
  double fetch = 0;       // Texts.
};

struct SearchResponse {
  std::vector<SearchHit> hits;  // Best first; ties by ascending chunk id.
  SearchTimings timings;
  float alpha = 0;  // As used by convex fusion.
};

}  // namespace cairn

#endif  // CAIRN_ENGINE_SEARCH_REQUEST_H_
