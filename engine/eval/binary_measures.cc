// Measures that ask only whether a document is relevant.
#include <algorithm>
#include <cmath>

#include "engine/eval/measure_functions.h"

namespace cairn::engine::measure {
namespace {

double Ratio(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0.0;
}

// share * num_relevant as a number of documents: trec_eval rounds a recall to the nearest and a
// multiple of R up (adding .9, so that an exact product stays exact if floating point makes it a
// little high).
int64_t RoundedShare(double share, int64_t num_relevant, double added) {
  return static_cast<int64_t>(share * static_cast<double>(num_relevant) + added);
}

// result[j]: highest precision at any rank with at least j relevant documents so far.
std::vector<double> BestPrecisions(const RankedTopic& topic) {
  std::vector<double> best(static_cast<size_t>(topic.num_relevant_retrieved()) + 1, 0.0);
  double highest = 0;
  for (int64_t rank = topic.num_retrieved(); rank > 0; --rank) {
    const int64_t relevant = topic.RelevantAt(rank);
    highest = std::max(highest, Ratio(relevant, rank));
    best[static_cast<size_t>(relevant)] = highest;
  }
  best[0] = highest;
  return best;
}

}  // namespace

void NumRetrieved(const RankedTopic& topic, const MeasureSpec&, double* out) {
  *out = static_cast<double>(topic.num_retrieved());
}

void NumRelevant(const RankedTopic& topic, const MeasureSpec&, double* out) {
  *out = static_cast<double>(topic.num_relevant);
}

void NumRelevantRetrieved(const RankedTopic& topic, const MeasureSpec&, double* out) {
  *out = static_cast<double>(topic.num_relevant_retrieved());
}

void NumNonrelevantRetrieved(const RankedTopic& topic, const MeasureSpec&, double* out) {
  *out = static_cast<double>(
      std::count_if(topic.levels.begin(), topic.levels.end(),
                    [&](int32_t level) { return topic.IsJudgedNonrelevant(level); }));
}

void Unjudged(const RankedTopic& topic, const MeasureSpec& spec, double* out) {
  for (const double value : spec.values) {
    const int64_t cutoff = static_cast<int64_t>(value);
    const auto end = topic.levels.begin() + std::min(cutoff, topic.num_retrieved());
    *out++ = Ratio(
        std::count_if(topic.levels.begin(), end, [](int32_t level) { return level < 0; }), cutoff);
  }
}

// The weights are those of: relevant retrieved, other retrieved, relevant missed, other missed. The
// last class needs the collection's size and is refused by the parser.
void Utility(const RankedTopic& topic, const MeasureSpec& spec, double* out) {
  const int64_t hits = topic.num_relevant_retrieved();
  *out = spec.values[0] * static_cast<double>(hits) +
         spec.values[1] * static_cast<double>(topic.num_retrieved() - hits) +
         spec.values[2] * static_cast<double>(topic.num_relevant - hits);
}

void SetPrecision(const RankedTopic& topic, const MeasureSpec&, double* out) {
  *out = Ratio(topic.num_relevant_retrieved(), topic.num_retrieved());
}

void SetRelativePrecision(const RankedTopic& topic, const MeasureSpec&, double* out) {
  *out = Ratio(topic.num_relevant_retrieved(), std::min(topic.num_retrieved(), topic.num_relevant));
}

void SetRecall(const RankedTopic& topic, const MeasureSpec&, double* out) {
  *out = Ratio(topic.num_relevant_retrieved(), topic.num_relevant);
}

void SetMap(const RankedTopic& topic, const MeasureSpec&, double* out) {
  *out = Ratio(topic.num_relevant_retrieved(), topic.num_relevant) *
         Ratio(topic.num_relevant_retrieved(), topic.num_retrieved());
}

void SetF(const RankedTopic& topic, const MeasureSpec& spec, double* out) {
  const double weight = spec.values[0];
  const double recall = Ratio(topic.num_relevant_retrieved(), topic.num_relevant);
  const double precision = Ratio(topic.num_relevant_retrieved(), topic.num_retrieved());
  const double divisor = recall + weight * precision;
  *out = divisor > 0 ? (weight + 1) * precision * recall / divisor : 0.0;
}

void AveragePrecision(const RankedTopic& topic, const MeasureSpec&, double* out) {
  double sum = 0;
  for (size_t i = 0; i < topic.levels.size(); ++i) {
    if (topic.IsRelevant(topic.levels[i])) {
      sum += static_cast<double>(topic.relevant_above[i + 1]) / static_cast<double>(i + 1);
    }
  }
  *out = topic.num_relevant > 0 ? sum / static_cast<double>(topic.num_relevant) : 0.0;
}

void AveragePrecisionCut(const RankedTopic& topic, const MeasureSpec& spec, double* out) {
  double sum = 0;
  size_t i = 0;
  for (const double cutoff : spec.values) {
    for (; i < topic.levels.size() && static_cast<double>(i) < cutoff; ++i) {
      if (topic.IsRelevant(topic.levels[i])) {
        sum += static_cast<double>(topic.relevant_above[i + 1]) / static_cast<double>(i + 1);
      }
    }
    *out++ = topic.num_relevant > 0 ? sum / static_cast<double>(topic.num_relevant) : 0.0;
  }
}

void RPrecision(const RankedTopic& topic, const MeasureSpec&, double* out) {
  *out = Ratio(topic.RelevantAt(topic.num_relevant), topic.num_relevant);
}

void RPrecisionMultiple(const RankedTopic& topic, const MeasureSpec& spec, double* out) {
  for (const double multiple : spec.values) {
    const int64_t cutoff = RoundedShare(multiple, topic.num_relevant, 0.9);
    *out++ = Ratio(topic.RelevantAt(cutoff), cutoff);
  }
}

// Buckley and Voorhees (2004): each relevant document retrieved counts 1 less the share of judged
// nonrelevant documents above it, of which at most R count.
void Bpref(const RankedTopic& topic, const MeasureSpec&, double* out) {
  const int64_t bound = std::min(topic.num_relevant, topic.num_nonrelevant);
  int64_t nonrelevant_above = 0;
  double sum = 0;
  for (const int32_t level : topic.levels) {
    if (topic.IsJudgedNonrelevant(level)) {
      ++nonrelevant_above;
    } else if (topic.IsRelevant(level)) {
      sum += 1.0 - Ratio(std::min(nonrelevant_above, topic.num_relevant), bound);
    }
  }
  *out = topic.num_relevant > 0 ? sum / static_cast<double>(topic.num_relevant) : 0.0;
}

void ReciprocalRank(const RankedTopic& topic, const MeasureSpec&, double* out) {
  *out = 0;
  for (size_t i = 0; i < topic.levels.size(); ++i) {
    if (!topic.IsRelevant(topic.levels[i])) continue;
    *out = 1.0 / static_cast<double>(i + 1);
    return;
  }
}

void PrecisionAtRecall(const RankedTopic& topic, const MeasureSpec& spec, double* out) {
  const std::vector<double> best = BestPrecisions(topic);
  for (const double recall : spec.values) {
    const auto needed = static_cast<size_t>(RoundedShare(recall, topic.num_relevant, 0.5));
    *out++ = needed < best.size() ? best[needed] : 0.0;
  }
}

void MeanPrecisionAtRecall(const RankedTopic& topic, const MeasureSpec& spec, double* out) {
  std::vector<double> precisions(spec.values.size());
  PrecisionAtRecall(topic, spec, precisions.data());
  double sum = 0;
  for (const double precision : precisions) sum += precision;
  *out = sum / static_cast<double>(precisions.size());
}

void Precision(const RankedTopic& topic, const MeasureSpec& spec, double* out) {
  for (const double value : spec.values) {
    const auto cutoff = static_cast<int64_t>(value);
    *out++ = Ratio(topic.RelevantAt(cutoff), cutoff);
  }
}

void Recall(const RankedTopic& topic, const MeasureSpec& spec, double* out) {
  for (const double value : spec.values) {
    *out++ = Ratio(topic.RelevantAt(static_cast<int64_t>(value)), topic.num_relevant);
  }
}

void RelativePrecision(const RankedTopic& topic, const MeasureSpec& spec, double* out) {
  for (const double value : spec.values) {
    const auto cutoff = static_cast<int64_t>(value);
    *out++ = Ratio(topic.RelevantAt(cutoff), std::min(cutoff, topic.num_relevant));
  }
}

void Success(const RankedTopic& topic, const MeasureSpec& spec, double* out) {
  for (const double value : spec.values) {
    *out++ = topic.RelevantAt(static_cast<int64_t>(value)) > 0 ? 1.0 : 0.0;
  }
}

// Yilmaz and Aslam (2006): the precision expected above rank k is that of the judged sample, scaled
// by the share of documents above k that are in the pool at all.
void InferredAp(const RankedTopic& topic, const MeasureSpec&, double* out) {
  constexpr double kSmoothing = 0.00001;
  int64_t in_pool = 0;
  int64_t nonrelevant = 0;
  double sum = 0;
  for (size_t i = 0; i < topic.levels.size(); ++i) {
    const int32_t level = topic.levels[i];
    if (topic.IsRelevant(level)) {
      const double rank = static_cast<double>(i + 1);
      const double above = static_cast<double>(i);
      const auto relevant = static_cast<double>(topic.relevant_above[i]);
      double expected = 1.0 / rank;
      if (i > 0) {
        expected += (above / rank) * (static_cast<double>(in_pool) / above) *
                    ((relevant + kSmoothing) /
                     (relevant + static_cast<double>(nonrelevant) + 2 * kSmoothing));
      }
      sum += expected;
    }
    if (level != kNotInPoolLevel) ++in_pool;
    if (topic.IsJudgedNonrelevant(level)) ++nonrelevant;
  }
  *out = topic.num_relevant > 0 ? sum / static_cast<double>(topic.num_relevant) : 0.0;
}

void BinaryG(const RankedTopic& topic, const MeasureSpec&, double* out) {
  double sum = 0;
  for (size_t i = 0; i < topic.levels.size(); ++i) {
    if (!topic.IsRelevant(topic.levels[i])) continue;
    const size_t others_above = i - static_cast<size_t>(topic.relevant_above[i]);
    sum += 1.0 / topic.discounts[others_above];
  }
  *out = topic.num_relevant > 0 ? sum / static_cast<double>(topic.num_relevant) : 0.0;
}

}  // namespace cairn::engine::measure
