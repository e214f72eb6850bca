#include "engine/eval/answer_measures.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "chunking/text/normalize.h"

namespace cairn::engine {
namespace {

using Words = std::vector<std::string>;

constexpr std::string_view kPunctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

// The best of `measure`(the answer's words, a gold answer's words).
template <typename Measure>
double Best(std::string_view answer, absl::Span<const std::string> gold, Measure measure) {
  const Words words = AnswerWords(answer);
  double best = 0;
  for (const std::string& one : gold) best = std::max(best, measure(words, AnswerWords(one)));
  return best;
}

double WordF1(const Words& answer, const Words& gold) {
  if (answer.empty() || gold.empty()) return answer.empty() && gold.empty() ? 1 : 0;
  absl::flat_hash_map<std::string, size_t> left;
  for (const std::string& word : gold) ++left[word];
  size_t common = 0;
  for (const std::string& word : answer) {
    const auto found = left.find(word);
    if (found == left.end() || found->second == 0) continue;
    --found->second;
    ++common;
  }
  return 2.0 * static_cast<double>(common) / static_cast<double>(answer.size() + gold.size());
}

absl::flat_hash_set<std::string> CitedDocuments(const AnswerRecord& answer) {
  absl::flat_hash_set<std::string> cited;
  for (const AnsweredSentence& sentence : answer.sentences) {
    for (const AnsweredCitation& citation : sentence.citations) cited.insert(citation.document);
  }
  return cited;
}

AnswerScores Score(const AnswerRecord& answer, const GoldAnswer& gold) {
  AnswerScores scores;
  scores.exact_match = ExactMatch(answer.answer, gold.answers);
  scores.f1 = TokenF1(answer.answer, gold.answers);
  scores.containment = Containment(answer.answer, gold.answers);
  const absl::flat_hash_set<std::string> wanted(gold.gold.begin(), gold.gold.end());
  if (!wanted.empty()) {
    const absl::flat_hash_set<std::string> cited = CitedDocuments(answer);
    const auto right = static_cast<double>(
        std::count_if(cited.begin(), cited.end(),
                      [&](const std::string& document) { return wanted.contains(document); }));
    scores.citation_precision = cited.empty() ? 0 : right / static_cast<double>(cited.size());
    scores.citation_recall = right / static_cast<double>(wanted.size());
  }
  if (!answer.sentences.empty()) {
    const auto unsupported =
        std::count_if(answer.sentences.begin(), answer.sentences.end(),
                      [](const AnsweredSentence& sentence) { return !sentence.supported; });
    scores.unsupported =
        static_cast<double>(unsupported) / static_cast<double>(answer.sentences.size());
  }
  return scores;
}

AnswerScores Means(const std::vector<AnswerEvaluation::Question>& questions) {
  std::array<double, 6> sums = {};
  std::array<size_t, 6> counts = {};
  for (const AnswerEvaluation::Question& question : questions) {
    const auto named = Named(question.scores);
    for (size_t i = 0; i < named.size(); ++i) {
      if (!named[i].second.has_value()) continue;
      sums[i] += *named[i].second;
      ++counts[i];
    }
  }
  const auto mean = [&](size_t i) -> std::optional<double> {
    if (counts[i] == 0) return std::nullopt;
    return sums[i] / static_cast<double>(counts[i]);
  };
  return {mean(0).value_or(0), mean(1).value_or(0), mean(2).value_or(0), mean(3), mean(4), mean(5)};
}

}  // namespace

Words AnswerWords(std::string_view text) {
  std::string kept;
  for (const char c : chunking::FoldForMatching(text)) {
    if (kPunctuation.find(c) == std::string_view::npos) kept.push_back(c);
  }
  Words words;
  constexpr std::string_view kSpaces = " \t\n\r\v\f";
  for (size_t begin = kept.find_first_not_of(kSpaces); begin != std::string::npos;) {
    const size_t end = std::min(kept.find_first_of(kSpaces, begin), kept.size());
    std::string word = kept.substr(begin, end - begin);
    if (word != "a" && word != "an" && word != "the") words.push_back(std::move(word));
    begin = kept.find_first_not_of(kSpaces, end);
  }
  return words;
}

double ExactMatch(std::string_view answer, absl::Span<const std::string> gold) {
  return Best(answer, gold, [](const Words& a, const Words& b) { return a == b ? 1.0 : 0.0; });
}

double TokenF1(std::string_view answer, absl::Span<const std::string> gold) {
  return Best(answer, gold, WordF1);
}

double Containment(std::string_view answer, absl::Span<const std::string> gold) {
  return Best(answer, gold, [](const Words& a, const Words& b) {
    if (b.empty()) return a.empty() ? 1.0 : 0.0;  // Nothing is in everything.
    return std::search(a.begin(), a.end(), b.begin(), b.end()) != a.end() ? 1.0 : 0.0;
  });
}

absl::StatusOr<AnswerEvaluation> EvaluateAnswers(absl::Span<const AnswerRecord> answers,
                                                 absl::Span<const GoldAnswer> gold) {
  absl::flat_hash_map<std::string, const AnswerRecord*> by_id;
  for (const AnswerRecord& answer : answers) by_id[answer.id] = &answer;
  AnswerEvaluation evaluation;
  const AnswerRecord none;
  for (const GoldAnswer& question : gold) {
    const auto found = by_id.find(question.id);
    const bool answered = found != by_id.end();
    evaluation.questions.push_back(
        {question.id, Score(answered ? *found->second : none, question)});
    if (!answered) continue;
    ++evaluation.answered;
    by_id.erase(found);
  }
  // The first in the file's order.
  for (const AnswerRecord& answer : answers) {
    if (by_id.contains(answer.id)) {
      return absl::InvalidArgumentError(
          absl::StrCat("no gold question has the id of the answer ", answer.id));
    }
  }
  evaluation.means = Means(evaluation.questions);
  return evaluation;
}

std::vector<std::pair<std::string, std::optional<double>>> Named(const AnswerScores& scores) {
  return {{"exact_match", scores.exact_match},
          {"f1", scores.f1},
          {"containment", scores.containment},
          {"citation_precision", scores.citation_precision},
          {"citation_recall", scores.citation_recall},
          {"unsupported", scores.unsupported}};
}

}  // namespace cairn::engine
