// Evaluation inputs written as text inside tests.
#ifndef CAIRN_TESTS_ENGINE_EVAL_EVAL_TEXT_H_
#define CAIRN_TESTS_ENGINE_EVAL_EVAL_TEXT_H_

#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "engine/eval/evaluate.h"
#include "engine/eval/measures.h"
#include "engine/eval/trec_files.h"

namespace cairn::engine::testing {

inline absl::StatusOr<TrecRun> RunFrom(const std::string& text) {
  std::istringstream in(text);
  return ReadRun(in, "run.txt");
}

inline absl::StatusOr<Qrels> QrelsFrom(const std::string& text,
                                       QrelsFormat format = QrelsFormat::kPlain) {
  std::istringstream in(text);
  return ReadQrels(in, "qrels.txt", format);
}

// The error's text, or "OK".
template <typename T>
std::string MessageOf(const absl::StatusOr<T>& result) {
  return result.ok() ? "OK" : std::string(result.status().message());
}

// Evaluates texts that must be valid.
inline EvalResult EvaluateTexts(const std::string& qrels_text, const std::string& run_text,
                                const std::vector<std::string>& measures,
                                const EvalOptions& options = {},
                                QrelsFormat format = QrelsFormat::kPlain) {
  const absl::StatusOr<Qrels> qrels = QrelsFrom(qrels_text, format);
  const absl::StatusOr<TrecRun> run = RunFrom(run_text);
  const absl::StatusOr<std::vector<MeasureSpec>> specs = ParseMeasures(measures);
  EXPECT_TRUE(qrels.ok()) << qrels.status();
  EXPECT_TRUE(run.ok()) << run.status();
  EXPECT_TRUE(specs.ok()) << specs.status();
  if (!qrels.ok() || !run.ok() || !specs.ok()) return {};
  absl::StatusOr<EvalResult> result = Evaluate(*qrels, *run, *specs, options);
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? *std::move(result) : EvalResult();
}

// A column of the summary; fails the test if there is none of that name.
inline double Summary(const EvalResult& result, const std::string& column) {
  for (size_t c = 0; c < result.columns.size(); ++c) {
    if (result.columns[c].name == column) return result.summary[c];
  }
  ADD_FAILURE() << "no column " << column;
  return 0;
}

}  // namespace cairn::engine::testing

#endif  // CAIRN_TESTS_ENGINE_EVAL_EVAL_TEXT_H_
