// The prompt that an answer is written from.
#ifndef CAIRN_ENGINE_ANSWER_ANSWER_PROMPT_H_
#define CAIRN_ENGINE_ANSWER_ANSWER_PROMPT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
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

// A stretch of a prompt whose ids are those of its text alone, wherever it stands.
struct PromptStretch {
  std::vector<uint32_t> ids;
  // Of a passage's text, whole: its number, from 0. Nothing: of what stands around passages.
  std::optional<size_t> passage;
};

struct AnswerPrompt {
  std::vector<uint32_t> ids;
  // Of prompts made of stretches: those, which are `ids` behind each other. The first is the same
  // in all prompts of a model: its preface.
  std::vector<PromptStretch> stretches;
  bool continues = false;         // GenerationRequest::continues_prompt
  std::vector<std::string> stop;  // Strings that end the answer.
  // Passage i + 1 of the prompt. One whose text had to be cut has what is left.
  std::vector<SearchHit> passages;
  bool cut = false;  // The only passage's text was.
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
// where none does. `stretches`: it is made of stretches, so that passages have the same ids in
// every prompt; the ids differ a little then, where a tokenizer would join a stretch's end with the
// next's beginning.
absl::StatusOr<AnswerPrompt> MakeAnswerPrompt(const SharedGenerator& generator,
                                              const chunking::Analyzer& analyzer,
                                              const AskRequest& request,
                                              const std::vector<SearchHit>& hits,
                                              bool stretches = false);

// What every prompt made of stretches begins with, up to the first passage.
absl::StatusOr<std::vector<uint32_t>> PromptPreface(const SharedGenerator& generator);
// The ids of a passage's text in prompts made of stretches: a stretch of its own.
std::vector<uint32_t> EncodePassage(const chunking::Tokenizer& tokenizer, std::string_view text);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_ANSWER_ANSWER_PROMPT_H_
