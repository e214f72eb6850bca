#include "index/maintenance.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <system_error>

#include "absl/time/clock.h"

namespace cairn::index {

Maintenance::Maintenance(int threads, absl::Duration retry_after) : retry_after_(retry_after) {
  for (int i = 0; i < threads; ++i) {
    try {
      threads_.emplace_back([this] { Work(); });
    } catch (const std::system_error&) {
      break;  // Without any, tails stay in memory: slower, nothing worse.
    }
  }
}

Maintenance::~Maintenance() { Stop(); }

void Maintenance::Notify(std::weak_ptr<MaintenanceClient> client) {
  absl::MutexLock lock(&mutex_);
  const bool queued = std::any_of(ready_.begin(), ready_.end(), [&](const auto& other) {
    return !other.owner_before(client) && !client.owner_before(other);
  });
  if (!queued) ready_.push_back(std::move(client));
}

void Maintenance::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    cancel_ = true;
  }
  for (std::thread& t : threads_) {
    if (t.joinable()) t.join();
  }
}

void Maintenance::Work() {
  // Linux counts niceness by thread. A failure costs smoothness only.
  setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), 10);
  while (true) {
    std::shared_ptr<MaintenanceClient> client;
    {
      absl::MutexLock lock(&mutex_);
      // No longer than an entry of later_ may have to wait that is added meanwhile.
      const absl::Time soon = absl::Now() + retry_after_;
      const absl::Time next = later_.empty() ? soon : std::min(soon, later_.front().first);
      mutex_.AwaitWithDeadline(absl::Condition(this, &Maintenance::HasWork), next);
      if (cancel_) return;
      while (!later_.empty() && later_.front().first <= absl::Now()) {
        ready_.push_back(std::move(later_.front().second));
        later_.pop_front();
      }
      if (ready_.empty()) continue;
      client = ready_.front().lock();
      ready_.pop_front();
    }
    if (client == nullptr) continue;
    MaintenanceClient::Outcome outcome = MaintenanceClient::Outcome::kWorked;
    while (outcome == MaintenanceClient::Outcome::kWorked && !cancel_) {
      // Memory may run out; what is being built can wait.
      try {
        outcome = client->RunJob(cancel_);
      } catch (const std::bad_alloc&) {
        outcome = MaintenanceClient::Outcome::kFailed;
      }
    }
    if (outcome == MaintenanceClient::Outcome::kFailed) {
      absl::MutexLock lock(&mutex_);
      later_.emplace_back(absl::Now() + retry_after_, client);
    }
  }
}

}  // namespace cairn::index
