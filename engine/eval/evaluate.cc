#include "engine/eval/evaluate.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/eval/absl_view.h"

namespace cairn::engine {
namespace {

// Topic values of geometric means are raised to this, so that one zero does not decide everything.
constexpr double kMinGeometric = 0.00001;

// log2(rank + 1) for every rank asked for so far.
class Discounts {
 public:
  absl::Span<const double> UpTo(size_t ranks) {
    while (table_.size() < ranks)
      table_.push_back(std::log2(static_cast<double>(table_.size() + 2)));
    return absl::MakeConstSpan(table_).first(ranks);
  }

 private:
  std::vector<double> table_;
};

using Ranking = std::vector<const ScoredDocument*>;

Ranking RankDocuments(const RunTopic& topic, int64_t max_results) {
  Ranking ranking;
  ranking.reserve(topic.documents.size());
  for (const ScoredDocument& document : topic.documents) ranking.push_back(&document);
  const auto before = [](const ScoredDocument* a, const ScoredDocument* b) {
    return a->score != b->score ? a->score > b->score : a->id > b->id;
  };
  if (!std::is_sorted(ranking.begin(), ranking.end(), before)) {
    std::sort(ranking.begin(), ranking.end(), before);
  }
  if (max_results < static_cast<int64_t>(ranking.size())) {
    ranking.resize(static_cast<size_t>(std::max<int64_t>(max_results, 0)));
  }
  return ranking;
}

// Joins rankings with judgements; keeps what can be used again for the next topic.
class Joiner {
 public:
  explicit Joiner(int32_t relevance_level) { topic_.relevance_level = relevance_level; }

  // Valid until the next call.
  const RankedTopic& Join(const Ranking& ranking, const std::vector<Judgment>& judgments) {
    levels_.clear();
    topic_.ideal_levels.clear();
    topic_.num_relevant = topic_.num_nonrelevant = 0;
    for (const Judgment& judgment : judgments) {
      const int32_t level = std::max(judgment.level, kUnjudgedLevel);
      levels_.emplace(judgment.document, level);
      if (level > 0) topic_.ideal_levels.push_back(level);
      if (topic_.IsRelevant(level)) ++topic_.num_relevant;
      if (topic_.IsJudgedNonrelevant(level)) ++topic_.num_nonrelevant;
    }
    std::sort(topic_.ideal_levels.begin(), topic_.ideal_levels.end(), std::greater<>());
    topic_.levels.clear();
    topic_.relevant_above.assign(1, 0);
    for (const ScoredDocument* document : ranking) {
      const auto it = levels_.find(document->id);
      const int32_t level = it == levels_.end() ? kNotInPoolLevel : it->second;
      topic_.levels.push_back(level);
      topic_.relevant_above.push_back(topic_.relevant_above.back() +
                                      (topic_.IsRelevant(level) ? 1 : 0));
    }
    topic_.discounts = discounts_.UpTo(std::max(topic_.levels.size(), topic_.ideal_levels.size()));
    return topic_;
  }

