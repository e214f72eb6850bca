#include "engine/generation/active_sequence.h"

#include <algorithm>

namespace cairn::engine {
namespace {

double SecondsBetween(GenerationClock::time_point from, GenerationClock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

}  // namespace

std::string_view FinishReasonName(FinishReason reason) {
  switch (reason) {
    case FinishReason::kNone:
      return "none";
    case FinishReason::kEndOfText:
      return "end";
    case FinishReason::kStopString:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
    case FinishReason::kDeadline:
      return "deadline";
    case FinishReason::kError:
      return "error";
  }
  return "none";
}

ActiveSequence::ActiveSequence(RequestId id, GenerationRequest request, size_t max_tokens,
                               KvPool* pool, const chunking::Tokenizer& tokenizer)
    : kv(pool),
      id_(id),
      request_(std::move(request)),
      prompt_tokens_(request_.prompt.size()),
      max_tokens_(max_tokens),
      tokenizer_(tokenizer),
      tokens_(std::move(request_.prompt)),
      sampler_(request_.options.sampling),
      decoder_(tokenizer, request_.continues_prompt),
      stop_(request_.options.stop),
      submitted_(GenerationClock::now()) {
  output_.request = id_;
  output_.prompt_tokens = prompt_tokens_;
}

void ActiveSequence::StartFrom(std::vector<KvPageRef> pages) {
  kv = KvSequence::FromPages(kv.pool(), std::move(pages));
  if (started_) return;  // It was preempted: nothing new to report.
  started_ = true;
  first_pass_ = GenerationClock::now();
  output_.cached_tokens = kv.length();
}

size_t ActiveSequence::exact_tokens() const {
  return request_.reader == nullptr ? kv.length()
                                    : std::min(kv.length(), request_.reader->exact_tokens());
}

void ActiveSequence::Preempt() {
  kv = KvSequence(kv.pool());
  ++output_.preemptions;
}

void ActiveSequence::TakeLogits(absl::Span<const float> logits) {
  const bool first = output_.ids.empty();
  absl::StatusOr<SampledToken> token = sampler_.Sample(logits, tokens_, request_.options.logprobs);
  if (!token.ok()) return Finish(FinishReason::kError, token.status());
  if (first) first_token_ = GenerationClock::now();
  tokens_.push_back(token->id);
  output_.ids.push_back(token->id);
  FinishReason finish = EndBroughtBy(token->id);
  std::string text;
  if (finish != FinishReason::kEndOfText) text = stop_.Append(decoder_.Append(token->id));
  if (finish != FinishReason::kNone && !stop_.stopped()) text += stop_.Append(decoder_.Finish());
  if (stop_.stopped()) {
    finish = FinishReason::kStopString;
    output_.stop_string = stop_.matched();
  } else if (finish != FinishReason::kNone) {
    text += stop_.Finish();
  }
  if (request_.options.logprobs.has_value()) output_.logprobs.push_back(*token);
  Report(&*token, std::move(text), finish);
}

FinishReason ActiveSequence::EndBroughtBy(uint32_t token) const {
  const GenerateOptions& options = request_.options;
  const std::vector<uint32_t>& ends = tokenizer_.special_tokens().end_of_generation;
  if (!options.ignore_eos &&
      (std::binary_search(ends.begin(), ends.end(), token) ||
       std::count(options.end_tokens.begin(), options.end_tokens.end(), token) > 0)) {
    return FinishReason::kEndOfText;
  }
  return output_.ids.size() == max_tokens_ ? FinishReason::kLength : FinishReason::kNone;
}

void ActiveSequence::Finish(FinishReason reason, absl::Status status) {
  if (finished()) return;
  output_.status = std::move(status);
  std::string text = stop_.Append(decoder_.Finish());
  text += stop_.Finish();
  Report(nullptr, std::move(text), reason);
}

void ActiveSequence::Report(const SampledToken* token, std::string text, FinishReason finish) {
  output_.text += text;
  output_.finish = finish_ = finish;
  if (request_.on_event) request_.on_event({id_, token, text, finish});
  if (finish == FinishReason::kNone) return;
  const GenerationClock::time_point now = GenerationClock::now();
  output_.wait_seconds = SecondsBetween(submitted_, started_ ? first_pass_ : now);
  if (!output_.ids.empty()) {
    output_.prefill_seconds = SecondsBetween(first_pass_, first_token_);
    output_.decode_seconds = SecondsBetween(first_token_, now);
  } else if (started_) {
    output_.prefill_seconds = SecondsBetween(first_pass_, now);
  }
  if (request_.on_finish) request_.on_finish(std::move(output_));
}

}  // namespace cairn::engine
