#include "engine/generation/scheduler.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/generation/stop_strings.h"

namespace cairn::engine {
namespace {

constexpr size_t kMaxLogprobs = 1000;

size_t PagesOf(size_t tokens) { return (tokens + kKvPageTokens - 1) / kKvPageTokens; }

}  // namespace

absl::StatusOr<std::unique_ptr<Scheduler>> Scheduler::Create(LanguageModel* model,
                                                             const chunking::Tokenizer* tokenizer,
                                                             KvPool* pool, PrefixCache* cache,
                                                             const SchedulerOptions& options) {
  if (options.token_budget == 0 || options.max_sequences == 0 || options.max_waiting == 0) {
    return absl::InvalidArgumentError(
        "the scheduler's token budget, sequences and waiting requests must be positive");
  }
  return std::unique_ptr<Scheduler>(new Scheduler(model, tokenizer, pool, cache, options));
}

Scheduler::Scheduler(LanguageModel* model, const chunking::Tokenizer* tokenizer, KvPool* pool,
                     PrefixCache* cache, const SchedulerOptions& options)
    : model_(model), tokenizer_(tokenizer), pool_(pool), cache_(cache), options_(options) {}

Scheduler::~Scheduler() { Close(); }

absl::Status Scheduler::Check(const GenerationRequest& request) const {
  const auto fault = [](const auto&... what) {
    return absl::InvalidArgumentError(absl::StrCat(what...));
  };
  const GenerateOptions& options = request.options;
  absl::Status status = CheckSamplingOptions(options.sampling);
  if (status.ok()) status = CheckStopStrings(options.stop);
  if (!status.ok()) return status;
  if (options.max_tokens == 0) return fault("an answer must have at least one token");
  if (options.logprobs.value_or(0) > kMaxLogprobs) {
    return fault("log probabilities of ", *options.logprobs, " tokens are more than ",
                 kMaxLogprobs);
  }
  if (request.prompt.empty()) return fault("the prompt has no tokens");
  for (const uint32_t token : request.prompt) {
    if (token < model_->vocabulary_size()) continue;
    return fault("token ", token, " is not in the model's vocabulary of ",
                 model_->vocabulary_size());
  }
  const size_t length = request.prompt.size();
  if (length >= model_->context_length()) {
    return fault("the prompt has ", length, " tokens, which leaves no room for an answer in the ",
                 model_->context_length(), " of the model's context");
  }
  const size_t pages = PagesOf(length + MaxTokens(length, options) - 1);
  if (pages > pool_->max_pages()) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "a prompt of ", length, " tokens and an answer of up to ", MaxTokens(length, options),
        " need ", pages, " pages of keys and values; there are ", pool_->max_pages()));
  }
  return absl::OkStatus();
}

size_t Scheduler::MaxTokens(size_t prompt, const GenerateOptions& options) const {
  return std::min(options.max_tokens, model_->context_length() - prompt);
}

absl::StatusOr<RequestId> Scheduler::Submit(GenerationRequest request) {
  const absl::Status status = Check(request);
  if (!status.ok()) return status;
  const size_t max_tokens = MaxTokens(request.prompt.size(), request.options);
  absl::MutexLock lock(&mutex_);
  if (closed_) return absl::UnavailableError("generation has been shut down");
  if (waiting_count_ + submitted_.size() >= options_.max_waiting) {
    return absl::ResourceExhaustedError(
        absl::StrCat(options_.max_waiting, " requests are waiting already"));
  }
  const RequestId id = ++last_id_;
  open_.insert(id);
  submitted_.emplace(
      id, std::make_unique<ActiveSequence>(id, std::move(request), max_tokens, pool_, *tokenizer_));
  return id;
}

void Scheduler::Cancel(RequestId id) {
  absl::MutexLock lock(&mutex_);
  if (open_.count(id) > 0) cancelled_.insert(id);
}

bool Scheduler::IsCancelled(RequestId id) const {
  absl::MutexLock lock(&mutex_);
  return cancelled_.count(id) > 0;
}

bool Scheduler::HasWork() const {
  if (!waiting_.empty() || !running_.empty()) return true;
  absl::MutexLock lock(&mutex_);
  return !submitted_.empty();
}

void Scheduler::Close() {
  {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    waiting_.merge(submitted_);
  }
  for (Sequences* sequences : {&running_, &waiting_}) {
    for (const auto& [id, sequence] : *sequences) sequence->Finish(FinishReason::kCancelled);
    sequences->clear();
  }
}

StepStatistics Scheduler::Step() {
  const GenerationClock::time_point start = GenerationClock::now();
  step_ = {};
  plan_.clear();
  to_read_ = nullptr;
  EndCancelledAndLate();
  PlanDecodes();
  PlanPrefills();
  Admit();
  if (!plan_.empty()) RunPass();
  if (to_read_ != nullptr) ReadPrompt();
  EndCancelledAndLate();
  DropFinished();
  step_.seconds = std::chrono::duration<double>(GenerationClock::now() - start).count();
  return step_;
}

