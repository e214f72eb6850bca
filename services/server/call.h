// One call of a client, from its arrival to its end.
#ifndef CAIRN_SERVICES_SERVER_CALL_H_
#define CAIRN_SERVICES_SERVER_CALL_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/engine.h"
#include "services/server/access.h"
#include "services/server/rate_limiter.h"
#include "services/server/request_log.h"

namespace grpc {
class CallbackServerContext;
}

namespace cairn::services {

struct ServerState;
class ActiveCalls;

// What is known of a method before it is called.
struct Method {
  const char* name;  // "cairn.v1.Search/Search"
  // Whether it ends after ServerLimits::longest_call.
  bool bounded = true;
  // Whether it is answered while the store is being opened.
  bool without_store = false;
};

// Who calls, until when, what may be done for them, and what will be told of it in the log. Made
// by a reactor on one of gRPC's threads, used by one thread of the pool at a time; Stop comes from
// any thread, at any time.
class Call : public std::enable_shared_from_this<Call> {
 public:
  // Never null. `context` must be valid until End.
  static std::shared_ptr<Call> Create(ServerState* state, const Method& method,
                                      grpc::CallbackServerContext* context);
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call();

  // Tells who it is, and whether there is room for the call: Unauthenticated, ResourceExhausted,
  // Unavailable. `request_bytes` count against the tenant's rate. To be called once, before all
  // that follows; a stream charges further messages with Charge.
  absl::Status Begin(size_t request_bytes);
  void Charge(size_t request_bytes);
  // Writes the log's line and counts the call. To be called once, also where Begin failed.
  void End(const absl::Status& status);

  // `stopped` is called once, soon, when the call is to end before it is done: its client went, its
  // time is up, the server closes. On the thread that finds out. A call that was stopped by then
  // calls it at once. Replaces what was set before; may be null.
  void OnStop(std::function<void()> stopped) ABSL_LOCKS_EXCLUDED(mutex_);
  void Stop(absl::Status why) ABSL_LOCKS_EXCLUDED(mutex_);
  // Breaks the connection's stream where it has not ended in a second: what the client sees then is
  // CANCELLED. For a call that was stopped and whose write at work may wait for a client that does
  // not read; one that reads is to get the status.
  void CancelTransportSoon();
  bool stopped() const { return stopped_.load(std::memory_order_acquire); }
  // Why; OK while it goes on.
  absl::Status StopReason() const ABSL_LOCKS_EXCLUDED(mutex_);

  ServerState* state() const { return state_; }
  const Method& method() const { return method_; }
  const Identity& identity() const { return identity_; }
  absl::Time deadline() const {
    return absl::FromUnixNanos(deadline_.load(std::memory_order_relaxed));
  }
  // Streams set it anew whenever their client moves.
  void SetDeadline(absl::Time deadline) {
    deadline_.store(absl::ToUnixNanos(deadline), std::memory_order_relaxed);
  }
  const std::string& request_id() const { return record_.request_id; }

  // Unavailable while the store is being opened.
  absl::StatusOr<Engine*> engine() const;
  // A collection as the client calls it, and as the store does.
  struct Scope {
    std::string collection;
    std::string stored;
  };
  // The name of the tenant's collection in the store, if the caller may do that with it:
  // PermissionDenied. A collection that does not exist passes.
  absl::StatusOr<Scope> AuthorizeScope(Permission permission, std::string_view collection) const;
  // The same for calls that are about one collection, which the log then tells.
  absl::StatusOr<std::string> Authorize(Permission permission, std::string_view collection);
  // The same for the whole store, with all tenants' collections.
  absl::Status AuthorizeStore(Permission permission) const;
  // An engine's error as a client may see it: collections by the client's names, no paths.
  absl::Status Translate(const absl::Status& status, const Scope& scope) const;
  absl::Status Translate(const absl::Status& status) const { return Translate(status, scope_); }
  // The same for a text of the engine's that is no error.
  std::string TranslateText(absl::string_view text) const { return TranslateText(text, scope_); }

  // Adds to the log's line, which End writes. Not thread-safe.
  RequestRecord& record() { return record_; }
  void AddStage(const char* name, double microseconds);

 private:
  friend class ActiveCalls;
  // Where it is time to. Asked again and again.
  void CancelTransportIfDue(absl::Time now) ABSL_LOCKS_EXCLUDED(mutex_);
  Call(ServerState* state, const Method& method, grpc::CallbackServerContext* context);
  absl::Status Authenticate();
  std::string TranslateText(absl::string_view text, const Scope& scope) const;

  ServerState* const state_;
  const Method method_;
  grpc::CallbackServerContext* const context_;
  const absl::Time start_;
  std::atomic<int64_t> deadline_{0};  // Nanoseconds since 1970.
  Identity identity_;
  Scope scope_;  // Set by Authorize.
  RequestRecord record_;
  RateLimiter::Slot slot_;
  bool active_ = false;  // Known to ActiveCalls.

  std::atomic<bool> stopped_{false};
  std::atomic<int64_t> cancel_at_{std::numeric_limits<int64_t>::max()};  // As deadline_.
  mutable absl::Mutex mutex_;
  absl::Status why_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;  // context_ is no more.
  std::function<void()> on_stop_ ABSL_GUARDED_BY(mutex_);
};

// Whether an engine's NotFound is about the collection, not about what is in it.
bool IsNoCollection(const absl::Status& status);

// The calls at work: how many there are, and who ends those whose time is up. Thread-safe.
class ActiveCalls {
 public:
  explicit ActiveCalls(size_t most);
  ~ActiveCalls();
  ActiveCalls(const ActiveCalls&) = delete;
  ActiveCalls& operator=(const ActiveCalls&) = delete;

  // ResourceExhausted with `most` at work, Unavailable after Close.
  absl::Status Add(std::shared_ptr<Call> call) ABSL_LOCKS_EXCLUDED(mutex_);
  void Remove(const std::shared_ptr<Call>& call) ABSL_LOCKS_EXCLUDED(mutex_);
  size_t size() const ABSL_LOCKS_EXCLUDED(mutex_);

  // No further calls.
  void Close() ABSL_LOCKS_EXCLUDED(mutex_);
  void StopAll(const absl::Status& why) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Watch() ABSL_LOCKS_EXCLUDED(mutex_);

  const size_t most_;
  mutable absl::Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_set<std::shared_ptr<Call>> calls_ ABSL_GUARDED_BY(mutex_);
  std::thread watcher_;
};

}  // namespace cairn::services

#endif  // CAIRN_SERVICES_SERVER_CALL_H_
