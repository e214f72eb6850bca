// A thread that generates for everybody.
#ifndef CAIRN_ENGINE_GENERATION_GENERATION_SERVICE_H_
#define CAIRN_ENGINE_GENERATION_GENERATION_SERVICE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "engine/generation/generation_request.h"
#include "engine/generation/scheduler.h"

namespace cairn::engine {

// Drives a scheduler on a thread of its own, which sleeps while there is nothing to do.
// Thread-safe. Requests' callbacks run on that thread, and must not wait for requests.
class GenerationService {
 public:
  struct Statistics {
    uint64_t steps = 0;  // Those that computed something.
    uint64_t decode_tokens = 0;
    uint64_t prefill_tokens = 0;
    uint64_t preempted = 0;
    double seconds = 0;  // Of all steps together.
    double longest_step_seconds = 0;
  };

  explicit GenerationService(std::unique_ptr<Scheduler> scheduler);
  // Finishes the pass under way, and ends every request with kCancelled. Nobody may wait any more.
  ~GenerationService();
  GenerationService(const GenerationService&) = delete;
  GenerationService& operator=(const GenerationService&) = delete;

  // As Scheduler::Submit. Where the request has no on_finish, its output is kept for Wait.
  absl::StatusOr<RequestId> Submit(GenerationRequest request);
  // Ends the request early, as Scheduler::Cancel. Its output stays for Wait.
  void Cancel(RequestId id);
  // The same for a request whose output nobody will ask for: it is dropped, and Wait knows the
  // request no more. Calls of Wait that have begun get it all the same.
  void Forget(RequestId id);
  // The output of a request without on_finish, once it has ended. NotFound for any other, for one
  // whose output has been taken, and for one forgotten. An output is kept until Wait or Forget.
  absl::StatusOr<GenerationOutput> Wait(RequestId id);

  // Runs `work` on the service's thread, between two passes: it may use the model. Returns when it
  // is done. Passes wait meanwhile, so it should take no longer than one. Unavailable, without
  // running it, where the service ends first.
  absl::Status Do(const std::function<void()>& work);

  Statistics statistics() const;

 private:
  struct Work {
    const std::function<void()>* work = nullptr;
    bool done = false;
    bool ran = false;
  };

  struct Kept {
    bool done = false;
    bool taken = false;
    GenerationOutput output;
  };

  void Run();
  // Runs the first piece of work that waits, if any.
  void RunWork();
  void DropWork();
  bool MustWake() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return stop_ || work_ || !waiting_work_.empty();
  }

  const std::unique_ptr<Scheduler> scheduler_;
  mutable absl::Mutex mutex_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  bool work_ ABSL_GUARDED_BY(mutex_) = false;  // Something was submitted since the thread looked.
  std::map<RequestId, std::shared_ptr<Kept>> kept_ ABSL_GUARDED_BY(mutex_);
  std::deque<Work*> waiting_work_ ABSL_GUARDED_BY(mutex_);  // Of callers of Do, who wait for them.
  Statistics statistics_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_GENERATION_GENERATION_SERVICE_H_
