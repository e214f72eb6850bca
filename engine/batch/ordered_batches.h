// A stream of items through a model: in batches, on several threads, and out in the order they
// came.
#ifndef CAIRN_ENGINE_BATCH_ORDERED_BATCHES_H_
#define CAIRN_ENGINE_BATCH_ORDERED_BATCHES_H_

#include <atomic>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "engine/batch/batch_plan.h"

namespace cairn::engine {

struct OrderedBatchesOptions {
  int threads = 1;  // That run batches, besides the caller's, which reads and writes.
  // Items that are sorted and cut into batches together. Two windows are in memory at most: one at
  // work, and one that waits, so that no thread does while the caller reads.
  size_t window_items = 1024;
  size_t window_bytes = size_t{4} << 20;
  BatchLimits batch;
};

// Items are read into windows; each window is cut into batches of like cost (PlanBatches); threads
// run the batches; and a window whose batches are all done is written, in the order its items were
// read. One Run at a time.
template <typename Item>
class OrderedBatches {
 public:
  // On the caller's thread. The next item; nothing at the end.
  using Read = std::function<absl::StatusOr<std::optional<Item>>()>;
  // Any thread, several at once: fills in the results of items that belong together.
  using Work = std::function<absl::Status(absl::Span<Item* const> batch)>;
  // On the caller's thread, item by item in the order read.
  using Write = std::function<absl::Status(Item& item)>;
  using Measure = std::function<size_t(const Item& item)>;

  // `cost` is in the unit of options.batch.max_cost, `bytes` is what an item holds in memory.
  OrderedBatches(const OrderedBatchesOptions& options, Measure cost, Measure bytes)
      : options_(options), cost_(std::move(cost)), bytes_(std::move(bytes)) {}

  // Runs until the end of the input. The error is the first in the order of the items: what was
  // read before an error of `read` is still written, and the windows before the one in which `work`
  // fails. Cancelled soon after *cancel (may be null) becomes true, when the batches at work are
  // done. ResourceExhausted when not even one thread can be started.
  absl::Status Run(const Read& read, const Work& work, const Write& write,
                   const std::atomic<bool>* cancel);

 private:
  struct Window {
    std::vector<Item> items;
    size_t open = 0;      // Batches not done.
    absl::Status status;  // The first error of a batch.
  };
  struct Batch {
    Window* window;
    std::vector<Item*> items;
  };

  // Joins the threads when the run ends, however it ends.
  class Team {
   public:
    Team(OrderedBatches* owner, const Work& work);
    ~Team();
    absl::Status status() const { return status_; }

   private:
    OrderedBatches* const owner_;
    std::vector<std::thread> threads_;
    absl::Status status_;
  };

  static constexpr size_t kWindowsInMemory = 2;

  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stop_ || !queue_.empty(); }
  bool FirstIsDone() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return windows_.front()->open == 0;
  }
  static bool IsCancelled(const std::atomic<bool>* cancel) {
    return cancel != nullptr && cancel->load(std::memory_order_relaxed);
  }

  void RunBatches(const Work& work);
  // Reads a window. What was read before an error is queued with it.
  absl::Status Fill(const Read& read, const std::atomic<bool>* cancel, bool* end);
  void Queue(std::unique_ptr<Window> window);
  // Waits for the oldest window and writes it.
  absl::Status WriteFirst(const Write& write);

  const OrderedBatchesOptions options_;
  const Measure cost_;
  const Measure bytes_;
  absl::Mutex mutex_;
  std::deque<Batch> queue_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::unique_ptr<Window>> windows_ ABSL_GUARDED_BY(mutex_);  // In order.
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
};

template <typename Item>
OrderedBatches<Item>::Team::Team(OrderedBatches* owner, const Work& work) : owner_(owner) {
  const auto wanted = static_cast<size_t>(std::max(1, owner->options_.threads));
  try {
    while (threads_.size() < wanted) {
      threads_.emplace_back([owner, &work] { owner->RunBatches(work); });
    }
  } catch (const std::system_error& e) {
    if (threads_.empty()) {
      status_ = absl::ResourceExhaustedError(absl::StrCat("cannot start a thread: ", e.what()));
    }
  }
}

