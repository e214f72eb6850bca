// Measures of answers against gold answers and gold passages.
#ifndef CAIRN_ENGINE_EVAL_ANSWER_MEASURES_H_
#define CAIRN_ENGINE_EVAL_ANSWER_MEASURES_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/eval/answers.h"

namespace cairn::engine {

// The words of `text` as SQuAD's evaluation compares them (Rajpurkar et al. 2016): lower case,
// without ASCII punctuation, without "a", "an", "the". Case is folded with NFKC, so that different
// spellings of one character are equal too.
std::vector<std::string> AnswerWords(std::string_view text);

// Each against the best of the gold answers. 0 or 1; 0 to 1; 0 or 1.
double ExactMatch(std::string_view answer, absl::Span<const std::string> gold);
// Harmonic mean of precision and recall of words, as bags.
double TokenF1(std::string_view answer, absl::Span<const std::string> gold);
// Whether a gold answer's words stand in the answer, side by side. For answers in sentences, which
// no gold answer equals.
double Containment(std::string_view answer, absl::Span<const std::string> gold);

struct AnswerScores {
  double exact_match = 0;
  double f1 = 0;
  double containment = 0;
  // Of the distinct documents cited, those that are gold, and of the gold ones, those cited.
  // Precision is 0 where nothing is cited. Unknown where the question has no gold documents.
  std::optional<double> citation_precision;
  std::optional<double> citation_recall;
  // Share of the sentences without support; unknown for an answer without sentences.
  std::optional<double> unsupported;
};

struct AnswerEvaluation {
  struct Question {
    std::string id;
    AnswerScores scores;
  };
  std::vector<Question> questions;  // In the gold file's order.
  AnswerScores means;               // Over the questions for which a measure is known.
  size_t answered = 0;              // Questions that have an answer.
};

// A gold question without an answer scores 0, but for `unsupported`. InvalidArgument for an answer
// whose id no gold question has.
absl::StatusOr<AnswerEvaluation> EvaluateAnswers(absl::Span<const AnswerRecord> answers,
                                                 absl::Span<const GoldAnswer> gold);

// The measures by the names that output gives them, in its order.
std::vector<std::pair<std::string, std::optional<double>>> Named(const AnswerScores& scores);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_EVAL_ANSWER_MEASURES_H_