 private:
  RankedTopic topic_;
  Discounts discounts_;
  absl::flat_hash_map<absl::string_view, int32_t> levels_;
};

// One character a document: its level, '>' above 9, '.' in the pool but unjudged, '-' not in the
// pool.
std::string LevelString(const RankedTopic& topic, size_t length) {
  std::string text;
  for (size_t i = 0; i < std::min(length, topic.levels.size()); ++i) {
    const int32_t level = topic.levels[i];
    if (level == kNotInPoolLevel) {
      text += '-';
    } else if (level == kUnjudgedLevel) {
      text += '.';
    } else {
      text += level > 9 ? '>' : static_cast<char>('0' + level);
    }
  }
  return text;
}

// The columns of the measures, and where each measure's begin.
struct Layout {
  std::vector<EvalColumn> columns;
  std::vector<size_t> first;
};

Layout LayOut(absl::Span<const MeasureSpec> measures) {
  Layout layout;
  for (const MeasureSpec& spec : measures) {
    layout.first.push_back(layout.columns.size());
    for (std::string& name : spec.ColumnNames()) {
      layout.columns.push_back({std::move(name), spec.info->kind});
    }
  }
  return layout;
}

// Values of one topic: with several groups of judgements, the mean over them.
EvalTopic EvaluateTopic(const QrelsTopic& qrels, const RunTopic& run,
                        absl::Span<const MeasureSpec> measures, const Layout& layout,
                        const EvalOptions& options, Joiner& joiner) {
  EvalTopic result;
  result.id = qrels.id;
  result.values.assign(layout.columns.size(), 0);
  std::vector<double> group_values(layout.columns.size());
  const Ranking ranking = RankDocuments(run, options.max_results);
  for (const JudgmentGroup& group : qrels.groups) {
    const RankedTopic& topic = joiner.Join(ranking, group.judgments);
    for (size_t m = 0; m < measures.size(); ++m) {
      const MeasureInfo& info = *measures[m].info;
      if (info.kind == ColumnKind::kLevels) {
        result.texts.push_back(LevelString(topic, static_cast<size_t>(measures[m].values[0])));
      } else if (info.compute != nullptr) {
        info.compute(topic, measures[m], group_values.data() + layout.first[m]);
      }
    }
    for (size_t c = 0; c < group_values.size(); ++c) result.values[c] += group_values[c];
  }
  if (qrels.groups.size() > 1) {
    for (double& value : result.values) value /= static_cast<double>(qrels.groups.size());
  }
  return result;
}

int64_t CountRelevant(const QrelsTopic& topic, int32_t relevance_level) {
  int64_t count = 0;
  for (const JudgmentGroup& group : topic.groups) {
    count +=
        std::count_if(group.judgments.begin(), group.judgments.end(),
                      [&](const Judgment& judgment) { return judgment.level >= relevance_level; });
  }
  return count;
}

double SumColumn(const EvalResult& result, size_t column) {
  double sum = 0;
  for (const EvalTopic& topic : result.topics) sum += topic.values[column];
  return sum;
}

double GeometricMean(const EvalResult& result, size_t column) {
  double logs = 0;
  for (const EvalTopic& topic : result.topics) {
    logs += std::log(std::max(topic.values[column], kMinGeometric));
  }
  const int64_t missing = result.num_topics - static_cast<int64_t>(result.topics.size());
  logs += static_cast<double>(missing) * std::log(kMinGeometric);
  return std::exp(logs / static_cast<double>(result.num_topics));
}

absl::Status CheckArguments(const Qrels& qrels, absl::Span<const MeasureSpec> measures,
                            const EvalOptions& options) {
  if (options.relevance_level < 1) {
    return absl::InvalidArgumentError("the relevance level must be at least 1");
  }
  for (const MeasureSpec& spec : measures) {
    if (spec.info->compute == nullptr && spec.info->kind != ColumnKind::kLevels) continue;
    if (spec.info->format == qrels.format) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "measure ", AbslView(spec.info->name), " needs judgements ",
        spec.info->format == QrelsFormat::kPlain ? "without" : "with", " judgement groups"));
  }
  return absl::OkStatus();
}

}  // namespace

void Summarise(EvalResult& result) {
  result.summary.assign(result.columns.size(), 0);
  if (result.num_topics == 0) return;
  const auto num_topics = static_cast<double>(result.num_topics);
  for (size_t c = 0; c < result.columns.size(); ++c) {
    switch (result.columns[c].kind) {
      case ColumnKind::kNumTopics:
        result.summary[c] = num_topics;
        break;
      case ColumnKind::kSum:
        result.summary[c] = SumColumn(result, c);
        break;
      case ColumnKind::kMean:
        result.summary[c] = SumColumn(result, c) / num_topics;
        break;
      case ColumnKind::kGeometric:
        // Topic values that are z-scores have no geometric mean.
        result.summary[c] = result.is_z_scored ? 0 : GeometricMean(result, c);
        break;
      case ColumnKind::kRunTag:
      case ColumnKind::kLevels:
        break;
    }
  }
}