void Scheduler::EndCancelledAndLate() {
  std::set<RequestId> cancelled;
  {
    absl::MutexLock lock(&mutex_);
    waiting_.merge(submitted_);
    cancelled.swap(cancelled_);
  }
  for (const RequestId id : cancelled) {
    for (Sequences* sequences : {&running_, &waiting_}) {
      const auto found = sequences->find(id);
      if (found != sequences->end()) found->second->Finish(FinishReason::kCancelled);
    }
  }
  const GenerationClock::time_point now = GenerationClock::now();
  for (Sequences* sequences : {&running_, &waiting_}) {
    for (const auto& [id, sequence] : *sequences) {
      if (sequence->deadline() <= now) sequence->Finish(FinishReason::kDeadline);
    }
  }
  DropFinished();
}

void Scheduler::DropFinished() {
  std::vector<RequestId> ended;
  for (Sequences* sequences : {&running_, &waiting_}) {
    std::erase_if(*sequences, [&](const auto& entry) {
      if (!entry.second->finished()) return false;
      if (!entry.second->failed()) Remember(*entry.second);
      ended.push_back(entry.first);
      return true;
    });
  }
  absl::MutexLock lock(&mutex_);
  for (const RequestId id : ended) open_.erase(id);
  waiting_count_ = waiting_.size();
}

// Every answer under way gets its next token.
void Scheduler::PlanDecodes() {
  for (auto it = running_.begin(); it != running_.end();) {
    ActiveSequence* const sequence = it->second.get();
    if (!sequence->decoding()) {
      ++it;
      continue;
    }
    bool preempted = false;
    while (!preempted && !Reserve(sequence, 1).ok()) {
      ActiveSequence* const youngest = running_.rbegin()->second.get();
      preempted = youngest == sequence;
      if (preempted) it = running_.end();  // It was the last.
      Preempt(youngest);
    }
    if (preempted) break;
    plan_.push_back({sequence, 1, true});
    ++it;
  }
}

size_t Scheduler::BudgetLeft() const {
  size_t used = 0;
  for (const Planned& planned : plan_) used += planned.tokens;
  return options_.token_budget - std::min(used, options_.token_budget);
}

// The rest of the budget, to the oldest prompts first.
void Scheduler::PlanPrefills() {
  for (auto it = running_.begin(); it != running_.end(); ++it) {
    if (!it->second->decoding()) PlanPrefill(it->second.get());
  }
}

void Scheduler::PlanPrefill(ActiveSequence* sequence) {
  if (sequence->finished()) return;
  const bool reads = sequence->reader() != nullptr;
  if (reads && to_read_ != nullptr) return;  // It is another's turn.
  const size_t tokens = reads ? sequence->prompt_tokens() - sequence->kv.length()
                              : std::min(sequence->pending(), BudgetLeft());
  if (tokens == 0) return;
  absl::Status status = Reserve(sequence, tokens);
  while (!status.ok()) {
    // Answers under way keep their pages: they come to an end. Younger prompts give way.
    const auto victim = std::find_if(running_.rbegin(), running_.rend(), [&](const auto& entry) {
      return entry.first == sequence->id() || !entry.second->decoding();
    });
    if (victim->first == sequence->id()) break;
    Preempt(victim->second.get());
    status = Reserve(sequence, tokens);
  }
  if (status.ok() && reads) {
    to_read_ = sequence;
  } else if (status.ok()) {
    plan_.push_back({sequence, tokens, false});
  } else if (running_.size() == 1) {
    // Alone, and even so: others than this scheduler hold the pool's pages.
    sequence->Finish(FinishReason::kError, status);
  }
}

void Scheduler::Admit() {
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    if (BudgetLeft() == 0 || running_.size() >= options_.max_sequences) return;
    ActiveSequence* const sequence = it->second.get();
    // The last token is computed in any case: its logits are wanted.
    const absl::Span<const uint32_t> reusable =
        sequence->tokens().first(sequence->tokens().size() - 1);
    const std::string& scope = sequence->cache_scope();
    const size_t known = cache_ != nullptr ? cache_->CountKnown(scope, reusable) : 0;
    if (SharesWhatIsBeingComputed(*sequence, known)) {
      ++it;
      continue;
    }
    // Where nothing else runs, there is nothing to wait for.
    if (!running_.empty() && !HasRoomFor(*sequence, known)) return;
    sequence->StartFrom(cache_ != nullptr ? cache_->Lookup(scope, reusable)
                                          : std::vector<KvPageRef>());
    running_.insert(waiting_.extract(it++));
    PlanPrefill(sequence);
  }
}

