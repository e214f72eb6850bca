#include "engine/kv/kv_store.h"

#include <algorithm>
#include <thread>
#include <tuple>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "engine/kv/kv_eviction.h"
#include "engine/kv/kv_loader.h"
#include "engine/kv/kv_memory_tier.h"
#include "engine/kv/stored_kv.h"
#include "index/kv_blobs.h"
#include "index/store.h"

namespace cairn::engine {
namespace {

using index::KvBlobName;
using index::KvBlobRow;

// Uses that are not written yet: more are written at once.
constexpr size_t kMaxPendingUses = 4096;

index::KvReference ReferenceOf(const KvOwner& owner) {
  return {owner.chunk, owner.configuration, owner.seen};
}

}  // namespace

class KvStore::Impl {
 public:
  Impl(index::KvBlobs* blobs, const KvStoreOptions& options)
      : blobs_(*blobs),
        options_(options),
        memory_(options.memory_bytes, options.half_life),
        loader_(options.loader_threads, [this](const std::shared_ptr<StoredKv>& kv,
                                               const absl::Status& s) { OnLoaded(kv, s); }) {
    blobs_.Observe([this](const KvBlobName& name) { Forget(name); });
  }

  ~Impl() {
    blobs_.Observe(nullptr);
    {
      absl::MutexLock lock(&mutex_);
      stop_ = true;
    }
    if (flusher_.joinable()) flusher_.join();
    if (absl::Status s = Flush(); !s.ok()) Report("uses of KV blobs were not written", s);
  }

  // What every blob's priority is at least: where the last process left off.
  absl::Status Start() {
    bool any = false;
    double least = 0;
    absl::Status s = blobs_.ForEach([&](uint32_t, const KvBlobName&, const KvBlobRow& row) {
      least = any ? std::min(least, row.priority) : row.priority;
      any = true;
    });
    if (!s.ok()) return s;
    {
      absl::MutexLock lock(&mutex_);
      inflation_ = least;
    }
    if (const uint64_t damaged = blobs_.damaged_at_opening(); damaged > 0 && options_.on_problem) {
      options_.on_problem(
          absl::StrCat("KV blobs that were missing or cut, and are computed again: ", damaged));
    }
    if (!blobs_.read_only()) flusher_ = std::thread([this] { RunFlusher(); });
    return absl::OkStatus();
  }

  index::KvBlobs& blobs() { return blobs_; }

  absl::Status Put(const KvKey& key, const KvOwner& owner, KvBlob blob) ABSL_LOCKS_EXCLUDED(mutex_);
  std::shared_ptr<const ChunkKv> Find(const KvKey& key) ABSL_LOCKS_EXCLUDED(mutex_);
  void Prefetch(absl::Span<const KvKey> keys) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<uint64_t> Evict(uint64_t bytes) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<KvVerifyReport> Verify(
      bool drop, absl::FunctionRef<void(const std::string& problem)> on_problem)
      ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Flush() ABSL_LOCKS_EXCLUDED(mutex_);
  std::optional<ChunkAttention> AttentionOf(const KvKey& key) ABSL_LOCKS_EXCLUDED(mutex_);

