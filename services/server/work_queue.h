// The one pool of threads that requests run on.
#ifndef CAIRN_SERVICES_SERVER_WORK_QUEUE_H_
#define CAIRN_SERVICES_SERVER_WORK_QUEUE_H_

#include <cstddef>
#include <functional>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "services/server/fair_queue.h"

namespace cairn::services {

// Bounded and fair: tenants with work that waits take turns, however much each has submitted;
// within a tenant the first submitted runs first. Thread-safe.
class WorkQueue {
 public:
  struct Options {
    size_t threads = 0;  // 0: one per core. Where the system grants fewer, those do the work.
    size_t max_waiting = 1024;
    size_t max_waiting_per_tenant = 256;
    int nice = 0;  // Added to the process's own, 0..19.
  };

  explicit WorkQueue(const Options& options);
  ~WorkQueue();  // As Stop.
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;

  // Runs `work` once, on a thread of the pool. ResourceExhausted, and `work` is not run, where too
  // much waits already, of this tenant's or of all, or the system granted no thread at all;
  // Unavailable after Stop.
  absl::Status Submit(std::string_view tenant, std::function<void()> work);

  // Takes no more, and waits until all that was taken has run. Not to be called from work.
  void Stop();

  size_t threads() const { return thread_count_; }
  size_t waiting() const;
  size_t running() const;

 private:
  void Work();
  bool MustWake() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stopped_ || !queue_.empty(); }

  const Options options_;
  mutable absl::Mutex mutex_;
  FairQueue<std::function<void()>> queue_ ABSL_GUARDED_BY(mutex_);
  size_t running_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;

  absl::Mutex join_mutex_;
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(join_mutex_);
  size_t thread_count_ = 0;  // Constant once constructed.
};

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_SERVER_WORK_QUEUE_H_
