// The prompt that an answer is written from.
#ifndef CAIRN_ENGINE_ANSWER_ANSWER_PROMPT_H_
#define CAIRN_ENGINE_ANSWER_ANSWER_PROMPT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "chunking/text/analyzer.h"
#include "engine/engine.h"
#include "engine/generation/shared_generator.h"

namespace cairn::engine {

// What the model is told besides passages and question.
extern const std::string_view kAnswerInstruction;

struct AnswerPrompt {
  std::vector<uint32_t> ids;
  bool continues = false;         // GenerationRequest::continues_prompt
  std::vector<std::string> stop;  // Strings that end the answer.
  // Passage i + 1 of the prompt. One whose text had to be cut has what is left.
  std::vector<SearchHit> passages;
};

// Tokens of the context that are left to an answer of at most `max_tokens`, however long passages
// and question are: all it may have, but no more than a quarter of the context.
size_t AnswerReserve(size_t context_length, size_t max_tokens);

// InvalidArgument where instruction and question alone leave no room for a passage. Cheap: nothing
// need have been retrieved yet.
absl::Status CheckQuestionFits(const SharedGenerator& generator, const AskRequest& request);

// Chooses passages among `hits` (best first; SelectPassages) within request.token_budget and the
// model's context, and makes the prompt: a system message and the numbered passages with the
// question where the model has a chat template, plain text otherwise. Nothing in a passage or
// question becomes markup, and citation marks in passages are defused (DefuseMarks). Where not even
// the best passage fits, the prompt holds as many of its first sentences as do. InvalidArgument
// where none does.
absl::StatusOr<AnswerPrompt> MakeAnswerPrompt(const SharedGenerator& generator,
                                              const chunking::Analyzer& analyzer,
                                              const AskRequest& request,
                                              const std::vector<SearchHit>& hits);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_ANSWER_ANSWER_PROMPT_H_