  KvStoreStats Stats() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const KvMemoryTier::Counts memory = memory_.counts();
    absl::MutexLock lock(&mutex_);
    return {{memory.blobs, memory.bytes, memory.evictions},
            {blobs_.blobs(), blobs_.bytes(), disk_evictions_}};
  }
  KvCollectionStats Stats(uint32_t collection) const ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    const auto it = stats_.find(collection);
    return it == stats_.end() ? KvCollectionStats() : it->second;
  }

 private:
  struct Victim {
    KvKey key;
    double priority;
    int64_t last_use_ms;  // Decides where priorities are the same.
    uint64_t bytes;
  };

  int64_t NowMs() const { return absl::ToUnixMillis(options_.now ? options_.now() : absl::Now()); }
  void Report(const std::string& what, const absl::Status& s) const {
    if (options_.on_problem) options_.on_problem(absl::StrCat(what, ": ", s.message()));
  }
  void Count(uint32_t collection, uint64_t KvCollectionStats::*field, uint64_t by = 1) {
    absl::MutexLock lock(&mutex_);
    stats_[collection].*field += by;
  }
  void RecordUse(const KvKey& key, const KvBlobRow& row) ABSL_LOCKS_EXCLUDED(mutex_);
  // Null, after dropping a bad one, where there is none to be had.
  std::shared_ptr<StoredKv> OpenBlob(const KvKey& key, double seconds) ABSL_LOCKS_EXCLUDED(mutex_);
  // Opens the blob's file, or finds who is loading it already. Null as OpenBlob.
  std::shared_ptr<StoredKv> BeginLoad(const KvKey& key, const KvBlobRow& row, bool wanted)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void OnLoaded(const std::shared_ptr<StoredKv>& kv, const absl::Status& s)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // After `s`, the outcome of reading the blob.
  void HandleBad(const KvKey& key, const absl::Status& s);
  // What is in memory of a blob that is gone from the disk.
  void Forget(const KvBlobName& name) ABSL_LOCKS_EXCLUDED(mutex_) {
    memory_.Erase(name);
    absl::MutexLock lock(&mutex_);
    pending_.erase(name);
  }
  // Takes a blob into memory that is on disk, unless it has just been deleted.
  void Keep(std::shared_ptr<StoredKv> kv);
  // All blobs, the least worth first.
  absl::StatusOr<std::vector<Victim>> ByPriority() ABSL_LOCKS_EXCLUDED(mutex_);
  // Sets `bytes` aside for a blob, evicting others; FreeReservation gives them back.
  absl::Status Reserve(uint64_t bytes) ABSL_LOCKS_EXCLUDED(mutex_);
  void FreeReservation(uint64_t bytes) ABSL_LOCKS_EXCLUDED(mutex_);
  bool HasRoom() const ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status EvictOne(const Victim& victim) ABSL_LOCKS_EXCLUDED(mutex_);
  void RunFlusher() ABSL_LOCKS_EXCLUDED(mutex_);

  index::KvBlobs& blobs_;
  const KvStoreOptions options_;
  KvMemoryTier memory_;
  mutable absl::Mutex mutex_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_map<KvBlobName, std::weak_ptr<StoredKv>> loading_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<uint32_t, KvCollectionStats> stats_ ABSL_GUARDED_BY(mutex_);
  // Newer than what the rows say.
  absl::flat_hash_map<KvBlobName, index::KvUse> pending_ ABSL_GUARDED_BY(mutex_);
  double inflation_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t reserved_ ABSL_GUARDED_BY(mutex_) = 0;  // Of blobs on their way to the disk.
  uint64_t disk_evictions_ ABSL_GUARDED_BY(mutex_) = 0;
  std::thread flusher_;
  KvLoader loader_;  // Ended before anything that it needs.
};

void KvStore::Impl::RecordUse(const KvKey& key, const KvBlobRow& row) {
  const int64_t now = NowMs();
  absl::MutexLock lock(&mutex_);
  const auto [it, inserted] = pending_.try_emplace(key.name);
  index::KvUse& use = it->second;
  if (inserted || use.collection != key.collection) {
    use = {key.collection, key.name, row.uses, row.last_use_ms, row.priority};
  }
  use.uses = KvUses(use.uses, use.last_use_ms, now, options_.half_life) + 1;
  use.last_use_ms = std::max(use.last_use_ms, now);
  use.priority = KvPriority(inflation_, use.uses, row.seconds, row.bytes);
}

absl::Status KvStore::Impl::Flush() {
  std::vector<index::KvUse> uses;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [name, use] : pending_) uses.push_back(use);
    pending_.clear();
  }
  return uses.empty() ? absl::OkStatus() : blobs_.RecordUses(uses);
}

void KvStore::Impl::RunFlusher() {
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      const auto due = [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
        return stop_ || pending_.size() >= kMaxPendingUses;
      };
      mutex_.AwaitWithTimeout(absl::Condition(&due), options_.flush_interval);
      if (stop_) return;
    }
    if (absl::Status s = Flush(); !s.ok()) Report("uses of KV blobs were not written", s);
  }
}

void KvStore::Impl::Keep(std::shared_ptr<StoredKv> kv) {
  const KvKey key = kv->key();
  memory_.Insert(std::move(kv), NowMs());
  // Looked at last: who deletes it later forgets it as well.
  if (absl::IsNotFound(blobs_.Find(key.collection, key.name).status())) memory_.Erase(key.name);
}

void KvStore::Impl::HandleBad(const KvKey& key, const absl::Status& s) {
  Report(absl::StrCat("KV blob of collection ", key.collection), s);
  // A newer version's blob, or one that cannot be read now, may be good.
  if (!absl::IsDataLoss(s) && !absl::IsNotFound(s)) return;
  Count(key.collection, &KvCollectionStats::bad_blobs);
  if (blobs_.read_only()) return;
  if (absl::Status removed = blobs_.Remove(key.collection, key.name); !removed.ok()) {
    Report("a bad KV blob could not be removed", removed);
  }
}

