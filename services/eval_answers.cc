#include "services/eval_answers.h"

#include <unistd.h>

#include <cstdio>
#include <optional>
#include <utility>
#include <vector>

#include "engine/eval/answer_measures.h"
#include "engine/eval/answers.h"
#include "engine/eval/topics.h"
#include "engine/eval/trec_rag.h"
#include "services/command.h"
#include "services/json_output.h"
#include "services/passage_output.h"

namespace cairn::services {
namespace {

Json ScoresToJson(const engine::AnswerScores& scores) {
  Json out = Json::object();
  for (const auto& [name, value] : engine::Named(scores)) {
    out[name] = value.has_value() ? Json(*value) : Json(nullptr);
  }
  return out;
}

// As trec_eval prints: measure, topic or "all", value. Measures that are not known are left out.
void PrintScores(const std::string& topic, const engine::AnswerScores& scores) {
  for (const auto& [name, value] : engine::Named(scores)) {
    if (!value.has_value()) continue;
    std::printf("%-22s\t%s\t%.4f\n", name.c_str(), ForTerminal(topic, STDOUT_FILENO).c_str(),
                *value);
  }
}

void PrintJson(const engine::AnswerEvaluation& evaluation, bool per_query) {
  Json out = {{"questions", evaluation.questions.size()},
              {"answered", evaluation.answered},
              {"all", ScoresToJson(evaluation.means)}};
  if (per_query) {
    Json questions = Json::object();
    for (const auto& [id, scores] : evaluation.questions) questions[id] = ScoresToJson(scores);
    out["per_query"] = std::move(questions);
  }
  std::printf("%s\n", Dump(out).c_str());
}

}  // namespace

int EvaluateAnswerFiles(const std::string& answers, const std::string& gold,
                        const AnswerOutput& output) {
  const absl::StatusOr<std::vector<engine::AnswerRecord>> records =
      engine::ReadAnswersFile(answers);
  if (!records.ok()) return FailInput(records.status());
  const absl::StatusOr<std::vector<engine::GoldAnswer>> wanted = engine::ReadGoldFile(gold);
  if (!wanted.ok()) return FailInput(wanted.status());
  const absl::StatusOr<engine::AnswerEvaluation> evaluation =
      engine::EvaluateAnswers(*records, *wanted);
  if (!evaluation.ok()) return FailInput(evaluation.status());
  if (output.json) {
    PrintJson(*evaluation, output.per_query);
    return kExitOk;
  }
  if (output.per_query) {
    for (const auto& [id, scores] : evaluation->questions) PrintScores(id, scores);
  }
  std::printf("%-22s\tall\t%zu\n", "num_q", evaluation->questions.size());
  std::printf("%-22s\tall\t%zu\n", "num_answered", evaluation->answered);
  PrintScores("all", evaluation->means);
  return kExitOk;
}

int ValidateTrecRag(const std::string& path, const std::string& topics, bool json) {
  std::optional<std::vector<engine::Topic>> known;
  if (!topics.empty()) {
    absl::StatusOr<std::vector<engine::Topic>> read = engine::ReadTopicsFile(topics);
    if (!read.ok()) return FailInput(read.status());
    known = *std::move(read);
  }
  const absl::StatusOr<engine::TrecRagReport> report =
      engine::ValidateTrecRagFile(path, known.has_value() ? &*known : nullptr);
  if (!report.ok()) return FailInput(report.status());
  if (json) {
    Json violations = Json::array();
    for (const engine::TrecRagViolation& v : report->violations) {
      violations.push_back({{"line", v.line}, {"what", v.what}});
    }
    const Json out = {{"valid", report->violation_count == 0},
                      {"answers", report->answers},
                      {"violation_count", report->violation_count},
                      {"violations", std::move(violations)}};
    std::printf("%s\n", Dump(out).c_str());
  } else {
    for (const engine::TrecRagViolation& v : report->violations) {
      const std::string place = v.line == 0 ? path : path + ":" + std::to_string(v.line);
      std::printf("%s\n", ForTerminal(place + ": " + v.what, STDOUT_FILENO).c_str());
    }
    std::fprintf(stderr, "%zu answers, %zu violations\n", report->answers, report->violation_count);
  }
  return report->violation_count == 0 ? kExitOk : kExitError;
}

}  // namespace cairn::services
