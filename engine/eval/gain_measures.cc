// Measures of graded relevance.
#include <algorithm>
#include <cmath>
#include <functional>

#include "engine/eval/measure_functions.h"

namespace cairn::engine::measure {
namespace {

// The gain of a level: the level itself unless the measure's parameters say otherwise.
class Gains {
 public:
  explicit Gains(const MeasureSpec& spec) : mapped_(spec.gains) {}

  double Of(int32_t level) const {
    if (level < 0) return 0;
    for (const auto& [mapped_level, gain] : mapped_) {
      if (mapped_level == level) return gain;
    }
    return level;
  }

  // Gains above 0 of all judged documents, descending.
  std::vector<double> Ideal(const RankedTopic& topic) const {
    std::vector<double> ideal;
    ideal.reserve(topic.ideal_levels.size());
    for (const int32_t level : topic.ideal_levels) {
      if (Of(level) > 0) ideal.push_back(Of(level));
    }
    if (!mapped_.empty()) std::sort(ideal.begin(), ideal.end(), std::greater<>());
    return ideal;
  }

 private:
  const std::vector<std::pair<int32_t, double>>& mapped_;
};

// Discounted cumulative gain after each rank, of the ranking and of the ideal ranking.
class CumulativeGain {
 public:
  CumulativeGain(const RankedTopic& topic, const MeasureSpec& spec)
      : topic_(topic), gains_(spec), ideal_gains_(gains_.Ideal(topic)) {
    own_.reserve(topic.levels.size() + 1);
    own_.push_back(0);
    for (size_t i = 0; i < topic.levels.size(); ++i) {
      const double gain = gains_.Of(topic.levels[i]);
      own_.push_back(own_[i] + (gain > 0 ? gain / topic.discounts[i] : 0));
    }
    ideal_.reserve(ideal_gains_.size() + 1);
    ideal_.push_back(0);
    for (size_t i = 0; i < ideal_gains_.size(); ++i) {
      ideal_.push_back(ideal_[i] + ideal_gains_[i] / topic.discounts[i]);
    }
  }

  // nDCG after `rank` documents; a ranking that ends earlier gains nothing more.
  double NdcgAt(size_t rank) const {
    const double ideal = ideal_[std::min(rank, ideal_.size() - 1)];
    return ideal > 0 ? own_[std::min(rank, own_.size() - 1)] / ideal : 0.0;
  }

  // nDCG of the whole ranking against all of the ideal one.
  double Ndcg() const { return ideal_.back() > 0 ? own_.back() / ideal_.back() : 0.0; }

  double GainAt(size_t index) const { return gains_.Of(topic_.levels[index]); }
  const std::vector<double>& ideal_gains() const { return ideal_gains_; }

 private:
  const RankedTopic& topic_;
  const Gains gains_;
  const std::vector<double> ideal_gains_;
  std::vector<double> own_;
  std::vector<double> ideal_;
};

}  // namespace

void Ndcg(const RankedTopic& topic, const MeasureSpec& spec, double* out) {
  *out = CumulativeGain(topic, spec).Ndcg();
}

void NdcgCut(const RankedTopic& topic, const MeasureSpec& spec, double* out) {
  const CumulativeGain cumulative(topic, spec);
  for (const double cutoff : spec.values) *out++ = cumulative.NdcgAt(static_cast<size_t>(cutoff));
}

// The mean over all documents with gain of the nDCG at their rank; for one not retrieved, that of
// the whole ranking.
void NdcgAtRelevant(const RankedTopic& topic, const MeasureSpec& spec, double* out) {
  const CumulativeGain cumulative(topic, spec);
  const size_t num_ideal = cumulative.ideal_gains().size();
  double sum = 0;
  size_t found = 0;
  for (size_t i = 0; i < topic.levels.size(); ++i) {
    if (cumulative.GainAt(i) <= 0) continue;
    sum += cumulative.NdcgAt(i + 1);
    ++found;
  }
  sum += static_cast<double>(num_ideal - found) * cumulative.Ndcg();
  *out = num_ideal > 0 ? sum / static_cast<double>(num_ideal) : 0.0;
}

// The mean of nDCG at the last rank of each gain in the ideal ranking, and of the whole ranking:
// as R-precision looks at the rank where all relevant documents could have been.
void NdcgAtIdealSteps(const RankedTopic& topic, const MeasureSpec& spec, double* out) {
  const CumulativeGain cumulative(topic, spec);
  const std::vector<double>& ideal = cumulative.ideal_gains();
  double sum = cumulative.Ndcg();
  size_t steps = 1;
  for (size_t rank = 1; rank <= ideal.size(); ++rank) {
    if (rank < ideal.size() && ideal[rank] == ideal[rank - 1]) continue;
    sum += cumulative.NdcgAt(rank);
    ++steps;
  }
  *out = sum / static_cast<double>(steps);
}

// Beyond its last document with gain the ideal ranking is charged 1 a rank, so that nonrelevant
// documents keep costing; with levels 0 and 1 this makes G equal binG.
void G(const RankedTopic& topic, const MeasureSpec& spec, double* out) {
  const Gains gains(spec);
  const std::vector<double> ideal = gains.Ideal(topic);
  double total = 0;
  for (const double gain : ideal) total += gain;
  double sum = 0;
  double own = 0;
  double best = 0;
  for (size_t i = 0; i < topic.levels.size(); ++i) {
    const double gain = gains.Of(topic.levels[i]);
    own += gain;
    best += i < ideal.size() ? ideal[i] : 1.0;
    if (gain > 0) sum += gain / std::log2(2 + best - own);
  }
  *out = total > 0 ? sum / total : 0.0;
}

void RankBiasedPrecision(const RankedTopic& topic, const MeasureSpec& spec, double* out) {
  const double highest = topic.ideal_levels.empty() ? 1.0 : topic.ideal_levels.front();
  for (const double persistence : spec.values) {
    double weight = 1 - persistence;
    double sum = 0;
    for (const int32_t level : topic.levels) {
      if (level > 0) sum += weight * level / highest;
      weight *= persistence;
    }
    *out++ = sum;
  }
}

// What the value could rise by if every unjudged document, and all beyond the end, had the highest
// level.
void RankBiasedResidual(const RankedTopic& topic, const MeasureSpec& spec, double* out) {
  for (const double persistence : spec.values) {
    double weight = 1 - persistence;
    double sum = 0;
    double rest = 1;
    for (const int32_t level : topic.levels) {
      if (level < 0) sum += weight;
      weight *= persistence;
      rest *= persistence;
    }
    *out++ = sum + rest;
  }
}

}  // namespace cairn::engine::measure