std::shared_ptr<StoredKv> KvStore::Impl::OpenBlob(const KvKey& key, double seconds) {
  absl::StatusOr<std::unique_ptr<index::KvBlobFile>> file = blobs_.Open(key.name);
  absl::StatusOr<std::shared_ptr<StoredKv>> opened =
      file.ok() ? StoredKv::FromFile(key, *std::move(file), seconds)
                : absl::StatusOr<std::shared_ptr<StoredKv>>(file.status());
  if (opened.ok()) return *std::move(opened);
  // Deleted since its row was read: no fault of the blob's.
  if (!absl::IsNotFound(opened.status()) ||
      !absl::IsNotFound(blobs_.Find(key.collection, key.name).status())) {
    HandleBad(key, opened.status());
  }
  return nullptr;
}

std::shared_ptr<StoredKv> KvStore::Impl::BeginLoad(const KvKey& key, const KvBlobRow& row,
                                                   bool wanted) {
  const auto join = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto it = loading_.find(key.name);
    return it == loading_.end() ? nullptr : it->second.lock();
  };
  std::shared_ptr<StoredKv> kv;
  {
    absl::MutexLock lock(&mutex_);
    kv = join();
  }
  if (kv != nullptr) {
    if (wanted) loader_.Want(kv.get());
    return kv;
  }
  std::shared_ptr<StoredKv> opened = OpenBlob(key, row.seconds);
  if (opened == nullptr) return nullptr;
  {
    absl::MutexLock lock(&mutex_);
    kv = join();
    // Who loaded it meanwhile put it into memory before it ended.
    if (kv == nullptr) kv = memory_.Peek(key.name);
    if (kv == nullptr || !(kv->key() == key)) {
      kv = nullptr;
      loading_[key.name] = opened;
    }
  }
  if (kv != nullptr) {
    if (wanted) loader_.Want(kv.get());
    return kv;
  }
  kv = std::move(opened);
  if (wanted) kv->Want();
  loader_.Load(kv);
  return kv;
}

void KvStore::Impl::OnLoaded(const std::shared_ptr<StoredKv>& kv, const absl::Status& s) {
  const KvKey& key = kv->key();
  if (s.ok()) {
    Count(key.collection, &KvCollectionStats::bytes_loaded, kv->bytes());
    Keep(kv);
  }
  {
    absl::MutexLock lock(&mutex_);
    const auto it = loading_.find(key.name);
    if (it != loading_.end() && it->second.lock() == kv) loading_.erase(it);
  }
  if (!s.ok()) HandleBad(key, s);
}

std::shared_ptr<const ChunkKv> KvStore::Impl::Find(const KvKey& key) {
  absl::StatusOr<KvBlobRow> row = blobs_.Find(key.collection, key.name);
  std::shared_ptr<StoredKv> kv;
  if (row.ok()) {
    kv = memory_.Find(key.name, NowMs());
    // A collection that took another one's place has its blobs, too.
    if (kv != nullptr && kv->key() == key) {
      RecordUse(key, *row);
      Count(key.collection, &KvCollectionStats::memory_hits);
      return kv;
    }
    kv = BeginLoad(key, *row, /*wanted=*/true);
  } else if (absl::IsNotFound(row.status())) {
    // Whatever is in memory belongs to a chunk that is gone.
    memory_.Erase(key.name);
  } else {
    HandleBad(key, row.status());
  }
  if (kv == nullptr) {
    Count(key.collection, &KvCollectionStats::misses);
    return nullptr;
  }
  RecordUse(key, *row);
  Count(key.collection, &KvCollectionStats::disk_hits);
  return kv;
}

void KvStore::Impl::Prefetch(absl::Span<const KvKey> keys) {
  uint64_t bytes = 0;
  for (const KvKey& key : keys) {
    if (memory_.Contains(key.name)) continue;
    absl::StatusOr<KvBlobRow> row = blobs_.Find(key.collection, key.name);
    if (!row.ok()) continue;
    bytes += row->bytes;
    // More would push out what was loaded before it.
    if (bytes > memory_.budget()) return;
    BeginLoad(key, *row, /*wanted=*/false);
  }
}

std::optional<ChunkAttention> KvStore::Impl::AttentionOf(const KvKey& key) {
  std::shared_ptr<StoredKv> kv = memory_.Peek(key.name);
  if (kv == nullptr || !(kv->key() == key)) kv = OpenBlob(key, 0);
  if (kv == nullptr || kv->attention() == nullptr) return std::nullopt;
  return *kv->attention();
}

