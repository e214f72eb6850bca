#include "engine/kv/kv_loader.h"

#include <algorithm>
#include <utility>

namespace cairn::engine {

KvLoader::KvLoader(size_t threads, OnEnd on_end) : on_end_(std::move(on_end)) {
  for (size_t i = 0; i < std::max<size_t>(threads, 1); ++i)
    threads_.emplace_back([this] { Run(); });
}

KvLoader::~KvLoader() {
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
  const absl::Status closed = absl::CancelledError("the KV store was closed");
  absl::MutexLock lock(&mutex_);
  for (const auto* queue : {&wanted_, &unwanted_}) {
    for (const std::shared_ptr<StoredKv>& kv : *queue) kv->Fail(closed);
  }
}

void KvLoader::Add(std::shared_ptr<StoredKv> kv) {
  (kv->wanted() ? wanted_ : unwanted_).push_back(std::move(kv));
}

void KvLoader::Load(std::shared_ptr<StoredKv> kv) {
  absl::MutexLock lock(&mutex_);
  Add(std::move(kv));
}

void KvLoader::Want(StoredKv* kv) {
  absl::MutexLock lock(&mutex_);
  kv->Want();
  const auto it = std::find_if(unwanted_.begin(), unwanted_.end(),
                               [kv](const auto& other) { return other.get() == kv; });
  // Otherwise a thread is loading a layer of it, and will put it where it belongs now.
  if (it == unwanted_.end()) return;
  wanted_.push_back(std::move(*it));
  unwanted_.erase(it);
}

void KvLoader::Run() {
  while (true) {
    std::shared_ptr<StoredKv> kv;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &KvLoader::HasWork));
      if (stop_) return;
      auto& queue = wanted_.empty() ? unwanted_ : wanted_;
      kv = std::move(queue.front());
      queue.pop_front();
    }
    const absl::Status s = kv->LoadNext();
    const bool end = !s.ok() || kv->last_is_next();
    if (end) on_end_(kv, s);
    if (s.ok()) {
      kv->Publish();
    } else {
      kv->Fail(s);
    }
    if (end) continue;
    absl::MutexLock lock(&mutex_);
    Add(std::move(kv));
  }
}

}  // namespace cairn::engine
