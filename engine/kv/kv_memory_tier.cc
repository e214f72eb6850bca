#include "engine/kv/kv_memory_tier.h"

#include <algorithm>
#include <utility>

#include "engine/kv/kv_eviction.h"

namespace cairn::engine {

void KvMemoryTier::Use(const index::KvBlobName& name, Entry* entry, int64_t now_ms) {
  by_priority_.erase({entry->order, name});
  entry->uses = KvUses(entry->uses, entry->last_use_ms, now_ms, half_life_) + 1;
  entry->last_use_ms = std::max(entry->last_use_ms, now_ms);
  entry->order = {KvPriority(inflation_, entry->uses, entry->kv->seconds(), entry->kv->bytes()),
                  ++clock_};
  by_priority_.insert({entry->order, name});
}

std::shared_ptr<StoredKv> KvMemoryTier::Take(Entries::iterator it) {
  by_priority_.erase({it->second.order, it->first});
  bytes_ -= it->second.kv->bytes();
  std::shared_ptr<StoredKv> kv = std::move(it->second.kv);
  entries_.erase(it);
  return kv;
}

std::shared_ptr<StoredKv> KvMemoryTier::Find(const index::KvBlobName& name, int64_t now_ms) {
  absl::MutexLock lock(&mutex_);
  const auto it = entries_.find(name);
  if (it == entries_.end()) return nullptr;
  Use(name, &it->second, now_ms);
  return it->second.kv;
}

std::shared_ptr<StoredKv> KvMemoryTier::Peek(const index::KvBlobName& name) const {
  absl::MutexLock lock(&mutex_);
  const auto it = entries_.find(name);
  return it == entries_.end() ? nullptr : it->second.kv;
}

void KvMemoryTier::Insert(std::shared_ptr<StoredKv> kv, int64_t now_ms) {
  if (kv->bytes() > budget_) return;
  // Freed when the mutex is: that may take a while.
  std::vector<std::shared_ptr<StoredKv>> freed;
  absl::MutexLock lock(&mutex_);
  const index::KvBlobName name = kv->key().name;
  if (const auto it = entries_.find(name); it != entries_.end()) freed.push_back(Take(it));
  while (bytes_ + kv->bytes() > budget_) {
    const auto least = by_priority_.begin();
    inflation_ = std::max(inflation_, std::get<0>(least->first));
    freed.push_back(Take(entries_.find(least->second)));
    ++evictions_;
  }
  bytes_ += kv->bytes();
  Entry& entry = entries_[name];
  entry.kv = std::move(kv);
  entry.last_use_ms = now_ms;
  Use(name, &entry, now_ms);
}

void KvMemoryTier::Erase(const index::KvBlobName& name) {
  std::shared_ptr<StoredKv> freed;
  absl::MutexLock lock(&mutex_);
  if (const auto it = entries_.find(name); it != entries_.end()) freed = Take(it);
}

KvMemoryTier::Counts KvMemoryTier::counts() const {
  absl::MutexLock lock(&mutex_);
  return {entries_.size(), bytes_, evictions_};
}

}  // namespace cairn::engine
