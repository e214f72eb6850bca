// What it takes to generate with a language model, put together.
#ifndef CAIRN_ENGINE_GENERATION_GENERATION_PARTS_H_
#define CAIRN_ENGINE_GENERATION_GENERATION_PARTS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "chunking/text/tokenizer.h"
#include "engine/generation/chat_template.h"
#include "engine/generation/prefix_cache.h"
#include "engine/generation/scheduler.h"
#include "engine/model/kv_cache.h"
#include "engine/model/language_model.h"

namespace cairn::engine {

struct TextGeneratorOptions {
  // For keys and values of all texts together; 0: what one text of the model's whole context needs,
  // and a page more. Memory is taken as it comes to be used.
  uint64_t kv_bytes = 0;
  size_t token_budget = 512;  // SchedulerOptions::token_budget
  // Tokens that end a text, beside those that the tokenizer's end_of_generation names: what
  // ModelConfig::end_tokens says.
  std::vector<uint32_t> end_tokens;
};

// In the order of their dependence: each refers to those before it. Movable.
struct GenerationParts {
  std::unique_ptr<LanguageModel> model;
  std::unique_ptr<chunking::Tokenizer> tokenizer;  // Belongs to the model.
  std::optional<ChatTemplate> chat_template;       // Made for it; none where none is known.
  std::vector<uint32_t> end_tokens;                // TextGeneratorOptions::end_tokens
  std::unique_ptr<KvPool> pool;
  std::unique_ptr<PrefixCache> cache;
  std::unique_ptr<Scheduler> scheduler;
};

// InvalidArgument where kv_bytes is too little for a single page, or an end token is none of the
// model's.
absl::StatusOr<GenerationParts> MakeGenerationParts(std::unique_ptr<LanguageModel> model,
                                                    std::unique_ptr<chunking::Tokenizer> tokenizer,
                                                    std::optional<ChatTemplate> chat_template,
                                                    const TextGeneratorOptions& options);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_GENERATION_GENERATION_PARTS_H_
