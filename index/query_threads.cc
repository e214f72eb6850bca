#include "index/query_threads.h"

#include <algorithm>
#include <atomic>
#include <system_error>

namespace cairn::index {

struct QueryThreads::Batch {
  Batch(size_t count, absl::FunctionRef<void(size_t)> task) : count(count), task(task) {}

  // A late helper finds nothing left, and does not touch `task`, which may be gone by then.
  void Run() {
    for (size_t i = next++; i < count; i = next++) {
      task(i);
      absl::MutexLock lock(&mutex);
      ++done;
    }
  }
  bool AllDone() const { return done == count; }

  const size_t count;
  const absl::FunctionRef<void(size_t)> task;
  std::atomic<size_t> next{0};
  absl::Mutex mutex;
  size_t done = 0;
};

QueryThreads::QueryThreads(size_t cores) : cores_(std::max<size_t>(cores, 1)) {
  for (size_t i = 1; i < cores_; ++i) {
    try {
      helpers_.emplace_back([this] { Help(); });
    } catch (const std::system_error&) {
      break;
    }
  }
}

QueryThreads::~QueryThreads() {
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
  }
  for (std::thread& t : helpers_) t.join();
}

void QueryThreads::ParallelFor(size_t count, absl::FunctionRef<void(size_t)> task) {
  if (count <= 1 || helpers_.empty()) {
    for (size_t i = 0; i < count; ++i) task(i);
    return;
  }
  const auto batch = std::make_shared<Batch>(count, task);
  {
    absl::MutexLock lock(&mutex_);
    ++at_work_;
    for (size_t i = 1; i < count && at_work_ < cores_; ++i) {
      ++at_work_;
      wanted_.push_back(batch);
    }
  }
  batch->Run();
  {
    absl::MutexLock lock(&batch->mutex);
    batch->mutex.Await(absl::Condition(batch.get(), &Batch::AllDone));
  }
  absl::MutexLock lock(&mutex_);
  --at_work_;
}

void QueryThreads::Help() {
  while (true) {
    std::shared_ptr<Batch> batch;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &QueryThreads::HasWork));
      if (stop_) return;
      batch = std::move(wanted_.front());
      wanted_.pop_front();
    }
    batch->Run();
    absl::MutexLock lock(&mutex_);
    --at_work_;
  }
}

}  // namespace cairn::index