absl::StatusOr<EvalResult> Evaluate(const Qrels& qrels, const TrecRun& run,
                                    absl::Span<const MeasureSpec> measures,
                                    const EvalOptions& options) {
  absl::Status checked = CheckArguments(qrels, measures, options);
  if (!checked.ok()) return checked;
  absl::flat_hash_map<absl::string_view, const RunTopic*> run_topics;
  for (const RunTopic& topic : run.topics) {
    if (run_topics.emplace(topic.id, &topic).second) continue;
    return absl::InvalidArgumentError(absl::StrCat("the run has topic ", topic.id, " twice"));
  }
  std::vector<const QrelsTopic*> judged;
  for (const QrelsTopic& topic : qrels.topics) judged.push_back(&topic);
  std::sort(judged.begin(), judged.end(),
            [](const QrelsTopic* a, const QrelsTopic* b) { return a->id < b->id; });

  Layout layout = LayOut(measures);
  Joiner joiner(options.relevance_level);
  EvalResult result;
  result.run_tag = run.tag;
  result.all_judged_topics = options.all_judged_topics;
  int64_t missed_relevant = 0;
  for (const QrelsTopic* topic : judged) {
    const auto it = run_topics.find(topic->id);
    if (it == run_topics.end()) {
      missed_relevant += CountRelevant(*topic, options.relevance_level);
      continue;
    }
    result.topics.push_back(EvaluateTopic(*topic, *it->second, measures, layout, options, joiner));
  }
  result.columns = std::move(layout.columns);
  result.num_topics =
      static_cast<int64_t>(options.all_judged_topics ? judged.size() : result.topics.size());
  Summarise(result);
  if (options.all_judged_topics) {
    for (size_t c = 0; c < result.columns.size(); ++c) {
      if (result.columns[c].name == "num_rel") {
        result.summary[c] += static_cast<double>(missed_relevant);
      }
    }
  }
  return result;
}

std::string FormatTrec(const EvalResult& result, bool with_topics) {
  std::string out;
  const auto append = [&](const EvalColumn& column, absl::string_view topic, double value) {
    const bool is_integer =
        column.kind == ColumnKind::kSum || column.kind == ColumnKind::kNumTopics;
    if (result.is_z_scored) out += 'Z';
    if (is_integer && !result.is_z_scored) {
      absl::StrAppendFormat(&out, "%-22s\t%s\t%d\n", column.name, topic,
                            static_cast<int64_t>(value));
    } else {
      absl::StrAppendFormat(&out, "%-22s\t%s\t%6.4f\n", column.name, topic, value);
    }
  };
  if (with_topics) {
    for (const EvalTopic& topic : result.topics) {
      size_t text = 0;
      for (size_t c = 0; c < result.columns.size(); ++c) {
        const EvalColumn& column = result.columns[c];
        if (column.kind == ColumnKind::kLevels) {
          absl::StrAppendFormat(&out, "%-22s\t%s\t'%s'\n", column.name, topic.id,
                                topic.texts[text++]);
        } else if (column.kind == ColumnKind::kSum || column.kind == ColumnKind::kMean) {
          append(column, topic.id, topic.values[c]);
        }
      }
    }
  }
  for (size_t c = 0; c < result.columns.size(); ++c) {
    const EvalColumn& column = result.columns[c];
    if (column.kind == ColumnKind::kLevels) continue;
    if (column.kind == ColumnKind::kRunTag) {
      absl::StrAppendFormat(&out, "%-22s\tall\t%s\n", column.name, result.run_tag);
    } else {
      append(column, "all", result.summary[c]);
    }
  }
  return out;
}

}  // namespace cairn::engine
