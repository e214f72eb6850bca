#include "services/server/operations.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/server/random_bytes.h"
#include "services/server/worker_threads.h"

namespace cairn::services {

struct Operations::Operation {
  uint64_t started = 0;   // Its key among the tenant's,
  uint64_t finished = 0;  // and among the finished.
  OperationState state;
  Work work;  // Until it runs or ends.
  Watches watches;
  std::atomic<bool> cancel{false};
};

namespace {

template <typename Watches>
void Call(const Watches& watches, const OperationState& state) {
  for (const auto& [id, done] : watches) done(state);
}

absl::Status NoOperation(std::string_view id) {
  return absl::NotFoundError(absl::StrCat("no operation \"", std::string(id.substr(0, 64)), "\""));
}

}  // namespace

void OperationControl::SetProgress(std::string_view stage, uint64_t done, uint64_t total) {
  absl::MutexLock lock(mutex_);
  state_->stage = std::string(stage);
  state_->progress_done = done;
  state_->progress_total = total;
}

Operations::Operations(Options options)
    : options_([&] {
        if (!options.now) options.now = [] { return absl::Now(); };
        return std::move(options);
      }()) {
  absl::MutexLock lock(&join_mutex_);
  threads_ = StartWorkers(options_.threads, options_.nice, [this] { RunAll(); });
  thread_count_ = threads_.size();
}

Operations::~Operations() { Stop(); }

absl::StatusOr<OperationState> Operations::Start(std::string_view tenant, std::string_view kind,
                                                 std::string_view target, Work work) {
  auto operation = std::make_shared<Operation>();
  operation->work = std::move(work);
  OperationState& state = operation->state;
  state.id = RandomHex(16);
  state.tenant = std::string(tenant);
  state.kind = std::string(kind);
  state.target = std::string(target);

  absl::MutexLock lock(&mutex_);
  if (stopped_) return absl::UnavailableError("the server is stopping");
  if (thread_count_ == 0) {
    return absl::ResourceExhaustedError("the system grants no thread to run operations on");
  }
  if (queue_.size() >= options_.max_waiting) {
    return absl::ResourceExhaustedError(
        absl::StrCat(queue_.size(), " operations wait already; try again when some have ended"));
  }
  if (queue_.size(tenant) >= options_.max_waiting_per_tenant) {
    return absl::ResourceExhaustedError(
        absl::StrCat(queue_.size(tenant), " operations of this tenant wait already"));
  }
  DropOld();
  state.start = options_.now();
  // Clients see it in page tokens, so it counts nothing: it is the time, made unique.
  last_started_ =
      std::max(last_started_ + 1,
               static_cast<uint64_t>(std::max<int64_t>(absl::ToUnixNanos(state.start), 0)));
  operation->started = last_started_;
  by_id_.emplace(state.id, operation);
  by_tenant_[state.tenant].emplace(operation->started, operation);
  queue_.Push(tenant, operation);
  return state;
}

absl::StatusOr<OperationState> Operations::Get(std::string_view tenant, std::string_view id) const {
  absl::MutexLock lock(&mutex_);
  const auto operation = Find(tenant, id);
  if (operation == nullptr) return NoOperation(id);
  return operation->state;
}

absl::StatusOr<Operations::Page> Operations::List(std::string_view tenant, std::string_view after,
                                                  size_t limit) const {
  uint64_t last = 0;
  if (!after.empty() && !absl::SimpleAtoi(std::string(after), &last)) {
    return absl::InvalidArgumentError("not the end of a page of operations");
  }
  if (limit == 0) return absl::InvalidArgumentError("a page holds at least one operation");
  absl::MutexLock lock(&mutex_);
  DropOld();
  Page page;
  const auto found = by_tenant_.find(tenant);
  if (found == by_tenant_.end()) return page;
  for (auto it = found->second.upper_bound(last); it != found->second.end(); ++it) {
    if (page.operations.size() == limit) {
      page.next_after = absl::StrCat(last);
      break;
    }
    page.operations.push_back(it->second->state);
    last = it->first;
  }
  return page;
}

absl::Status Operations::Cancel(std::string_view tenant, std::string_view id) {
  Work dropped;  // Destroyed without the lock.
  Watches watches;
  OperationState state;
  {
    absl::MutexLock lock(&mutex_);
    const auto operation = Find(tenant, id);
    if (operation == nullptr) return NoOperation(id);
    if (operation->state.done) return absl::OkStatus();
    operation->state.cancel_requested = true;
    operation->cancel = true;
    if (!queue_.Remove(tenant, operation)) return absl::OkStatus();  // It runs.
    dropped = std::move(operation->work);
    watches = End(*operation, absl::CancelledError("cancelled before it began"));
    state = operation->state;
  }
  Call(watches, state);
  return absl::OkStatus();
}

absl::Status Operations::Delete(std::string_view tenant, std::string_view id) {
  absl::MutexLock lock(&mutex_);
  const auto operation = Find(tenant, id);
  if (operation == nullptr) return NoOperation(id);
  if (!operation->state.done) {
    return absl::FailedPreconditionError("the operation has not ended; cancel it first");
  }
  Drop(*operation);
  return absl::OkStatus();
}

absl::StatusOr<OperationState> Operations::Wait(std::string_view tenant, std::string_view id,
                                                absl::Duration timeout) const {
  absl::MutexLock lock(&mutex_);
  const auto operation = Find(tenant, id);
  if (operation == nullptr) return NoOperation(id);
  mutex_.AwaitWithTimeout(absl::Condition(&operation->state.done), timeout);
  return operation->state;
}

absl::StatusOr<Operations::WatchId> Operations::OnDone(std::string_view tenant, std::string_view id,
                                                       Done done) {
  OperationState state;
  WatchId watch = 0;
  {
    absl::MutexLock lock(&mutex_);
    const auto operation = Find(tenant, id);
    if (operation == nullptr) return NoOperation(id);
    watch = next_number_++;
    if (!operation->state.done) {
      operation->watches.emplace(watch, std::move(done));
      return watch;
    }
    state = operation->state;
  }
  done(state);
  return watch;
}

bool Operations::RemoveWatch(std::string_view tenant, std::string_view id, WatchId watch) {
  Watches::node_type removed;  // Destroyed without the lock.
  absl::MutexLock lock(&mutex_);
  const auto operation = Find(tenant, id);
  if (operation == nullptr) return false;
  removed = operation->watches.extract(watch);
  return !removed.empty();
}

void Operations::Stop() {
  std::vector<std::pair<std::shared_ptr<Operation>, Watches>> ended;
  std::vector<Work> dropped;
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
    for (const auto& [id, operation] : by_id_) {
      if (operation->state.done) continue;
      operation->state.cancel_requested = true;
      operation->cancel = true;
    }
    while (!queue_.empty()) {
      const auto operation = queue_.Pop();
      dropped.push_back(std::move(operation->work));
      ended.emplace_back(operation, End(*operation, absl::CancelledError("the server stopped")));
    }
  }
  // Nobody changes one that is done.
  for (const auto& [operation, watches] : ended) Call(watches, operation->state);
  absl::MutexLock lock(&join_mutex_);
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

size_t Operations::waiting() const {
  absl::MutexLock lock(&mutex_);
  return queue_.size();
}

size_t Operations::running() const {
  absl::MutexLock lock(&mutex_);
  return running_;
}

void Operations::RunAll() {
  while (true) {
    std::shared_ptr<Operation> operation;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &Operations::MustWake));
      if (queue_.empty()) return;  // Stopped.
      operation = queue_.Pop();
      ++running_;
    }
    Run(operation);
  }
}

