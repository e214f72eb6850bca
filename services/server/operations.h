// Long-running operations, with the semantics of google.longrunning.Operations.
#ifndef CAIRN_SERVICES_SERVER_OPERATIONS_H_
#define CAIRN_SERVICES_SERVER_OPERATIONS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "services/server/fair_queue.h"

namespace cairn::services {

struct OperationState {
  std::string id;  // 128 random bits in hex.
  std::string tenant;
  std::string kind;    // What is done, and
  std::string target;  // what to, in the caller's words.
  absl::Time start = absl::InfinitePast();
  absl::Time end = absl::InfiniteFuture();  // Set when done.
  bool done = false;
  bool cancel_requested = false;
  std::string stage;  // Empty while it waits for a thread.
  uint64_t progress_done = 0;
  uint64_t progress_total = 0;  // 0: unknown.
  absl::Status status;          // When done.
  std::string result;           // When done and OK: what the work returned.
};

// What the work of an operation sees of it. Thread-safe; valid while the work runs.
class OperationControl {
 public:
  bool cancelled() const { return cancel_.load(std::memory_order_relaxed); }
  // True once cancelled, for code that polls a flag.
  const std::atomic<bool>* cancel_flag() const { return &cancel_; }
  void SetProgress(std::string_view stage, uint64_t done, uint64_t total);

 private:
  friend class Operations;
  OperationControl(absl::Mutex* mutex, OperationState* state, const std::atomic<bool>& cancel)
      : mutex_(mutex), state_(state), cancel_(cancel) {}

  absl::Mutex* const mutex_;
  OperationState* const state_;  // Guarded by mutex_.
  const std::atomic<bool>& cancel_;
};

// Runs work on threads of its own and keeps what became of it. Tenants take turns, and see nothing
// of each other: another's operation is NotFound. Thread-safe.
class Operations {
 public:
  struct Options {
    size_t threads = 1;  // 0: one per core. Where the system grants fewer, those do the work.
    int nice = 0;        // Added to the process's own, 0..19.
    size_t max_waiting = 64;
    size_t max_waiting_per_tenant = 16;
    // Finished ones are dropped after `keep`, and when there are more than max_kept: the oldest of
    // the tenant that has most.
    size_t max_kept = 1000;
    absl::Duration keep = absl::Hours(24);
    std::function<absl::Time()> now;  // None: absl::Now. Called under a lock.
  };
  // Returns the result, or why there is none; should look at OperationControl::cancelled.
  using Work = std::function<absl::StatusOr<std::string>(OperationControl&)>;
  using Done = std::function<void(const OperationState&)>;
  using WatchId = uint64_t;
  struct Page {
    std::vector<OperationState> operations;
    std::string next_after;  // Empty at the end.
  };

  explicit Operations(Options options);
  ~Operations();  // As Stop.
  Operations(const Operations&) = delete;
  Operations& operator=(const Operations&) = delete;

  // Runs `work` once, later; it is destroyed when it has run, or has been cancelled before.
  // ResourceExhausted where too many wait, of this tenant's or of all, or the system granted no
  // thread; Unavailable after Stop.
  absl::StatusOr<OperationState> Start(std::string_view tenant, std::string_view kind,
                                       std::string_view target, Work work);

  absl::StatusOr<OperationState> Get(std::string_view tenant, std::string_view id) const;

  // At most `limit` (at least 1) of the tenant's, the first started first, after the page whose
  // next_after is `after`; empty: from the start. Goes on rightly when some were dropped since.
  // InvalidArgument where `after` is no page's.
  absl::StatusOr<Page> List(std::string_view tenant, std::string_view after, size_t limit) const;

  // One that waits ends at once, with Cancelled. One that runs is asked to, and ends as its work
  // returns, perhaps with a result. No error for one that is done.
  absl::Status Cancel(std::string_view tenant, std::string_view id);

  // Drops a finished one; FailedPrecondition where it is not.
  absl::Status Delete(std::string_view tenant, std::string_view id);

  // Blocks until it is done, or for `timeout`; the state as it is then.
  absl::StatusOr<OperationState> Wait(std::string_view tenant, std::string_view id,
                                      absl::Duration timeout) const;

  // Calls `done` once when the operation ends, without any lock held, on the thread that ended it:
  // that of its work, of Cancel or of Stop; before this returns where it is done already.
  absl::StatusOr<WatchId> OnDone(std::string_view tenant, std::string_view id, Done done);
  // For who waits no longer. False where `done` has been or is being called, or is not known.
  bool RemoveWatch(std::string_view tenant, std::string_view id, WatchId watch);

  // Takes no more, cancels all, and waits for those that run. Not to be called from work.
  void Stop();

  size_t waiting() const;
  size_t running() const;

 private:
  struct Operation;
  // Of one tenant: by the order of their starts.
  using Started = std::map<uint64_t, std::shared_ptr<Operation>>;
  using Watches = std::map<WatchId, Done>;

  void RunAll();
  void Run(const std::shared_ptr<Operation>& operation);
  // Marks it done; the watches are the caller's to call, without the lock.
  Watches End(Operation& operation, absl::StatusOr<std::string> result)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::shared_ptr<Operation> Find(std::string_view tenant, std::string_view id) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Drop(const Operation& operation) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropOld() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool MustWake() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stopped_ || !queue_.empty(); }

  const Options options_;
  mutable absl::Mutex mutex_;
  FairQueue<std::shared_ptr<Operation>> queue_ ABSL_GUARDED_BY(mutex_);
  // Those kept, by id, and by tenant. What is old is dropped by whoever looks.
  mutable std::map<std::string, std::shared_ptr<Operation>, std::less<>> by_id_
      ABSL_GUARDED_BY(mutex_);
  mutable std::map<std::string, Started, std::less<>> by_tenant_ ABSL_GUARDED_BY(mutex_);
  // The finished ones in the order of their ends.
  mutable std::map<uint64_t, std::shared_ptr<Operation>> finished_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_started_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t next_number_ ABSL_GUARDED_BY(mutex_) = 1;  // Of ends and watches.
  size_t running_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;

  absl::Mutex join_mutex_;
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(join_mutex_);
  size_t thread_count_ = 0;  // Constant once constructed.
};

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_SERVER_OPERATIONS_H_
