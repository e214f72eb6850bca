#include "engine/generation/generation_service.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace cairn::engine {

GenerationService::GenerationService(std::unique_ptr<Scheduler> scheduler)
    : scheduler_(std::move(scheduler)), thread_([this] { Run(); }) {}

GenerationService::~GenerationService() {
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
  }
  thread_.join();
}

absl::StatusOr<RequestId> GenerationService::Submit(GenerationRequest request) {
  // Held until the request is known here: it may end before Submit returns.
  absl::MutexLock lock(&mutex_);
  std::shared_ptr<Kept> kept;
  if (!request.on_finish) {
    kept = std::make_shared<Kept>();
    // Shared with Wait, which may still have it when the request has been forgotten.
    request.on_finish = [this, kept](GenerationOutput output) {
      absl::MutexLock relock(&mutex_);
      kept->output = std::move(output);
      kept->done = true;
    };
  }
  absl::StatusOr<RequestId> id = scheduler_->Submit(std::move(request));
  if (!id.ok()) return id;
  if (kept != nullptr) kept_.emplace(*id, std::move(kept));
  work_ = true;
  return id;
}

void GenerationService::Cancel(RequestId id) { scheduler_->Cancel(id); }

void GenerationService::Forget(RequestId id) {
  scheduler_->Cancel(id);
  absl::MutexLock lock(&mutex_);
  kept_.erase(id);
}

absl::StatusOr<GenerationOutput> GenerationService::Wait(RequestId id) {
  absl::MutexLock lock(&mutex_);
  const auto found = kept_.find(id);
  const std::shared_ptr<Kept> kept = found != kept_.end() ? found->second : nullptr;
  if (kept != nullptr) mutex_.Await(absl::Condition(&kept->done));
  if (kept == nullptr || kept->taken) {
    return absl::NotFoundError(absl::StrCat("no output is kept of request ", id));
  }
  kept->taken = true;
  kept_.erase(id);
  return std::move(kept->output);
}

absl::Status GenerationService::Do(const std::function<void()>& work) {
  Work mine{&work};
  absl::MutexLock lock(&mutex_);
  if (stop_) return absl::UnavailableError("generation has been shut down");
  waiting_work_.push_back(&mine);
  mutex_.Await(absl::Condition(&mine.done));
  return mine.ran ? absl::OkStatus() : absl::UnavailableError("generation has been shut down");
}

void GenerationService::RunWork() {
  Work* next = nullptr;
  {
    absl::MutexLock lock(&mutex_);
    if (waiting_work_.empty() || stop_) return;
    next = waiting_work_.front();
    waiting_work_.pop_front();
  }
  (*next->work)();
  absl::MutexLock lock(&mutex_);
  next->ran = next->done = true;
}

void GenerationService::DropWork() {
  absl::MutexLock lock(&mutex_);
  for (Work* work : waiting_work_) work->done = true;
  waiting_work_.clear();
}

GenerationService::Statistics GenerationService::statistics() const {
  absl::MutexLock lock(&mutex_);
  return statistics_;
}

void GenerationService::Run() {
  bool stop = false;
  while (!stop) {
    RunWork();
    if (!scheduler_->HasWork()) {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &GenerationService::MustWake));
      work_ = false;
      stop = stop_;
      continue;
    }
    const StepStatistics step = scheduler_->Step();
    absl::MutexLock lock(&mutex_);
    stop = stop_;
    statistics_.steps += step.tokens() > 0;
    statistics_.decode_tokens += step.decode_sequences;
    statistics_.prefill_tokens += step.prefill_tokens;
    statistics_.preempted += step.preempted;
    statistics_.seconds += step.seconds;
    statistics_.longest_step_seconds = std::max(statistics_.longest_step_seconds, step.seconds);
  }
  DropWork();
  scheduler_->Close();
}

}  // namespace cairn::engine