void Operations::Run(const std::shared_ptr<Operation>& operation) {
  // Nobody else touches the work of an operation that is out of the queue.
  Work work = std::move(operation->work);
  OperationControl control(&mutex_, &operation->state, operation->cancel);
  absl::StatusOr<std::string> result = work(control);
  work = nullptr;  // What it holds goes before it counts as over.
  Watches watches;
  {
    absl::MutexLock lock(&mutex_);
    --running_;
    watches = End(*operation, std::move(result));
  }
  Call(watches, operation->state);  // Nobody changes one that is done.
}

Operations::Watches Operations::End(Operation& operation, absl::StatusOr<std::string> result) {
  OperationState& state = operation.state;
  state.done = true;
  state.end = options_.now();
  state.status = result.status();
  if (result.ok()) state.result = *std::move(result);
  operation.finished = next_number_++;
  finished_.emplace(operation.finished, by_id_.find(state.id)->second);
  // A watch is called with its own copy even where this drops the operation.
  Watches watches = std::exchange(operation.watches, {});
  DropOld();
  return watches;
}

std::shared_ptr<Operations::Operation> Operations::Find(std::string_view tenant,
                                                        std::string_view id) const {
  DropOld();
  const auto found = by_id_.find(id);
  if (found == by_id_.end() || found->second->state.tenant != tenant) return nullptr;
  return found->second;
}

void Operations::Drop(const Operation& operation) const {
  // The last of the maps to hold it goes last: `operation` lives until then.
  finished_.erase(operation.finished);
  const auto tenant = by_tenant_.find(operation.state.tenant);
  tenant->second.erase(operation.started);
  if (tenant->second.empty()) by_tenant_.erase(tenant);
  by_id_.erase(by_id_.find(operation.state.id));
}

void Operations::DropOld() const {
  const absl::Time now = options_.now();
  while (!finished_.empty() && finished_.begin()->second->state.end + options_.keep <= now) {
    Drop(*finished_.begin()->second);
  }
  while (finished_.size() > options_.max_kept) {
    std::map<std::string_view, size_t> counts;
    for (const auto& [number, operation] : finished_) ++counts[operation->state.tenant];
    const auto most =
        std::max_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) {
          return a.second < b.second;
        })->first;
    const auto oldest = std::find_if(finished_.begin(), finished_.end(), [&](const auto& entry) {
      return entry.second->state.tenant == most;
    });
    Drop(*oldest->second);
  }
}

}  // namespace cairn::services
