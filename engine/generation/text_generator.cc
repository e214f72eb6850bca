#include "engine/generation/text_generator.h"

#include <set>
#include <utility>

#include "engine/generation/prompt_encoding.h"

namespace cairn::engine {

absl::StatusOr<std::unique_ptr<TextGenerator>> TextGenerator::Create(
    std::unique_ptr<LanguageModel> model, std::unique_ptr<chunking::Tokenizer> tokenizer,
    std::optional<ChatTemplate> chat_template, const TextGeneratorOptions& options) {
  absl::StatusOr<GenerationParts> parts = MakeGenerationParts(
      std::move(model), std::move(tokenizer), std::move(chat_template), options);
  if (!parts.ok()) return parts.status();
  return std::unique_ptr<TextGenerator>(new TextGenerator(*std::move(parts)));
}

absl::StatusOr<GenerationOutput> TextGenerator::Generate(std::string_view prompt,
                                                         const GenerateOptions& options,
                                                         const Watch& watch) {
  absl::StatusOr<std::vector<uint32_t>> ids = EncodePlainPrompt(*parts_.tokenizer, prompt);
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
  absl::StatusOr<std::vector<uint32_t>> ids = EncodePlainPrompt(*parts_.tokenizer, prompt);
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
  if (!parts_.chat_template.has_value()) {
    return absl::FailedPreconditionError("the model has no chat template");
  }
  return parts_.chat_template->Encode(messages, *parts_.tokenizer);
}

absl::StatusOr<GenerationOutput> TextGenerator::Run(std::vector<uint32_t> prompt, bool continues,
                                                    const GenerateOptions& options,
                                                    const Watch& watch) {
  GenerationOutput output;
  GenerationRequest request;
  request.prompt = std::move(prompt);
  request.options = options;
  std::vector<uint32_t>& ends = request.options.end_tokens;
  ends.insert(ends.end(), parts_.end_tokens.begin(), parts_.end_tokens.end());
  request.continues_prompt = continues;
  if (watch.on_text) {
    request.on_event = [&](const GenerationEvent& event) {
      if (!event.text.empty()) watch.on_text(event.text);
    };
  }
  request.on_finish = [&](GenerationOutput finished) { output = std::move(finished); };
  const absl::StatusOr<RequestId> id = parts_.scheduler->Submit(std::move(request));
  if (!id.ok()) return id.status();
  while (parts_.scheduler->HasWork()) {
    if (watch.is_cancelled && watch.is_cancelled()) parts_.scheduler->Cancel(*id);
    parts_.scheduler->Step();
  }
  if (!output.status.ok()) return output.status;
  return output;
}

absl::StatusOr<std::vector<RankedChoice>> TextGenerator::Rank(
    absl::Span<const uint32_t> prompt, absl::Span<const std::string> candidates, bool end_of_text,
    bool per_token) {
  std::vector<std::vector<uint32_t>> tokens;
  for (const std::string& candidate : candidates) {
    tokens.push_back(EncodeText(*parts_.tokenizer, candidate, chunking::ControlText::kAsText));
  }
  ChoiceOptions options;
  options.per_token = per_token;
  if (end_of_text) {
    // Each once: their probabilities are added up.
    std::set<uint32_t> ends(parts_.end_tokens.begin(), parts_.end_tokens.end());
    const std::vector<uint32_t>& known = parts_.tokenizer->special_tokens().end_of_generation;
    ends.insert(known.begin(), known.end());
    options.end_tokens.assign(ends.begin(), ends.end());
    if (options.end_tokens.empty()) {
      return absl::FailedPreconditionError("the model has no token that ends a text");
    }
  }
  return RankChoices(parts_.model.get(), parts_.pool.get(), parts_.cache.get(), prompt, tokens,
                     options);
}

}  // namespace cairn::engine
