// Ends calls that nobody waits for any more.
#ifndef CAIRN_SERVICES_CLIENT_CALL_WATCH_H_
#define CAIRN_SERVICES_CLIENT_CALL_WATCH_H_

#include <functional>
#include <map>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace grpc {
class ClientContext;
}

namespace cairn::services {

// A thread that asks, many times a second, whether calls are to end, and cancels those that are.
// Thread-safe.
class CallWatch {
 public:
  CallWatch();
  ~CallWatch();
  CallWatch(const CallWatch&) = delete;
  CallWatch& operator=(const CallWatch&) = delete;

  // `context` must stay until Remove. `is_cancelled` is asked on the watch's thread.
  void Add(grpc::ClientContext* context, std::function<bool()> is_cancelled);
  // Whether the call was cancelled by the watch.
  bool Remove(grpc::ClientContext* context);

 private:
  struct Watched {
    std::function<bool()> is_cancelled;
    bool cancelled = false;
  };

  void Run();
  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return ended_ || !calls_.empty(); }

  absl::Mutex mutex_;
  std::map<grpc::ClientContext*, Watched> calls_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_CLIENT_CALL_WATCH_H_
