// A language model that many threads write with.
#ifndef CAIRN_ENGINE_GENERATION_SHARED_GENERATOR_H_
#define CAIRN_ENGINE_GENERATION_SHARED_GENERATOR_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "chunking/text/tokenizer.h"
#include "engine/generation/chat_template.h"
#include "engine/generation/generation_parts.h"
#include "engine/generation/generation_service.h"
#include "engine/generation/text_generator.h"
#include "engine/model/checkpoint.h"
#include "engine/model/decoder.h"
#include "engine/model/language_model.h"

namespace cairn::engine {

// What TextGenerator is for one thread: a model with its tokenizer, its chat template if that is
// known, and its cache of prefixes. Texts of several threads are computed together, on a thread of
// the generator's own; callers' callbacks run on their own threads. Thread-safe.
class SharedGenerator {
 public:
  // NotFound, or InvalidArgument saying what is wrong with the model at `path`.
  static absl::StatusOr<std::unique_ptr<SharedGenerator>> Open(const std::string& path,
                                                               const DecoderOptions& options);
  // As TextGenerator::Create.
  static absl::StatusOr<std::unique_ptr<SharedGenerator>> Create(
      std::unique_ptr<LanguageModel> model, std::unique_ptr<chunking::Tokenizer> tokenizer,
      std::optional<ChatTemplate> chat_template, const TextGeneratorOptions& options);

  // Continues `prompt`, which is not empty; `continues` as GenerationRequest::continues_prompt.
  // Errors and ends as TextGenerator::Generate's; watch.is_cancelled is asked many times a second.
  // A cancelled call does not wait for the pass under way: then its output lacks what is not known
  // before the pass's end (times, cached tokens). `reader`: as GenerationRequest::reader.
  absl::StatusOr<GenerationOutput> Generate(std::vector<uint32_t> prompt, bool continues,
                                            const GenerateOptions& options,
                                            const TextGenerator::Watch& watch = {},
                                            std::shared_ptr<PromptReader> reader = nullptr);

  // Calls `work` with the model, on the generator's thread, between two passes, and waits for it.
  // FailedPrecondition for a model that is no Decoder, Unavailable where the generator ends first.
  absl::Status WithDecoder(const std::function<void(Decoder*)>& work);
  // For PromptReaders and for what never changes; null for a model that is no Decoder.
  Decoder* decoder() const { return dynamic_cast<Decoder*>(parts_.model.get()); }
  // The model's files; null where it was not opened from any.
  const Checkpoint* checkpoint() const { return checkpoint_.get(); }

  size_t context_length() const { return parts_.model->context_length(); }
  const chunking::Tokenizer& tokenizer() const { return *parts_.tokenizer; }
  // Null where the model is not known to converse.
  const ChatTemplate* chat_template() const {
    return parts_.chat_template.has_value() ? &*parts_.chat_template : nullptr;
  }

 private:
  explicit SharedGenerator(GenerationParts parts) : parts_(std::move(parts)) {}

  // In the order of their dependence; the scheduler is the service's.
  std::unique_ptr<Checkpoint> checkpoint_;
  GenerationParts parts_;
  std::unique_ptr<GenerationService> service_;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_GENERATION_SHARED_GENERATOR_H_
