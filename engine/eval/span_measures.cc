#include "engine/eval/span_measures.h"

#include <algorithm>
#include <tuple>

namespace cairn::engine {
namespace {

// Spans in order, none empty, none touching another.
std::vector<DocumentSpan> Union(absl::Span<const DocumentSpan> spans) {
  std::vector<DocumentSpan> sorted;
  for (const DocumentSpan& span : spans) {
    if (span.begin < span.end) sorted.push_back(span);
  }
  std::sort(sorted.begin(), sorted.end(), [](const DocumentSpan& a, const DocumentSpan& b) {
    return std::tie(a.document, a.begin) < std::tie(b.document, b.begin);
  });
  std::vector<DocumentSpan> merged;
  for (const DocumentSpan& span : sorted) {
    if (!merged.empty() && merged.back().document == span.document &&
        span.begin <= merged.back().end) {
      merged.back().end = std::max(merged.back().end, span.end);
    } else {
      merged.push_back(span);
    }
  }
  return merged;
}

// In floating point: sums of 64-bit lengths may exceed 64 bits.
double TotalLength(absl::Span<const DocumentSpan> spans) {
  double total = 0;
  for (const DocumentSpan& span : spans) {
    if (span.begin < span.end) total += static_cast<double>(span.end - span.begin);
  }
  return total;
}

// Length common to two unions.
double CommonLength(absl::Span<const DocumentSpan> a, absl::Span<const DocumentSpan> b) {
  double common = 0;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    if (a[i].document == b[j].document) {
      const uint64_t begin = std::max(a[i].begin, b[j].begin);
      const uint64_t end = std::min(a[i].end, b[j].end);
      if (begin < end) common += static_cast<double>(end - begin);
    }
    if (std::tie(a[i].document, a[i].end) < std::tie(b[j].document, b[j].end)) {
      ++i;
    } else {
      ++j;
    }
  }
  return common;
}

double Ratio(double part, double whole) { return whole > 0 ? part / whole : 0.0; }

}  // namespace

SpanScores ScoreSpans(absl::Span<const DocumentSpan> gold,
                      absl::Span<const DocumentSpan> retrieved) {
  const std::vector<DocumentSpan> wanted = Union(gold);
  const std::vector<DocumentSpan> kept = Union(retrieved);
  const double wanted_length = TotalLength(wanted);
  const double retrieved_length = TotalLength(retrieved);
  const double common = CommonLength(wanted, kept);
  SpanScores scores;
  scores.recall = wanted_length > 0 ? common / wanted_length : 1.0;
  scores.precision = Ratio(common, retrieved_length);
  scores.iou = Ratio(common, wanted_length + TotalLength(kept) - common);
  scores.iou_with_repeats = Ratio(common, wanted_length + retrieved_length - common);
  return scores;
}

SpanScores MeanSpanScores(absl::Span<const SpanScores> scores) {
  SpanScores mean;
  if (scores.empty()) return mean;
  for (const SpanScores& one : scores) {
    mean.recall += one.recall;
    mean.precision += one.precision;
    mean.iou += one.iou;
    mean.iou_with_repeats += one.iou_with_repeats;
  }
  const auto count = static_cast<double>(scores.size());
  mean.recall /= count;
  mean.precision /= count;
  mean.iou /= count;
  mean.iou_with_repeats /= count;
  return mean;
}

}  // namespace cairn::engine
