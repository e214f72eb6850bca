// Threads that help a query over several index parts.
#ifndef CAIRN_INDEX_QUERY_THREADS_H_
#define CAIRN_INDEX_QUERY_THREADS_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"

namespace cairn::index {

// A query runs on its caller's thread. Where that leaves cores idle, helpers take some of its
// parts; where many queries run at once, each keeps to its own thread. So one query is fast, many
// have the best throughput, and there are never more threads at work than callers or cores.
// Thread-safe.
class QueryThreads {
 public:
  // `cores`: threads at work at once, callers included; at least 1.
  explicit QueryThreads(size_t cores);
  ~QueryThreads();
  QueryThreads(const QueryThreads&) = delete;
  QueryThreads& operator=(const QueryThreads&) = delete;

  // Calls task(i) for i in [0, count), on this thread and on helpers; returns when all are done.
  void ParallelFor(size_t count, absl::FunctionRef<void(size_t)> task);

 private:
  struct Batch;
  void Help();
  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stop_ || !wanted_.empty(); }

  const size_t cores_;
  absl::Mutex mutex_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  size_t at_work_ ABSL_GUARDED_BY(mutex_) = 0;  // Callers and the helpers given to them.
  std::deque<std::shared_ptr<Batch>> wanted_ ABSL_GUARDED_BY(mutex_);  // One entry a helper.
  std::vector<std::thread> helpers_;
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_QUERY_THREADS_H_