absl::StatusOr<std::vector<KvStore::Impl::Victim>> KvStore::Impl::ByPriority() {
  std::vector<Victim> victims;
  absl::Status s =
      blobs_.ForEach([&](uint32_t collection, const KvBlobName& name, const KvBlobRow& row) {
        victims.push_back({{collection, name}, row.priority, row.last_use_ms, row.bytes});
      });
  if (!s.ok()) return s;
  {
    absl::MutexLock lock(&mutex_);
    for (Victim& victim : victims) {
      const auto it = pending_.find(victim.key.name);
      if (it == pending_.end()) continue;
      victim.priority = it->second.priority;
      victim.last_use_ms = it->second.last_use_ms;
    }
  }
  std::sort(victims.begin(), victims.end(), [](const Victim& a, const Victim& b) {
    return std::tie(a.priority, a.last_use_ms, a.key.name) <
           std::tie(b.priority, b.last_use_ms, b.key.name);
  });
  return victims;
}

absl::Status KvStore::Impl::EvictOne(const Victim& victim) {
  absl::Status s = blobs_.Remove(victim.key.collection, victim.key.name);
  if (!s.ok()) return s;
  absl::MutexLock lock(&mutex_);
  inflation_ = std::max(inflation_, victim.priority);
  ++disk_evictions_;
  return absl::OkStatus();
}

bool KvStore::Impl::HasRoom() const {
  absl::MutexLock lock(&mutex_);
  return blobs_.bytes() + reserved_ <= options_.disk_bytes;
}

absl::Status KvStore::Impl::Reserve(uint64_t bytes) {
  {
    absl::MutexLock lock(&mutex_);
    reserved_ += bytes;
  }
  if (HasRoom()) return absl::OkStatus();
  absl::StatusOr<std::vector<Victim>> victims = ByPriority();
  absl::Status s = victims.status();
  if (s.ok()) {
    for (const Victim& victim : *victims) {
      if (HasRoom()) break;
      if (s = EvictOne(victim); !s.ok()) break;
    }
  }
  if (!s.ok()) FreeReservation(bytes);
  return s;
}

void KvStore::Impl::FreeReservation(uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  reserved_ -= bytes;
}