template <typename Item>
OrderedBatches<Item>::Team::~Team() {
  {
    absl::MutexLock lock(&owner_->mutex_);
    owner_->stop_ = true;
    owner_->queue_.clear();
  }
  for (std::thread& t : threads_) t.join();
  absl::MutexLock lock(&owner_->mutex_);
  owner_->windows_.clear();
  owner_->stop_ = false;
}

template <typename Item>
void OrderedBatches<Item>::RunBatches(const Work& work) {
  while (true) {
    Batch batch;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &OrderedBatches::HasWork));
      if (stop_) return;
      batch = std::move(queue_.front());
      queue_.pop_front();
    }
    const absl::Status s = work(batch.items);
    absl::MutexLock lock(&mutex_);
    if (!s.ok() && batch.window->status.ok()) batch.window->status = s;
    --batch.window->open;
  }
}

template <typename Item>
absl::Status OrderedBatches<Item>::Fill(const Read& read, const std::atomic<bool>* cancel,
                                        bool* end) {
  auto window = std::make_unique<Window>();
  size_t bytes = 0;
  absl::Status status;
  while (window->items.size() < options_.window_items && bytes < options_.window_bytes) {
    if (IsCancelled(cancel)) return absl::CancelledError("cancelled");
    absl::StatusOr<std::optional<Item>> item = read();
    status = item.status();
    *end = !status.ok() || !item->has_value();
    if (*end) break;
    bytes += bytes_(**item);
    window->items.push_back(**std::move(item));
  }
  if (!window->items.empty()) Queue(std::move(window));
  return status;
}

template <typename Item>
void OrderedBatches<Item>::Queue(std::unique_ptr<Window> window) {
  std::vector<size_t> costs;
  costs.reserve(window->items.size());
  for (const Item& item : window->items) costs.push_back(cost_(item));
  const std::vector<std::vector<size_t>> plan = PlanBatches(
      costs, SharedLimits(options_.batch, costs.size(), static_cast<size_t>(options_.threads)));
  window->open = plan.size();
  absl::MutexLock lock(&mutex_);
  for (const std::vector<size_t>& indices : plan) {
    Batch& batch = queue_.emplace_back(Batch{window.get(), {}});
    for (const size_t i : indices) batch.items.push_back(&window->items[i]);
  }
  windows_.push_back(std::move(window));
}

template <typename Item>
absl::Status OrderedBatches<Item>::WriteFirst(const Write& write) {
  std::unique_ptr<Window> window;
  {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &OrderedBatches::FirstIsDone));
    window = std::move(windows_.front());
    windows_.pop_front();
  }
  if (!window->status.ok()) return window->status;
  for (Item& item : window->items) {
    if (absl::Status s = write(item); !s.ok()) return s;
  }
  return absl::OkStatus();
}

template <typename Item>
absl::Status OrderedBatches<Item>::Run(const Read& read, const Work& work, const Write& write,
                                       const std::atomic<bool>* cancel) {
  const Team team(this, work);
  if (!team.status().ok()) return team.status();
  absl::Status read_status;
  bool end = false;
  while (true) {
    if (IsCancelled(cancel)) return absl::CancelledError("cancelled");
    size_t held = 0;
    {
      absl::MutexLock lock(&mutex_);
      held = windows_.size();
    }
    if (!end && held < kWindowsInMemory) {
      read_status = Fill(read, cancel, &end);
      if (absl::IsCancelled(read_status)) return read_status;
    } else if (held > 0) {
      if (absl::Status s = WriteFirst(write); !s.ok()) return s;
    } else {
      return read_status;
    }
  }
}

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_BATCH_ORDERED_BATCHES_H_
