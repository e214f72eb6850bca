#include "engine/generation/text_generator.h"

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/generation/prompt_encoding.h"

namespace cairn::engine {

absl::StatusOr<std::unique_ptr<TextGenerator>> TextGenerator::Create(
    std::unique_ptr<LanguageModel> model, std::unique_ptr<chunking::Tokenizer> tokenizer,
    std::optional<ChatTemplate> chat_template, const TextGeneratorOptions& options) {
  for (const uint32_t token : options.end_tokens) {
    if (token < model->vocabulary_size()) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("end token ", token, " is not in the model's vocabulary"));
  }
  std::unique_ptr<TextGenerator> generator(new TextGenerator());
  const KvLayout layout = model->kv_layout();
  const size_t pages = (model->context_length() + kKvPageTokens - 1) / kKvPageTokens + 1;
  absl::StatusOr<std::unique_ptr<KvPool>> pool =
      KvPool::Create(layout, options.kv_bytes > 0 ? options.kv_bytes : pages * layout.page_bytes());
  if (!pool.ok()) return pool.status();
  generator->model_ = std::move(model);
  generator->tokenizer_ = std::move(tokenizer);
  generator->chat_template_ = std::move(chat_template);
  generator->end_tokens_ = options.end_tokens;
  generator->pool_ = *std::move(pool);
  generator->cache_ = std::make_unique<PrefixCache>(generator->pool_->max_pages());
  SchedulerOptions scheduler_options;
  scheduler_options.token_budget = options.token_budget;
  absl::StatusOr<std::unique_ptr<Scheduler>> scheduler =
      Scheduler::Create(generator->model_.get(), generator->tokenizer_.get(),
                        generator->pool_.get(), generator->cache_.get(), scheduler_options);
  if (!scheduler.ok()) return scheduler.status();
  generator->scheduler_ = *std::move(scheduler);
  return generator;
}

absl::StatusOr<GenerationOutput> TextGenerator::Generate(std::string_view prompt,
                                                         const GenerateOptions& options,
                                                         const Watch& watch) {
  absl::StatusOr<std::vector<uint32_t>> ids = EncodePlainPrompt(*tokenizer_, prompt);
  if (!ids.ok()) return ids.status();
  return Run(*std::move(ids), /*continues=*/!prompt.empty(), options, watch);
}

absl::StatusOr<GenerationOutput> TextGenerator::Chat(absl::Span<const ChatMessage> messages,
                                                     const GenerateOptions& options,
                                                     const Watch& watch) {
  absl::StatusOr<std::vector<uint32_t>> ids = EncodeChat(messages);
  if (!ids.ok()) return ids.status();
  return Run(*std::move(ids), /*continues=*/false, options, watch);
}

absl::StatusOr<std::vector<RankedChoice>> TextGenerator::Choose(
    std::string_view prompt, absl::Span<const std::string> candidates, bool end_of_text,
    bool per_token) {
  absl::StatusOr<std::vector<uint32_t>> ids = EncodePlainPrompt(*tokenizer_, prompt);
  if (!ids.ok()) return ids.status();
  return Rank(*ids, candidates, end_of_text, per_token);
}

absl::StatusOr<std::vector<RankedChoice>> TextGenerator::ChooseAnswer(
    absl::Span<const ChatMessage> messages, absl::Span<const std::string> candidates,
    bool end_of_text, bool per_token) {
  absl::StatusOr<std::vector<uint32_t>> ids = EncodeChat(messages);
  if (!ids.ok()) return ids.status();
  return Rank(*ids, candidates, end_of_text, per_token);
}

absl::StatusOr<std::vector<uint32_t>> TextGenerator::EncodeChat(
    absl::Span<const ChatMessage> messages) const {
  if (!chat_template_.has_value()) {
    return absl::FailedPreconditionError("the model has no chat template");
  }
  return chat_template_->Encode(messages, *tokenizer_);
}

absl::StatusOr<GenerationOutput> TextGenerator::Run(std::vector<uint32_t> prompt, bool continues,
                                                    const GenerateOptions& options,
                                                    const Watch& watch) {
  GenerationOutput output;
  GenerationRequest request;
  request.prompt = std::move(prompt);
  request.options = options;
  std::vector<uint32_t>& ends = request.options.end_tokens;
  ends.insert(ends.end(), end_tokens_.begin(), end_tokens_.end());
  request.continues_prompt = continues;
  if (watch.on_text) {
    request.on_event = [&](const GenerationEvent& event) {
      if (!event.text.empty()) watch.on_text(event.text);
    };
  }
  request.on_finish = [&](GenerationOutput finished) { output = std::move(finished); };
  const absl::StatusOr<RequestId> id = scheduler_->Submit(std::move(request));
  if (!id.ok()) return id.status();
  while (scheduler_->HasWork()) {
    if (watch.is_cancelled && watch.is_cancelled()) scheduler_->Cancel(*id);
    scheduler_->Step();
  }
  if (!output.status.ok()) return output.status;
  return output;
}

absl::StatusOr<std::vector<RankedChoice>> TextGenerator::Rank(
    absl::Span<const uint32_t> prompt, absl::Span<const std::string> candidates, bool end_of_text,
    bool per_token) {
  std::vector<std::vector<uint32_t>> tokens;
  for (const std::string& candidate : candidates) {
    tokens.push_back(EncodeText(*tokenizer_, candidate, chunking::ControlText::kAsText));
  }
  ChoiceOptions options;
  options.per_token = per_token;
  if (end_of_text) {
    // Each once: their probabilities are added up.
    std::set<uint32_t> ends(end_tokens_.begin(), end_tokens_.end());
    const std::vector<uint32_t>& known = tokenizer_->special_tokens().end_of_generation;
    ends.insert(known.begin(), known.end());
    options.end_tokens.assign(ends.begin(), ends.end());
    if (options.end_tokens.empty()) {
      return absl::FailedPreconditionError("the model has no token that ends a text");
    }
  }
  return RankChoices(model_.get(), pool_.get(), cache_.get(), prompt, tokens, options);
}

}  // namespace cairn::engine
