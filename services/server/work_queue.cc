#include "services/server/work_queue.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "services/server/worker_threads.h"

namespace cairn::services {

WorkQueue::WorkQueue(const Options& options) : options_(options) {
  absl::MutexLock lock(&join_mutex_);
  threads_ = StartWorkers(options.threads, options.nice, [this] { Work(); });
  thread_count_ = threads_.size();
}

WorkQueue::~WorkQueue() { Stop(); }

absl::Status WorkQueue::Submit(std::string_view tenant, std::function<void()> work) {
  absl::MutexLock lock(&mutex_);
  if (stopped_) return absl::UnavailableError("the server is stopping");
  if (thread_count_ == 0) {
    return absl::ResourceExhaustedError("the system grants no thread to run requests on");
  }
  if (queue_.size() >= options_.max_waiting) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the server is busy: ", queue_.size(), " requests wait already"));
  }
  if (queue_.size(tenant) >= options_.max_waiting_per_tenant) {
    return absl::ResourceExhaustedError(
        absl::StrCat(queue_.size(tenant), " requests of this tenant wait already"));
  }
  queue_.Push(tenant, std::move(work));
  return absl::OkStatus();
}

void WorkQueue::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  absl::MutexLock lock(&join_mutex_);
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

size_t WorkQueue::waiting() const {
  absl::MutexLock lock(&mutex_);
  return queue_.size();
}

size_t WorkQueue::running() const {
  absl::MutexLock lock(&mutex_);
  return running_;
}

void WorkQueue::Work() {
  while (true) {
    std::function<void()> work;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &WorkQueue::MustWake));
      if (queue_.empty()) return;  // Stopped, and nothing is left.
      work = queue_.Pop();
      ++running_;
    }
    work();
    work = nullptr;  // What it holds goes before it counts as over.
    absl::MutexLock lock(&mutex_);
    --running_;
  }
}

}  // namespace cairn::services
