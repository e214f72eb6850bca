// Makes keys and values of what was ingested, while nobody waits for them.
#ifndef CAIRN_ENGINE_KV_BACKGROUND_BUILDER_H_
#define CAIRN_ENGINE_KV_BACKGROUND_BUILDER_H_

#include <atomic>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace cairn::engine {

// One thread that builds one collection after the other. Thread-safe.
class BackgroundBuilder {
 public:
  // `build` makes what a collection lacks; it is called on the thread, and ends soon once
  // `stopping` says so. What it fails at is tried again with the next Add.
  using Build =
      std::function<void(const std::string& collection, const std::function<bool()>& stopping)>;
  explicit BackgroundBuilder(Build build);
  // Stops what is being built.
  ~BackgroundBuilder();
  BackgroundBuilder(const BackgroundBuilder&) = delete;
  BackgroundBuilder& operator=(const BackgroundBuilder&) = delete;

  // The collection lacks some.
  void Add(std::string_view collection);

 private:
  void Run();
  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return stopping_.load(std::memory_order_relaxed) || !waiting_.empty();
  }

  const Build build_;
  std::atomic<bool> stopping_{false};
  absl::Mutex mutex_;
  std::set<std::string> waiting_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_BACKGROUND_BUILDER_H_
