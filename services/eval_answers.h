// Evaluation of answers, as `cairn eval` prints it.
#ifndef CAIRN_SERVICES_EVAL_ANSWERS_H_
#define CAIRN_SERVICES_EVAL_ANSWERS_H_

#include <string>

namespace cairn::services {

struct AnswerOutput {
  bool per_query = false;
  bool json = false;
};

// Measures of the answers in one file against the gold answers in another. An exit code.
int EvaluateAnswerFiles(const std::string& answers, const std::string& gold,
                        const AnswerOutput& output);

// Lists what the TREC RAG track would refuse; an exit code, kExitError where there is something.
// `topics` may be empty.
int ValidateTrecRag(const std::string& path, const std::string& topics, bool json);

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_EVAL_ANSWERS_H_
