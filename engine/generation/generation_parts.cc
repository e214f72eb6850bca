#include "engine/generation/generation_parts.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace cairn::engine {

absl::StatusOr<GenerationParts> MakeGenerationParts(std::unique_ptr<LanguageModel> model,
                                                    std::unique_ptr<chunking::Tokenizer> tokenizer,
                                                    std::optional<ChatTemplate> chat_template,
                                                    const TextGeneratorOptions& options) {
  for (const uint32_t token : options.end_tokens) {
    if (token < model->vocabulary_size()) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("end token ", token, " is not in the model's vocabulary"));
  }
  GenerationParts parts;
  const KvLayout layout = model->kv_layout();
  const size_t pages = (model->context_length() + kKvPageTokens - 1) / kKvPageTokens + 1;
  absl::StatusOr<std::unique_ptr<KvPool>> pool =
      KvPool::Create(layout, options.kv_bytes > 0 ? options.kv_bytes : pages * layout.page_bytes());
  if (!pool.ok()) return pool.status();
  parts.model = std::move(model);
  parts.tokenizer = std::move(tokenizer);
  parts.chat_template = std::move(chat_template);
  parts.end_tokens = options.end_tokens;
  parts.pool = *std::move(pool);
  parts.cache = std::make_unique<PrefixCache>(parts.pool->max_pages());
  SchedulerOptions scheduler_options;
  scheduler_options.token_budget = options.token_budget;
  absl::StatusOr<std::unique_ptr<Scheduler>> scheduler =
      Scheduler::Create(parts.model.get(), parts.tokenizer.get(), parts.pool.get(),
                        parts.cache.get(), scheduler_options);
  if (!scheduler.ok()) return scheduler.status();
  parts.scheduler = *std::move(scheduler);
  return parts;
}

}  // namespace cairn::engine
