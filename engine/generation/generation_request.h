// What a caller asks of a language model, and what it gets back.
#ifndef CAIRN_ENGINE_GENERATION_GENERATION_REQUEST_H_
#define CAIRN_ENGINE_GENERATION_GENERATION_REQUEST_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "engine/generation/prompt_reader.h"
#include "engine/generation/sampler.h"

namespace cairn::engine {

using RequestId = uint64_t;  // Ascends in the order of arrival; never 0.
using GenerationClock = std::chrono::steady_clock;

enum class FinishReason : uint8_t {
  kNone,        // Not finished.
  kEndOfText,   // The model ended the text.
  kStopString,  // One of the stop strings came; neither it nor what follows is in the text.
  kLength,      // max_tokens, or the model's context, is used up.
  kCancelled,
  kDeadline,
  kError,  // See the status.
};
// "end", "stop", "length", "cancelled", "deadline", "error"; "none".
std::string_view FinishReasonName(FinishReason reason);

struct GenerateOptions {
  size_t max_tokens = 256;  // At least 1. Less where the model's context ends before.
  SamplingOptions sampling;
  std::vector<std::string> stop;
  // Tokens that end the text, beside those that the tokenizer's end_of_generation names.
  std::vector<uint32_t> end_tokens;
  bool ignore_eos = false;  // No token ends the text; end tokens add nothing to it.
  // Log probabilities of the chosen tokens, and of how many of the most likely ones; at most 1,000.
  std::optional<size_t> logprobs;
  GenerationClock::time_point deadline = GenerationClock::time_point::max();
  // Texts of different scopes share no cached prefixes, nor wait for each other's.
  std::string cache_scope;
};

// A token as it comes. The text lags behind the token while characters or stop strings are
// incomplete.
struct GenerationEvent {
  RequestId request = 0;
  const SampledToken* token = nullptr;  // None at an end that no token brought about.
  std::string_view text;                // Whole characters; valid during the call only.
  FinishReason finish = FinishReason::kNone;
};

struct GenerationOutput {
  RequestId request = 0;
  std::string text;                    // The same as the events' texts together.
  std::vector<uint32_t> ids;           // With the end token, where one came.
  std::vector<SampledToken> logprobs;  // By token, where they were asked for.
  FinishReason finish = FinishReason::kNone;
  absl::Status status;      // Not OK just for kError.
  std::string stop_string;  // The one that came.
  size_t prompt_tokens = 0;
  size_t cached_tokens = 0;    // Of the prompt's, those that had not to be computed.
  size_t preemptions = 0;      // How often its keys and values were dropped to make room.
  double wait_seconds = 0;     // From submission to its first pass.
  double prefill_seconds = 0;  // From there to the first token.
  double decode_seconds = 0;   // From the first token to the end.
};

struct GenerationRequest {
  std::vector<uint32_t> prompt;  // At least one token.
  GenerateOptions options;
  // Whether the answer goes on in the prompt's sentence, so that a space it begins with counts;
  // otherwise it is a text of its own.
  bool continues_prompt = true;
  // Reads the prompt, in one go; null: it is computed, in pieces, beside others.
  std::shared_ptr<PromptReader> reader;
  // Called on the thread that steps, for each token and at the end; the last call, and only that,
  // has a finish reason. May submit and cancel, this request too. Optional.
  std::function<void(const GenerationEvent&)> on_event;
  // Called there once, after the last event. Optional.
  std::function<void(GenerationOutput)> on_finish;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_GENERATION_GENERATION_REQUEST_H_
