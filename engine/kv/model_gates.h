// A model's gates, run once (engine/kv/reuse_gates.h).
#ifndef CAIRN_ENGINE_KV_MODEL_GATES_H_
#define CAIRN_ENGINE_KV_MODEL_GATES_H_

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "engine/kv/reuse_gates.h"
#include "engine/model/checkpoint.h"
#include "index/row_store.h"

namespace cairn::engine {

// Thread-safe. They run on a thread of their own, so that nobody who waits has to wait to the end.
class ModelGates {
 public:
  // Both outlive this, or Stop. What the gates gave is kept in `rows`, unless they are read-only;
  // `on_problem`, which may be empty, is told where it cannot be.
  ModelGates(index::RowStore* rows, const Checkpoint* checkpoint,
             std::function<void(const std::string&)> on_problem)
      : rows_(rows), checkpoint_(checkpoint), on_problem_(std::move(on_problem)) {}
  ~ModelGates() { Stop(); }
  ModelGates(const ModelGates&) = delete;
  ModelGates& operator=(const ModelGates&) = delete;

  // What they gave, now or before. Runs them, or waits for them, where that is not known yet;
  // Cancelled once `is_cancelled`, which may be empty, says so: they run on then. The errors of
  // RunReuseGates and of reading rows; they are tried again at the next call. Cancelled after Stop.
  absl::StatusOr<ReuseGateReport> Get(const std::function<bool()>& is_cancelled);

  // Stops them, and lets nobody wait any longer.
  void Stop();

 private:
  absl::StatusOr<ReuseGateReport> Run() const;
  absl::StatusOr<ReuseGateReport> RunAndKeep();
  bool IsSettled() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return !running_ || stopping_; }

  index::RowStore* const rows_;
  const Checkpoint* const checkpoint_;
  const std::function<void(const std::string&)> on_problem_;
  std::atomic<bool> stopping_{false};
  absl::Mutex mutex_;
  bool running_ ABSL_GUARDED_BY(mutex_) = false;
  // Of the last run; nothing: none has ended.
  std::optional<absl::StatusOr<ReuseGateReport>> outcome_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_MODEL_GATES_H_
