// Threads that read KV blobs from disk.
#ifndef CAIRN_ENGINE_KV_KV_LOADER_H_
#define CAIRN_ENGINE_KV_KV_LOADER_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "engine/kv/stored_kv.h"

namespace cairn::engine {

// Loads the blobs it is given, each in order of its layers, all of them a layer in turn: a prompt
// needs the first layer of all its chunks first. Those that somebody waits for come before those
// that somebody may want. Thread-safe.
class KvLoader {
 public:
  // Called, on any of the threads, when all of a blob but its last layer can be seen and that one
  // is loaded, or when it cannot be loaded; before any reader learns of it.
  using OnEnd = std::function<void(const std::shared_ptr<StoredKv>& kv, const absl::Status& s)>;

  KvLoader(size_t threads, OnEnd on_end);
  // Blobs that are not wholly loaded fail with Cancelled.
  ~KvLoader();
  KvLoader(const KvLoader&) = delete;
  KvLoader& operator=(const KvLoader&) = delete;

  // With kv->wanted(), or without.
  void Load(std::shared_ptr<StoredKv> kv);
  // Somebody waits, now, for one that is being loaded, or was.
  void Want(StoredKv* kv);

 private:
  void Run();
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stop_ || !wanted_.empty() || !unwanted_.empty();
  }
  void Add(std::shared_ptr<StoredKv> kv) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const OnEnd on_end_;
  absl::Mutex mutex_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<std::shared_ptr<StoredKv>> wanted_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::shared_ptr<StoredKv>> unwanted_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_KV_LOADER_H_
