#include "engine/generation/shared_generator.h"

#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace cairn::engine {
namespace {

// How often a caller that waits for text is asked whether it still wants it.
constexpr absl::Duration kPoll = absl::Milliseconds(10);

// What the service's thread hands to the thread that asked.
struct Exchange {
  bool Ready() const ABSL_SHARED_LOCKS_REQUIRED(mutex) { return done || !text.empty(); }

  absl::Mutex mutex;
  std::string text ABSL_GUARDED_BY(mutex);
  std::vector<uint32_t> ids ABSL_GUARDED_BY(mutex);
  bool done ABSL_GUARDED_BY(mutex) = false;
  GenerationOutput output ABSL_GUARDED_BY(mutex);
};

}  // namespace

absl::StatusOr<std::unique_ptr<SharedGenerator>> SharedGenerator::Open(
    const std::string& path, const DecoderOptions& options) {
  absl::StatusOr<std::unique_ptr<Checkpoint>> checkpoint = Checkpoint::Open(path);
  if (!checkpoint.ok()) return checkpoint.status();
  absl::StatusOr<std::unique_ptr<chunking::Tokenizer>> tokenizer = (*checkpoint)->LoadTokenizer();
  if (!tokenizer.ok()) return tokenizer.status();
  // A model without a known form of conversation goes on from plain text.
  std::optional<ChatTemplate> chat;
  absl::StatusOr<ChatTemplate> detected =
      ChatTemplate::Detect((*checkpoint)->chat_template(), **tokenizer);
  if (detected.ok()) chat = *std::move(detected);
  absl::StatusOr<std::unique_ptr<Decoder>> decoder = Decoder::Create(**checkpoint, options);
  if (!decoder.ok()) return decoder.status();
  TextGeneratorOptions more;
  more.end_tokens = (*checkpoint)->config().end_tokens;
  absl::StatusOr<std::unique_ptr<SharedGenerator>> generator =
      Create(*std::move(decoder), *std::move(tokenizer), std::move(chat), more);
  if (generator.ok()) (*generator)->checkpoint_ = *std::move(checkpoint);
  return generator;
}

absl::StatusOr<std::unique_ptr<SharedGenerator>> SharedGenerator::Create(
    std::unique_ptr<LanguageModel> model, std::unique_ptr<chunking::Tokenizer> tokenizer,
    std::optional<ChatTemplate> chat_template, const TextGeneratorOptions& options) {
  absl::StatusOr<GenerationParts> parts = MakeGenerationParts(
      std::move(model), std::move(tokenizer), std::move(chat_template), options);
  if (!parts.ok()) return parts.status();
  std::unique_ptr<SharedGenerator> generator(new SharedGenerator(*std::move(parts)));
  generator->service_ = std::make_unique<GenerationService>(std::move(generator->parts_.scheduler));
  return generator;
}

absl::StatusOr<GenerationOutput> SharedGenerator::Generate(std::vector<uint32_t> prompt,
                                                           bool continues,
                                                           const GenerateOptions& options,
                                                           const TextGenerator::Watch& watch,
                                                           std::shared_ptr<PromptReader> reader) {
  // Shared: the service may still hold its end when this call has taken what it wanted.
  const auto exchange = std::make_shared<Exchange>();
  GenerationRequest request;
  request.prompt = std::move(prompt);
  request.options = options;
  std::vector<uint32_t>& ends = request.options.end_tokens;
  ends.insert(ends.end(), parts_.end_tokens.begin(), parts_.end_tokens.end());
  request.continues_prompt = continues;
  request.reader = std::move(reader);
  request.on_event = [exchange](const GenerationEvent& event) {
    absl::MutexLock lock(&exchange->mutex);
    exchange->text.append(event.text);
    if (event.token != nullptr) exchange->ids.push_back(event.token->id);
  };
  request.on_finish = [exchange](GenerationOutput output) {
    absl::MutexLock lock(&exchange->mutex);
    exchange->output = std::move(output);
    exchange->done = true;
  };
  const size_t prompt_tokens = request.prompt.size();
  const absl::StatusOr<RequestId> id = service_->Submit(std::move(request));
  if (!id.ok()) return id.status();
  std::string whole;
  bool cancelled = false;
  while (true) {
    std::string text;
    bool done = false;
    GenerationOutput output;
    {
      absl::MutexLock lock(&exchange->mutex);
      exchange->mutex.AwaitWithTimeout(absl::Condition(exchange.get(), &Exchange::Ready), kPoll);
      text.swap(exchange->text);
      done = exchange->done;
      if (done) output = std::move(exchange->output);
      if (!done && cancelled) output.ids = exchange->ids;
    }
    if (!text.empty() && watch.on_text) watch.on_text(text);
    whole += text;
    if (done && !output.status.ok()) return output.status;
    if (done) return output;
    if (cancelled) {
      // The pass under way may take long; nobody need wait for it.
      output.request = *id;
      output.text = std::move(whole);
      output.finish = FinishReason::kCancelled;
      output.prompt_tokens = prompt_tokens;
      return output;
    }
    cancelled = watch.is_cancelled && watch.is_cancelled();
    if (cancelled) service_->Cancel(*id);
  }
}

absl::Status SharedGenerator::WithDecoder(const std::function<void(Decoder*)>& work) {
  Decoder* const model = decoder();
  if (model == nullptr) return absl::FailedPreconditionError("the model has no layers to look at");
  return service_->Do([&] { work(model); });
}

}  // namespace cairn::engine
