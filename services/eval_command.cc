#include <CLI/CLI.hpp>
#include <cstdio>
#include <limits>

#include "engine/eval/compare_runs.h"
#include "engine/eval/evaluate.h"
#include "engine/eval/measures.h"
#include "engine/eval/trec_files.h"
#include "engine/eval/z_scores.h"
#include "services/command.h"
#include "services/eval_answers.h"
#include "services/json_output.h"

namespace cairn::services {
namespace {

class EvalCommand : public Command {
 public:
  CLI::App* Register(CLI::App* app) override {
    CLI::App* c = app->add_subcommand("eval", "Evaluate a TREC run, or answers");
    c->add_option("QRELS", qrels_path_, "Relevance judgements: TREC or BEIR TSV");
    c->add_option("RUN", run_path_, "The run");
    c->add_option(
         "-m,--measure", measures_,
         "Measure, e.g. map, ndcg_cut.10, P.5,10, all_trec, official (default); repeatable")
        ->allow_extra_args(false);
    c->add_flag("-q,--per-query", per_query_, "Print each topic's values too");
    c->add_flag("-c,--complete", options_.all_judged_topics,
                "Average over all judged topics, also those without results");
    c->add_option("-l,--level", options_.relevance_level, "Smallest relevant level")
        ->capture_default_str();
    max_results_ = c->add_option("-M,--max-results", max_value_, "Results read for each topic")
                       ->check(CLI::PositiveNumber);
    c->add_flag("-J,--judgment-groups", groups_, "QRELS holds several assessors' judgements");
    c->add_option("-Z,--z-scores", z_path_,
                  "File of means and deviations: print z-scores (topic measure mean deviation)");
    c->add_option("--compare", compare_path_,
                  "A second run: means, difference, p-value of the paired randomisation test");
    c->add_option("--answers", answers_path_, "File of answers that ask wrote, instead of a run");
    c->add_option("--gold", gold_path_,
                  "With --answers: JSONL of {_id, answers: [...], gold: [documents]}");
    c->add_option(
        "--trec-rag", trec_rag_path_,
        "Check a file of answers against the TREC RAG track's rules; exit code 3 where it "
        "breaks one");
    c->add_option("--topics", topics_path_, "With --trec-rag: the topics, all of which it answers");
    c->add_flag("--json", json_, "Print JSON");
    c->footer(
        "Runs are evaluated with trec_eval's semantics, answers by exact match, word F1 and\n"
        "containment of gold answers, precision and recall of cited documents, and the share of\n"
        "unsupported sentences.\n\n"
        "Examples:\n"
        "  cairn eval qrels.txt bm25.run -m map -m ndcg_cut.10\n"
        "  cairn eval -q -c qrels.txt bm25.run -m all_trec\n"
        "  cairn eval qrels.txt bm25.run --compare hybrid.run -m ndcg_cut.10\n"
        "  cairn eval --answers answers.jsonl --gold questions.jsonl -q\n"
        "  cairn eval --trec-rag submission.jsonl --topics topics.tsv");
    return c;
  }

  int Run() override {
    const absl::Status use = CheckUse();
    if (!use.ok()) return FailUsage(std::string(use.message()));
    if (!trec_rag_path_.empty()) return ValidateTrecRag(trec_rag_path_, topics_path_, json_);
    if (!answers_path_.empty()) {
      return EvaluateAnswerFiles(answers_path_, gold_path_, {per_query_, json_});
    }
    absl::StatusOr<std::vector<engine::MeasureSpec>> measures = engine::ParseMeasures(measures_);
    if (!measures.ok()) return FailUsage(std::string(measures.status().message()));
    if (max_results_->count() > 0) options_.max_results = max_value_;
    absl::StatusOr<engine::Qrels> qrels = engine::ReadQrelsFile(
        qrels_path_, groups_ ? engine::QrelsFormat::kGroups : engine::QrelsFormat::kPlain);
    if (!qrels.ok()) return FailInput(qrels.status());
    absl::StatusOr<engine::EvalResult> result = EvaluateFile(*qrels, *measures, run_path_);
    if (!result.ok()) return FailInput(result.status());
    if (!compare_path_.empty()) {
      absl::StatusOr<engine::EvalResult> other = EvaluateFile(*qrels, *measures, compare_path_);
      if (!other.ok()) return FailInput(other.status());
      return Compare(*result, *other);
    }
    if (json_) {
      PrintJson(*result);
    } else {
      std::fputs(engine::FormatTrec(*result, per_query_).c_str(), stdout);
    }
    return kExitOk;
  }

