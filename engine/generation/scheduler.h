// Runs many generations through one model at once.
#ifndef CAIRN_ENGINE_GENERATION_SCHEDULER_H_
#define CAIRN_ENGINE_GENERATION_SCHEDULER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "chunking/text/tokenizer.h"
#include "engine/generation/active_sequence.h"
#include "engine/generation/generation_request.h"
#include "engine/generation/prefix_cache.h"
#include "engine/model/kv_cache.h"
#include "engine/model/language_model.h"

namespace cairn::engine {

struct SchedulerOptions {
  // Tokens computed in one pass, at most. A token of an answer waits for one pass, so this bounds
  // how long others' prompts hold it up. No more answers than this are under way at once.
  size_t token_budget = 512;
  size_t max_sequences = 64;  // Under way at once.
  size_t max_waiting = 1024;  // Submitted and not under way.
};

// What one pass did.
struct StepStatistics {
  size_t decode_sequences = 0;  // Each with one token.
  size_t prefill_sequences = 0;
  size_t prefill_tokens = 0;
  size_t preempted = 0;  // Sequences whose keys and values were dropped to make room.
  double seconds = 0;    // Of the pass and what surrounds it, callbacks included.

  size_t tokens() const { return decode_sequences + prefill_tokens; }
};

// Continuous batching with chunked prefill, as in Sarathi-Serve (arXiv 2403.02310). Every pass
// holds the next token of each answer under way, and fills the rest of its token budget with pieces
// of prompts, in the order of arrival. Where pages of keys and values run out, cached prefixes go
// first; then the youngest request gives its own up and is computed again later, so that the oldest
// always advances. A request waits while an earlier one of its cache scope is computing pages that
// both begin with. A prompt with a reader of its own (PromptReader) is read in one go behind a
// pass, one prompt at a time; others wait that long.
//
// Submit and Cancel may be called from any thread and from callbacks; Step, HasWork and Close
// from one thread at a time, and not from callbacks. Callbacks run inside Step and Close. The
// faults of a request end that request alone; a failed pass ends those that took part.
class Scheduler {
 public:
  // All pointers outlive this; `cache` may be null: nothing is shared then. The pool's layout is
  // the model's. InvalidArgument for options of 0.
  static absl::StatusOr<std::unique_ptr<Scheduler>> Create(LanguageModel* model,
                                                           const chunking::Tokenizer* tokenizer,
                                                           KvPool* pool, PrefixCache* cache,
                                                           const SchedulerOptions& options);
  // Closes.
  ~Scheduler();

  // Takes the request on for a later Step. Where it does not, no callback is called:
  // InvalidArgument for bad options, an empty prompt, one with unknown tokens, or one that leaves
  // no room in the model's context; ResourceExhausted where the request could not fit the pool even
  // alone, or too many are waiting; Unavailable once closed.
  absl::StatusOr<RequestId> Submit(GenerationRequest request);
  // Ends the request with kCancelled: no further token comes, from a callback on at once, else from
  // the next Step on. Does nothing where it has ended or there is none.
  void Cancel(RequestId id);

  bool HasWork() const;
  // One pass. Computes nothing where all that was left to do was to end requests.
  StepStatistics Step();
  // Ends everything with kCancelled, computing nothing; no request is taken on any more.
  void Close();

 private:
  struct Planned {
    ActiveSequence* sequence;
    size_t tokens;
    bool decode;
  };
  using Sequences = std::map<RequestId, std::unique_ptr<ActiveSequence>>;  // Oldest first.

  Scheduler(LanguageModel* model, const chunking::Tokenizer* tokenizer, KvPool* pool,
            PrefixCache* cache, const SchedulerOptions& options);

  absl::Status Check(const GenerationRequest& request) const;
  // The tokens that the answer to a prompt of `prompt` tokens may have.
  size_t MaxTokens(size_t prompt, const GenerateOptions& options) const;

  // The stages of a step.
  void EndCancelledAndLate();
  void PlanDecodes();
  void PlanPrefills();
  void Admit();
  void RunPass();
  void ReadPrompt();
  void DropFinished();

  void PlanPrefill(ActiveSequence* sequence);
  size_t BudgetLeft() const;
  bool SharesWhatIsBeingComputed(const ActiveSequence& sequence, size_t known_pages) const;
  bool HasRoomFor(const ActiveSequence& sequence, size_t known_pages) const;
  // Makes room for `tokens` more, at the cost of cached prefixes.
  absl::Status Reserve(ActiveSequence* sequence, size_t tokens);
  // Moves it back to those waiting, out of the plan too.
  void Preempt(ActiveSequence* sequence);
  void Remember(const ActiveSequence& sequence);
  bool IsCancelled(RequestId id) const;

  LanguageModel* const model_;
  const chunking::Tokenizer* const tokenizer_;
  KvPool* const pool_;
  PrefixCache* const cache_;
  const SchedulerOptions options_;

  mutable absl::Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  RequestId last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  Sequences submitted_ ABSL_GUARDED_BY(mutex_);
  std::set<RequestId> open_ ABSL_GUARDED_BY(mutex_);       // Submitted and not ended.
  std::set<RequestId> cancelled_ ABSL_GUARDED_BY(mutex_);  // Of those, to be ended.
  size_t waiting_count_ ABSL_GUARDED_BY(mutex_) = 0;       // Of waiting_, after the last step.

  // Of the thread that steps.
  Sequences waiting_;
  Sequences running_;
  std::vector<Planned> plan_;
  ActiveSequence* to_read_ = nullptr;  // By its reader, behind this step's pass.
  StepStatistics step_;
  std::vector<float> logits_;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_GENERATION_SCHEDULER_H_
