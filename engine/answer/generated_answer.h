// Answers that a language model writes from the best passages, with checked citations.
#ifndef CAIRN_ENGINE_ANSWER_GENERATED_ANSWER_H_
#define CAIRN_ENGINE_ANSWER_GENERATED_ANSWER_H_

#include "absl/status/statusor.h"
#include "engine/engine.h"
#include "engine/generation/shared_generator.h"
#include "engine/kv/chunk_caches.h"
#include "engine/search.h"

namespace cairn::engine {

// Retrieves, makes the prompt (MakeAnswerPrompt), lets the model write, and takes its text apart
// into sentences and citations as it comes (AnswerReader). A citation stays where its passage
// exists and supports the sentence (SupportChecker), and then points at the sentences of the
// document that do. Nothing is generated where nothing is found. Errors as RunSearch,
// MakeAnswerPrompt and SharedGenerator::Generate; a cancelled answer is none. `caches` (null:
// none): what is kept of the collection's chunks is not read anew (docs/kv-reuse.md). Thread-safe.
absl::StatusOr<AskResponse> AnswerWithModel(const SearchContext& context,
                                            SharedGenerator* generator, ChunkCaches* caches,
                                            const AskRequest& request);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_ANSWER_GENERATED_ANSWER_H_
