// Measures of retrieved text against gold text, by position: they do not depend on how the text was
// cut into chunks.
#ifndef CAIRN_ENGINE_EVAL_SPAN_MEASURES_H_
#define CAIRN_ENGINE_EVAL_SPAN_MEASURES_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/types/span.h"

namespace cairn::engine {

// Positions [begin, end) of a document, in any unit (bytes, tokens) as long as it is one. A span
// with end <= begin is empty. Borrows the document's id.
struct DocumentSpan {
  std::string_view document;
  uint64_t begin = 0;
  uint64_t end = 0;
};

// For one question, with gold the union of the gold spans and kept the union of the retrieved ones
// (Smith and Troynikov, "Evaluating Chunking Strategies for Retrieval", 2024):
struct SpanScores {
  double recall = 0;     // |gold and kept| / |gold|; 1 if there is no gold
  double precision = 0;  // |gold and kept| / sum of the retrieved spans' lengths; 0 if that is 0
  double iou = 0;        // |gold and kept| / |gold or kept|; 0 if that is 0
  // As iou, but with the sum of the retrieved spans' lengths in place of |kept|: text retrieved
  // twice costs twice. This is the figure that paper reports.
  double iou_with_repeats = 0;
};

// O(n log n) in the number of spans. Thread-safe.
SpanScores ScoreSpans(absl::Span<const DocumentSpan> gold,
                      absl::Span<const DocumentSpan> retrieved);

// Means over questions; zeros for none.
SpanScores MeanSpanScores(absl::Span<const SpanScores> scores);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_EVAL_SPAN_MEASURES_H_