 private:
  // One thing is evaluated: a run, answers, or a submission.
  absl::Status CheckUse() const {
    const auto fault = [](const char* what) { return absl::InvalidArgumentError(what); };
    const bool run = !qrels_path_.empty();
    if (run + !answers_path_.empty() + !trec_rag_path_.empty() != 1) {
      return fault("name what to evaluate: QRELS and RUN, --answers and --gold, or --trec-rag");
    }
    if (run && run_path_.empty()) return fault("RUN is required");
    if (answers_path_.empty() != gold_path_.empty()) return fault("--answers goes with --gold");
    if (trec_rag_path_.empty() && !topics_path_.empty()) {
      return fault("--topics is for --trec-rag");
    }
    return absl::OkStatus();
  }

  absl::StatusOr<engine::EvalResult> EvaluateFile(const engine::Qrels& qrels,
                                                  const std::vector<engine::MeasureSpec>& measures,
                                                  const std::string& path) const {
    absl::StatusOr<engine::TrecRun> run = engine::ReadRunFile(path);
    if (!run.ok()) return run.status();
    absl::StatusOr<engine::EvalResult> result = engine::Evaluate(qrels, *run, measures, options_);
    if (!result.ok() || z_path_.empty()) return result;
    absl::StatusOr<engine::ZScores> z_scores = engine::ReadZScoresFile(z_path_);
    if (!z_scores.ok()) return z_scores.status();
    return engine::ApplyZScores(*std::move(result), *z_scores);
  }

  static bool IsText(engine::ColumnKind kind) {
    return kind == engine::ColumnKind::kRunTag || kind == engine::ColumnKind::kLevels;
  }

  void PrintJson(const engine::EvalResult& result) const {
    Json all = Json::object();
    for (size_t i = 0; i < result.columns.size(); ++i) {
      const engine::EvalColumn& column = result.columns[i];
      if (column.kind == engine::ColumnKind::kNumTopics) {
        all[column.name] = result.num_topics;
      } else if (!IsText(column.kind)) {
        all[column.name] = result.summary[i];
      }
    }
    Json out = {{"run", result.run_tag}, {"topics", result.num_topics}, {"all", std::move(all)}};
    if (per_query_) {
      Json topics = Json::object();
      for (const engine::EvalTopic& t : result.topics) {
        Json values = Json::object();
        for (size_t i = 0; i < result.columns.size(); ++i) {
          const engine::ColumnKind kind = result.columns[i].kind;
          if (kind == engine::ColumnKind::kMean || kind == engine::ColumnKind::kSum) {
            values[result.columns[i].name] = t.values[i];
          }
        }
        topics[t.id] = std::move(values);
      }
      out["per_query"] = std::move(topics);
    }
    std::printf("%s\n", Dump(out).c_str());
  }

  int Compare(const engine::EvalResult& a, const engine::EvalResult& b) const {
    absl::StatusOr<std::vector<engine::MeasureComparison>> rows = engine::CompareRuns(a, b, {});
    if (!rows.ok()) return FailInput(rows.status());
    if (json_) {
      Json out = Json::array();
      for (const engine::MeasureComparison& r : *rows) {
        out.push_back({{"measure", r.measure},
                       {"first", r.mean_a},
                       {"second", r.mean_b},
                       {"difference", r.difference},
                       {"p_value", r.p_value},
                       {"topics", r.num_topics}});
      }
      std::printf("%s\n", Dump(out).c_str());
      return kExitOk;
    }
    std::printf("%-22s\t%s\t%s\t%s\t%s\n", "measure", "first", "second", "difference", "p");
    for (const engine::MeasureComparison& r : *rows) {
      std::printf("%-22s\t%.4f\t%.4f\t%+.4f\t%.4f\n", r.measure.c_str(), r.mean_a, r.mean_b,
                  r.difference, r.p_value);
    }
    return kExitOk;
  }

  std::string qrels_path_, run_path_, compare_path_, z_path_;
  std::string answers_path_, gold_path_, trec_rag_path_, topics_path_;
  std::vector<std::string> measures_;
  engine::EvalOptions options_;
  int64_t max_value_ = std::numeric_limits<int64_t>::max();
  CLI::Option* max_results_ = nullptr;
  bool per_query_ = false, groups_ = false, json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeEvalCommand() { return std::make_unique<EvalCommand>(); }

}  // namespace cairn::services
