#include "services/client/call_watch.h"

#include <grpcpp/client_context.h>

#include <utility>

#include "absl/time/time.h"

namespace cairn::services {
namespace {

constexpr absl::Duration kWatchInterval = absl::Milliseconds(20);

}  // namespace

CallWatch::CallWatch() : thread_([this] { Run(); }) {}

CallWatch::~CallWatch() {
  {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
  }
  thread_.join();
}

void CallWatch::Add(grpc::ClientContext* context, std::function<bool()> is_cancelled) {
  if (!is_cancelled) return;
  absl::MutexLock lock(&mutex_);
  calls_[context].is_cancelled = std::move(is_cancelled);
}

bool CallWatch::Remove(grpc::ClientContext* context) {
  absl::MutexLock lock(&mutex_);
  const auto it = calls_.find(context);
  if (it == calls_.end()) return false;
  const bool cancelled = it->second.cancelled;
  calls_.erase(it);
  return cancelled;
}

void CallWatch::Run() {
  absl::MutexLock lock(&mutex_);
  while (true) {
    mutex_.Await(absl::Condition(this, &CallWatch::HasWork));
    if (ended_) return;
    for (auto& [context, call] : calls_) {
      if (call.cancelled || !call.is_cancelled()) continue;
      call.cancelled = true;
      context->TryCancel();
    }
    mutex_.AwaitWithTimeout(absl::Condition(&ended_), kWatchInterval);
  }
}

}  // namespace cairn::services
