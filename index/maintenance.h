// Threads that build segments in the background.
#ifndef CAIRN_INDEX_MAINTENANCE_H_
#define CAIRN_INDEX_MAINTENANCE_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace cairn::index {

// Whoever has work to be done in the background.
class MaintenanceClient {
 public:
  enum class Outcome : uint8_t {
    kIdle,    // There was nothing to do.
    kWorked,  // There may be more.
    kFailed,  // To be tried again later.
  };
  virtual ~MaintenanceClient() = default;
  // Does one piece of work. Ends soon after *cancel becomes true. Called from several threads.
  virtual Outcome RunJob(const std::atomic<bool>& cancel) = 0;
};

// Runs the jobs of clients that asked for it. The threads have the lowest priority, so that they
// use what queries and ingestion leave. Thread-safe.
class Maintenance {
 public:
  // Starts up to `threads` threads; fewer where the system grants no more.
  Maintenance(int threads, absl::Duration retry_after);
  ~Maintenance();
  Maintenance(const Maintenance&) = delete;
  Maintenance& operator=(const Maintenance&) = delete;

  // There is work. A client that is gone by then is left out.
  void Notify(std::weak_ptr<MaintenanceClient> client);
  // Stops the jobs at work, and waits for them. Nothing runs afterwards.
  void Stop();
  // Whether jobs will be run.
  bool running() const { return !threads_.empty() && !cancel_.load(std::memory_order_relaxed); }

 private:
  using Waiting = std::pair<absl::Time, std::weak_ptr<MaintenanceClient>>;
  void Work();
  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return cancel_.load(std::memory_order_relaxed) || !ready_.empty();
  }

  const absl::Duration retry_after_;
  std::atomic<bool> cancel_{false};
  absl::Mutex mutex_;
  std::deque<std::weak_ptr<MaintenanceClient>> ready_ ABSL_GUARDED_BY(mutex_);
  std::deque<Waiting> later_ ABSL_GUARDED_BY(mutex_);  // By time.
  std::vector<std::thread> threads_;
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_MAINTENANCE_H_
