// Another way to a prompt's keys and values than to compute them all.
#ifndef CAIRN_ENGINE_GENERATION_PROMPT_READER_H_
#define CAIRN_ENGINE_GENERATION_PROMPT_READER_H_

#include <cstddef>
#include <functional>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/model/kv_cache.h"

namespace cairn::engine {

// Reads one prompt, on the thread that steps the scheduler, which computes nothing else meanwhile.
class PromptReader {
 public:
  virtual ~PromptReader() = default;

  // So many of the prompt's first tokens get keys and values exactly as if all were computed: what
  // may serve other prompts as a prefix.
  virtual size_t exact_tokens() const = 0;

  // Appends the prompt's tokens from sequence->length() on to it, in pages that are reserved
  // already, and fills logits [vocabulary] with those behind the last. May be called again where
  // the sequence had to give its pages up. Cancelled, soon, when `is_cancelled` says so.
  virtual absl::Status Read(KvSequence* sequence, absl::Span<float> logits,
                            const std::function<bool()>& is_cancelled) = 0;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_GENERATION_PROMPT_READER_H_
