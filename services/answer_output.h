// Answers for people.
#ifndef CAIRN_SERVICES_ANSWER_OUTPUT_H_
#define CAIRN_SERVICES_ANSWER_OUTPUT_H_

#include <string_view>
#include <vector>

#include "engine/engine.h"

namespace cairn::services {

// Prints an answer to standard output as it comes: its text, after each sentence the numbers of
// what supports it, or [?] where nothing does, and at the end a list of these sources.
class AnswerPrinter {
 public:
  // `lines`: each sentence on a line of its own.
  explicit AnswerPrinter(bool lines) : lines_(lines) {}

  void PrintText(std::string_view text);
  void PrintMarks(const AnswerSentence& sentence);
  void PrintSources() const;

 private:
  // From 1; the same for the same span of the same document.
  size_t NumberOf(const Citation& citation);

  const bool lines_;
  std::vector<Citation> sources_;
};

// To standard error: what became of the prompt's tokens, and the time of each stage.
void PrintTimings(const AskResponse& answer);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_ANSWER_OUTPUT_H_