bool Scheduler::SharesWhatIsBeingComputed(const ActiveSequence& sequence,
                                          size_t known_pages) const {
  if (cache_ == nullptr) return false;
  const absl::Span<const uint32_t> tokens = sequence.tokens().first(sequence.tokens().size() - 1);
  return std::any_of(running_.begin(), running_.end(), [&](const auto& entry) {
    const ActiveSequence& other = *entry.second;
    if (other.decoding() || other.finished()) return false;
    if (other.cache_scope() != sequence.cache_scope()) return false;
    const auto end =
        std::mismatch(tokens.begin(), tokens.end(), other.tokens().begin(), other.tokens().end())
            .first;
    return static_cast<size_t>(end - tokens.begin()) / kKvPageTokens > known_pages;
  });
}

// Whether the pool holds the whole sequence and a token more, beside what those under way have yet
// to compute. Cached pages count as free, except those that the sequence itself begins with.
bool Scheduler::HasRoomFor(const ActiveSequence& sequence, size_t known_pages) const {
  size_t wanted = PagesOf(sequence.tokens().size() + 1);
  for (const auto& [id, other] : running_) {
    const size_t pages = PagesOf(other->tokens().size() + 1);
    wanted += pages - std::min(pages, other->kv.pages().size());
  }
  const size_t free = pool_->max_pages() - pool_->pages_in_use();
  const size_t evictable = cache_ != nullptr ? cache_->evictable_pages() : 0;
  // Of the known pages those in use cost nothing; the others are among the evictable ones.
  return wanted <= free + std::max(evictable, known_pages);
}

absl::Status Scheduler::Reserve(ActiveSequence* sequence, size_t tokens) {
  absl::Status status = sequence->kv.Reserve(tokens);
  while (absl::IsResourceExhausted(status) && cache_ != nullptr &&
         cache_->Evict(PagesOf(tokens) + 1) > 0) {
    status = sequence->kv.Reserve(tokens);
  }
  return status;
}

void Scheduler::Preempt(ActiveSequence* sequence) {
  Remember(*sequence);
  sequence->Preempt();
  std::erase_if(plan_, [&](const Planned& planned) { return planned.sequence == sequence; });
  if (to_read_ == sequence) to_read_ = nullptr;
  waiting_.insert(running_.extract(sequence->id()));
  ++step_.preempted;
}

void Scheduler::Remember(const ActiveSequence& sequence) {
  if (cache_ == nullptr) return;
  const size_t exact = sequence.exact_tokens();
  cache_->Insert(sequence.cache_scope(), sequence.computed_tokens().first(exact),
                 sequence.kv.Fork(exact));
}

void Scheduler::ReadPrompt() {
  ActiveSequence* const sequence = to_read_;
  // Since it was planned a callback may have ended it.
  if (sequence->finished() || IsCancelled(sequence->id())) return;
  const size_t tokens = sequence->prompt_tokens() - sequence->kv.length();
  logits_.resize(model_->vocabulary_size());
  const absl::Status status = sequence->reader()->Read(&sequence->kv, absl::MakeSpan(logits_), [&] {
    return IsCancelled(sequence->id()) || sequence->deadline() <= GenerationClock::now();
  });
  step_.prefill_sequences += 1;
  step_.prefill_tokens += tokens;
  if (absl::IsCancelled(status)) return;  // Its end comes with what cancelled it.
  if (!status.ok()) {
    sequence->Finish(FinishReason::kError, status);
    return;
  }
  // Where it had been preempted its own tokens are computed next.
  if (sequence->pending() == 0) sequence->TakeLogits(logits_);
  if (!sequence->failed()) Remember(*sequence);
}

void Scheduler::RunPass() {
  std::vector<SequenceInput> inputs;
  size_t rows = 0;
  for (const Planned& planned : plan_) {
    ActiveSequence* const sequence = planned.sequence;
    SequenceInput& input = inputs.emplace_back();
    input.sequence = &sequence->kv;
    input.tokens = sequence->tokens().subspan(sequence->kv.length(), planned.tokens);
    // Before a prompt's end, there is nothing to choose.
    input.logits = planned.tokens == sequence->pending() ? 1 : 0;
    rows += input.logits;
    step_.decode_sequences += planned.decode;
    step_.prefill_sequences += !planned.decode;
    step_.prefill_tokens += planned.decode ? 0 : planned.tokens;
  }
  const size_t vocabulary = model_->vocabulary_size();
  logits_.resize(rows * vocabulary);
  const absl::Status status = model_->Forward(inputs, absl::MakeSpan(logits_));
  absl::Span<const float> logits = logits_;
  for (size_t i = 0; i < plan_.size(); ++i) {
    ActiveSequence* const sequence = plan_[i].sequence;
    if (!status.ok()) {
      sequence->Finish(FinishReason::kError, status);
      continue;
    }
    if (inputs[i].logits > 0) {
      // A callback may have cancelled it.
      if (!IsCancelled(sequence->id())) sequence->TakeLogits(logits.first(vocabulary));
      logits.remove_prefix(vocabulary);
    }
    if (!plan_[i].decode && !sequence->failed()) Remember(*sequence);
  }
}

}  // namespace cairn::engine
