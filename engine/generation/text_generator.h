// Text in, text out: one caller's way to a language model.
#ifndef CAIRN_ENGINE_GENERATION_TEXT_GENERATOR_H_
#define CAIRN_ENGINE_GENERATION_TEXT_GENERATOR_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "chunking/text/tokenizer.h"
#include "engine/generation/chat_template.h"
#include "engine/generation/constrained_choice.h"
#include "engine/generation/generation_parts.h"
#include "engine/generation/generation_request.h"
#include "engine/generation/prefix_cache.h"
#include "engine/model/language_model.h"

namespace cairn::engine {

// Generates one text at a time, on the caller's thread; for many at once there is
// GenerationService. Keys and values of earlier texts are kept as far as there is room, so that
// texts which begin the same way are not computed again. Not thread-safe.
class TextGenerator {
 public:
  // What a caller follows a generation with. Both are optional.
  struct Watch {
    // Text as it comes, whole characters; together GenerationOutput::text.
    std::function<void(std::string_view)> on_text;
    // Asked before each pass. Once it says true, the generation ends with kCancelled.
    std::function<bool()> is_cancelled;
  };

  // `tokenizer` belongs to `model`, and `chat_template` (if any) was made for it. InvalidArgument
  // where kv_bytes is too little for a single page, or an end token is none of the model's.
  static absl::StatusOr<std::unique_ptr<TextGenerator>> Create(
      std::unique_ptr<LanguageModel> model, std::unique_ptr<chunking::Tokenizer> tokenizer,
      std::optional<ChatTemplate> chat_template, const TextGeneratorOptions& options);

  // Goes on from `prompt`, in which nothing is markup; it may be empty. An end before the text's
  // own (a deadline, a cancellation) is not an error: see the output's `finish`. InvalidArgument or
  // ResourceExhausted for what Scheduler::Submit refuses; the model's faults.
  absl::StatusOr<GenerationOutput> Generate(std::string_view prompt, const GenerateOptions& options,
                                            const Watch& watch = {});

  // Answers the last message of a conversation. FailedPrecondition without a chat template.
  absl::StatusOr<GenerationOutput> Chat(absl::Span<const ChatMessage> messages,
                                        const GenerateOptions& options, const Watch& watch = {});

  // Ranks `candidates` as what follows `prompt`, or as answers to the conversation's last message.
  // A candidate's tokens are those of a text of its own. `end_of_text`: the probability that the
  // text ends after the candidate counts; see ChoiceOptions::end_tokens.
  absl::StatusOr<std::vector<RankedChoice>> Choose(std::string_view prompt,
                                                   absl::Span<const std::string> candidates,
                                                   bool end_of_text, bool per_token);
  absl::StatusOr<std::vector<RankedChoice>> ChooseAnswer(absl::Span<const ChatMessage> messages,
                                                         absl::Span<const std::string> candidates,
                                                         bool end_of_text, bool per_token);

  const LanguageModel& model() const { return *parts_.model; }
  const chunking::Tokenizer& tokenizer() const { return *parts_.tokenizer; }
  PrefixCache::Statistics cache_statistics() const { return parts_.cache->statistics(); }

 private:
  explicit TextGenerator(GenerationParts parts) : parts_(std::move(parts)) {}

  absl::StatusOr<std::vector<uint32_t>> EncodeChat(absl::Span<const ChatMessage> messages) const;
  absl::StatusOr<GenerationOutput> Run(std::vector<uint32_t> prompt, bool continues,
                                       const GenerateOptions& options, const Watch& watch);
  absl::StatusOr<std::vector<RankedChoice>> Rank(absl::Span<const uint32_t> prompt,
                                                 absl::Span<const std::string> candidates,
                                                 bool end_of_text, bool per_token);

  GenerationParts parts_;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_GENERATION_TEXT_GENERATOR_H_
