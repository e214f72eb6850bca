// Answers to be evaluated, and what they are held against.
#ifndef CAIRN_ENGINE_EVAL_ANSWERS_H_
#define CAIRN_ENGINE_EVAL_ANSWERS_H_

#include <cstdint>
#include <istream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace cairn::engine {

struct AnsweredCitation {
  std::string document;
  uint64_t begin = 0;  // Byte span in the document's text.
  uint64_t end = 0;
};

struct AnsweredSentence {
  std::string text;
  bool supported = false;
  std::vector<AnsweredCitation> citations;
};

struct AnswerRecord {
  std::string id;  // Of the topic.
  std::string question;
  std::string answer;
  std::vector<AnsweredSentence> sentences;
};

// One line of JSON without its end: {"id", "question", "answer", "sentences": [{"text",
// "supported", "citations": [{"document", "begin", "end"}]}]}.
std::string AnswerLine(const AnswerRecord& record);

// Reads such lines; further members are ignored, blank lines too. InvalidArgument "name:line:
// reason" for anything else, and for an id seen before. NotFound for a path that cannot be opened.
absl::StatusOr<std::vector<AnswerRecord>> ReadAnswers(std::istream& in, std::string_view name);
absl::StatusOr<std::vector<AnswerRecord>> ReadAnswersFile(const std::string& path);

struct GoldAnswer {
  std::string id;
  std::vector<std::string> answers;  // Alternatives; at least one.
  std::vector<std::string> gold;     // Ids of documents that the answer follows from; may be empty.
};

// Lines {"_id" (or "id"), "answers": [...], "gold": [...]}; faults as above.
absl::StatusOr<std::vector<GoldAnswer>> ReadGold(std::istream& in, std::string_view name);
absl::StatusOr<std::vector<GoldAnswer>> ReadGoldFile(const std::string& path);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_EVAL_ANSWERS_H_