absl::Status KvStore::Impl::Put(const KvKey& key, const KvOwner& owner, KvBlob blob) {
  if (blobs_.read_only()) return absl::FailedPreconditionError("the store is opened read-only");
  if (absl::Status s = CheckKvBlob(blob); !s.ok()) return s;
  const std::string metadata = EncodeKvMetadata(blob.metadata);
  std::vector<absl::Span<const std::byte>> extents;
  std::vector<uint64_t> sizes;
  for (const AlignedBytes& layer : blob.layers) {
    extents.push_back(layer.span());
    sizes.push_back(layer.size());
  }
  const uint64_t bytes = index::KvBlobFileBytes(metadata.size(), sizes);
  if (bytes > options_.disk_bytes) return absl::OkStatus();
  KvBlobRow row;
  row.tokens = blob.metadata.tokens;
  row.encoding = static_cast<uint8_t>(blob.metadata.encoding);
  row.model = owner.model;
  row.seconds = blob.seconds;
  row.uses = 1;
  row.last_use_ms = NowMs();
  if (absl::Status s = Reserve(bytes); !s.ok()) return s;
  {
    absl::MutexLock lock(&mutex_);
    row.priority = KvPriority(inflation_, row.uses, row.seconds, bytes);
  }
  absl::Status s = blobs_.Put(key.collection, key.name, row, ReferenceOf(owner), metadata, extents);
  FreeReservation(bytes);
  if (!s.ok()) return s;
  Keep(std::make_shared<StoredKv>(key, std::move(blob.metadata), std::move(blob.layers),
                                  blob.seconds));
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> KvStore::Impl::Evict(uint64_t bytes) {
  absl::StatusOr<std::vector<Victim>> victims = ByPriority();
  if (!victims.ok()) return victims.status();
  uint64_t freed = 0;
  for (const Victim& victim : *victims) {
    if (freed >= bytes) break;
    if (absl::Status s = EvictOne(victim); !s.ok()) return s;
    freed += victim.bytes;
  }
  return freed;
}

absl::StatusOr<KvVerifyReport> KvStore::Impl::Verify(
    bool drop, absl::FunctionRef<void(const std::string& problem)> on_problem) {
  absl::StatusOr<std::vector<Victim>> blobs = ByPriority();
  if (!blobs.ok()) return blobs.status();
  KvVerifyReport report;
  for (const Victim& blob : *blobs) {
    const auto check = [&]() -> absl::Status {
      absl::StatusOr<std::unique_ptr<index::KvBlobFile>> file = blobs_.Open(blob.key.name);
      if (!file.ok()) return file.status();
      absl::StatusOr<std::shared_ptr<StoredKv>> kv =
          StoredKv::FromFile(blob.key, *std::move(file), 0);
      if (!kv.ok()) return kv.status();
      // Layer by layer through a handle that nobody else has.
      return (*kv)->CheckAll();
    };
    const absl::Status s = check();
    const bool gone = absl::IsNotFound(blobs_.Find(blob.key.collection, blob.key.name).status());
    if (gone) continue;  // Deleted meanwhile.
    ++report.blobs;
    report.bytes += blob.bytes;
    if (s.ok()) continue;
    ++report.bad;
    on_problem(absl::StrCat("KV blob of collection ", blob.key.collection, ": ", s.message()));
    if (drop) HandleBad(blob.key, s);
  }
  return report;
}

KvStore::KvStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
KvStore::~KvStore() = default;

absl::StatusOr<std::unique_ptr<KvStore>> KvStore::Open(index::Store* store,
                                                       const KvStoreOptions& options) {
  auto impl = std::make_unique<Impl>(&store->kv_blobs(), options);
  if (absl::Status s = impl->Start(); !s.ok()) return s;
  return std::unique_ptr<KvStore>(new KvStore(std::move(impl)));
}

absl::StatusOr<KvIdentity> KvStore::Identity(uint32_t collection) {
  absl::StatusOr<index::KvSecret> secret = impl_->blobs().Secret(collection);
  if (!secret.ok()) return secret.status();
  return KvIdentity(collection, *secret);
}

absl::Status KvStore::Put(const KvKey& key, const KvOwner& owner, KvBlob blob) {
  return impl_->Put(key, owner, std::move(blob));
}

absl::StatusOr<bool> KvStore::AddOwner(const KvKey& key, const KvOwner& owner) {
  // One that is larger or smaller than its row says was damaged behind our back.
  absl::StatusOr<KvBlobRow> row = impl_->blobs().Find(key.collection, key.name);
  if (absl::IsNotFound(row.status()) || absl::IsDataLoss(row.status())) return false;
  if (!row.ok()) return row.status();
  if (impl_->blobs().files().FileBytes(key.name) != row->bytes) return false;
  absl::Status s = impl_->blobs().AddReference(key.collection, key.name, ReferenceOf(owner));
  if (absl::IsNotFound(s) && !Contains(key)) return false;
  if (!s.ok()) return s;
  return true;
}

std::shared_ptr<const ChunkKv> KvStore::Find(const KvKey& key) { return impl_->Find(key); }

std::optional<ChunkAttention> KvStore::AttentionOf(const KvKey& key) {
  return impl_->AttentionOf(key);
}

void KvStore::Prefetch(absl::Span<const KvKey> keys) { impl_->Prefetch(keys); }

bool KvStore::Contains(const KvKey& key) const {
  return impl_->blobs().Find(key.collection, key.name).ok();
}

absl::StatusOr<std::vector<KvKey>> KvStore::OfChunk(uint32_t collection, uint64_t chunk,
                                                    const KvConfigurationId& configuration) const {
  std::vector<std::pair<KvBlobName, index::KvConfigurationHash>> blobs;
  if (absl::Status s = impl_->blobs().OfChunk(collection, chunk, &blobs); !s.ok()) return s;
  std::vector<KvKey> keys;
  for (const auto& [name, hash] : blobs) {
    if (hash == configuration) keys.push_back({collection, name});
  }
  return keys;
}

absl::StatusOr<uint64_t> KvStore::Evict(uint64_t bytes) { return impl_->Evict(bytes); }

absl::StatusOr<KvVerifyReport> KvStore::Verify(
    bool drop, absl::FunctionRef<void(const std::string& problem)> on_problem) {
  return impl_->Verify(drop, on_problem);
}

absl::Status KvStore::Flush() { return impl_->Flush(); }
KvStoreStats KvStore::Stats() const { return impl_->Stats(); }
KvCollectionStats KvStore::Stats(uint32_t collection) const { return impl_->Stats(collection); }

}  // namespace cairn::engine
