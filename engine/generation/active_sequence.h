// A request on its way through the scheduler.
#ifndef CAIRN_ENGINE_GENERATION_ACTIVE_SEQUENCE_H_
#define CAIRN_ENGINE_GENERATION_ACTIVE_SEQUENCE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "chunking/text/tokenizer.h"
#include "engine/generation/generation_request.h"
#include "engine/generation/sampler.h"
#include "engine/generation/stop_strings.h"
#include "engine/model/kv_cache.h"

namespace cairn::engine {

// The tokens of one request, prompt and answer, of which the first kv.length() have been computed.
// Not thread-safe.
class ActiveSequence {
 public:
  // `max_tokens`: the request's, cut to the model's context. `request` has been checked.
  ActiveSequence(RequestId id, GenerationRequest request, size_t max_tokens, KvPool* pool,
                 const chunking::Tokenizer& tokenizer);
  ActiveSequence(const ActiveSequence&) = delete;
  ActiveSequence& operator=(const ActiveSequence&) = delete;

  RequestId id() const { return id_; }
  GenerationClock::time_point deadline() const { return request_.options.deadline; }
  const std::string& cache_scope() const { return request_.options.cache_scope; }
  absl::Span<const uint32_t> tokens() const { return tokens_; }
  absl::Span<const uint32_t> computed_tokens() const { return tokens().first(kv.length()); }
  // Tokens that the next logits need; at least 1 until it is finished.
  size_t pending() const { return tokens_.size() - kv.length(); }
  // Whether it waits for one more token of its answer only.
  bool decoding() const { return tokens_.size() > prompt_tokens_ && pending() == 1; }
  bool finished() const { return finish_ != FinishReason::kNone; }
  bool failed() const { return finish_ == FinishReason::kError; }
  // What reads the prompt, while it has not been read; null: nobody does.
  PromptReader* reader() const {
    return kv.length() < prompt_tokens_ ? request_.reader.get() : nullptr;
  }
  size_t prompt_tokens() const { return prompt_tokens_; }
  // Of the computed tokens, those that stand behind nothing but computed ones.
  size_t exact_tokens() const;
  // The most tokens whose keys and values it may come to need.
  size_t most_tokens() const { return prompt_tokens_ + max_tokens_ - 1; }

  // Begins with the pages of another text's beginning; called before its first pass.
  void StartFrom(std::vector<KvPageRef> pages);
  // Gives its keys and values up; its tokens will be computed again.
  void Preempt();
  // Chooses the next token from `logits`, and reports it.
  void TakeLogits(absl::Span<const float> logits);
  // Ends it for another reason than a token. Does nothing where it has ended already.
  void Finish(FinishReason reason, absl::Status status = absl::OkStatus());

  // Its keys and values, which passes extend.
  KvSequence kv;

 private:
  FinishReason EndBroughtBy(uint32_t token) const;
  void Report(const SampledToken* token, std::string text, FinishReason finish);

  const RequestId id_;
  GenerationRequest request_;
  const size_t prompt_tokens_;
  const size_t max_tokens_;
  const chunking::Tokenizer& tokenizer_;
  std::vector<uint32_t> tokens_;
  Sampler sampler_;
  chunking::StreamDecoder decoder_;
  StopStrings stop_;
  GenerationOutput output_;  // Handed out at the end.
  FinishReason finish_ = FinishReason::kNone;
  bool started_ = false;
  GenerationClock::time_point submitted_;
  GenerationClock::time_point first_pass_;
  GenerationClock::time_point first_token_;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_GENERATION_ACTIVE_SEQUENCE_H_
