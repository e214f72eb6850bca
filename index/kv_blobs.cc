#include "index/kv_blobs.h"

#include <sys/random.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "index/durable_files.h"

namespace cairn::index {
namespace {

// Blobs whose rows are deleted, or changed, in one batch.
constexpr size_t kGroup = 256;

}  // namespace

KvBlobs::KvBlobs(RowStore* rows, uint64_t min_free_bytes)
    : rows_(rows), min_free_bytes_(min_free_bytes), files_(rows->directory()) {}

KvBlobs::Commitment::Commitment(KvBlobs* blobs) : blobs_(blobs) {
  absl::MutexLock lock(&blobs_->mutex_);
  blobs_->mutex_.Await(absl::Condition(
      +[](KvBlobs* b) ABSL_NO_THREAD_SAFETY_ANALYSIS { return b->removals_ == 0; }, blobs_));
  ++blobs_->commitments_;
}

KvBlobs::Commitment::~Commitment() {
  absl::MutexLock lock(&blobs_->mutex_);
  --blobs_->commitments_;
}

absl::StatusOr<bool> KvBlobs::IsCollection(CollectionId collection) const {
  bool found = false;
  const std::string begin = CollectionNameKey("");
  std::string end = begin;
  ++end.back();
  absl::Status s = rows_->Scan(Family::kDefault, begin, end, nullptr,
                               [&](std::string_view key, std::string_view value) {
                                 absl::StatusOr<CollectionRow> row = DecodeCollection(key, value);
                                 found = found || (row.ok() && row->id == collection);
                                 return absl::OkStatus();
                               });
  if (!s.ok()) return s;
  return found;
}

absl::StatusOr<KvSecret> KvBlobs::Secret(CollectionId collection) {
  const std::string key = KvSecretKey(collection);
  std::string value;
  absl::Status s = rows_->Get(Family::kDefault, key, nullptr, &value);
  if (s.ok()) return DecodeKvSecret(key, value);
  if (!absl::IsNotFound(s)) return s;
  if (read_only()) {
    return absl::FailedPreconditionError(
        "the collection has no KV caches, and the store is opened read-only");
  }
  KvSecret secret;
  if (::getrandom(secret.data(), secret.size(), 0) != static_cast<ssize_t>(secret.size())) {
    return ErrnoStatus("cannot get random bytes for", rows_->directory());
  }
  // A name that no blob has keeps a second one who makes it waiting.
  KvBlobName turn;
  std::copy(key.end() - 4, key.end(), turn.bytes.begin());
  const KvBlobFiles::Claim claim(&files_, turn);
  const Commitment commitment(this);
  s = rows_->Get(Family::kDefault, key, nullptr, &value);
  if (s.ok()) return DecodeKvSecret(key, value);
  if (!absl::IsNotFound(s)) return s;
  absl::StatusOr<bool> exists = IsCollection(collection);
  if (!exists.ok()) return exists.status();
  if (!*exists) return absl::NotFoundError("the collection is gone");
  RowBatch batch;
  batch.Put(Family::kDefault, key, EncodeKvSecret(key, secret));
  s = rows_->Commit(std::move(batch));
  if (!s.ok()) return s;
  return secret;
}

absl::Status KvBlobs::CheckAlive(CollectionId collection, const KvReference& reference) const {
  absl::Status s = CheckAlive(collection, reference.chunk);
  for (size_t i = 0; s.ok() && i < reference.seen.size(); ++i) {
    s = CheckAlive(collection, reference.seen[i]);
  }
  return s;
}

absl::Status KvBlobs::CheckAlive(CollectionId collection, ChunkId chunk) const {
  std::string value;
  absl::Status s = rows_->Get(Family::kDefault, KvSecretKey(collection), nullptr, &value);
  if (absl::IsNotFound(s)) return absl::NotFoundError("a KV blob's collection is gone");
  if (s.ok() && chunk != 0) {
    s = rows_->Get(Family::kChunks, ChunkKey(collection, chunk), nullptr, &value);
    if (absl::IsNotFound(s)) return absl::NotFoundError("a KV blob's chunk is gone");
  }
  return s;
}

absl::Status KvBlobs::CheckFreeSpace(uint64_t bytes) const {
  struct statvfs info = {};
  if (::statvfs(rows_->directory().c_str(), &info) != 0) return absl::OkStatus();
  const uint64_t free = uint64_t{info.f_bavail} * info.f_frsize;
  if (free >= min_free_bytes_ && free - min_free_bytes_ >= bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat("a KV blob of ", bytes, " bytes: ", free,
                                                   " bytes of disk space are free, and ",
                                                   min_free_bytes_, " are to stay so"));
}

namespace {

void AddReferenceRows(CollectionId collection, const KvBlobName& name, const KvReference& reference,
                      RowBatch* batch) {
  const std::string ref = KvRefKey(collection, name, reference.chunk);
  batch->Put(Family::kDefault, ref, EncodeKvRef(ref));
  if (reference.chunk == 0) return;
  const std::string chunk = KvChunkKey(collection, reference.chunk, name);
  batch->Put(Family::kDefault, chunk, EncodeKvChunk(chunk, reference.configuration));
  for (const ChunkId seen : reference.seen) {
    if (seen == reference.chunk) continue;
    const std::string key = KvChunkKey(collection, seen, name);
    batch->Put(Family::kDefault, key, EncodeKvChunk(key, kKvSeen));
  }
}

}  // namespace

absl::Status KvBlobs::Put(CollectionId collection, const KvBlobName& name, KvBlobRow row,
                          const KvReference& reference, std::string_view metadata,
                          absl::Span<const absl::Span<const std::byte>> extents) {
  if (read_only()) return absl::FailedPreconditionError("the store is opened read-only");
  std::vector<uint64_t> sizes;
  for (absl::Span<const std::byte> bytes : extents) sizes.push_back(bytes.size());
  row.bytes = KvBlobFileBytes(metadata.size(), sizes);
  if (absl::Status s = CheckFreeSpace(row.bytes); !s.ok()) return s;
  const KvBlobFiles::Claim claim(&files_, name);
  // Not to write much for nothing; what counts is the second look below.
  if (absl::Status s = CheckAlive(collection, reference); !s.ok()) return s;
  if (absl::Status s = files_.Write(name, metadata, extents); !s.ok()) return s;
  absl::Status s;
  {
    const Commitment commitment(this);
    s = CheckAlive(collection, reference);
    if (s.ok()) {
      RowBatch batch;
      const std::string key = KvBlobKey(collection, name);
      batch.Put(Family::kDefault, key, Encode(key, row));
      AddReferenceRows(collection, name, reference, &batch);
      s = rows_->Commit(std::move(batch));
    }
  }
  // One that was there before has lost nothing: it is the same blob, unless its size was another.
  if (s.ok()) return s;
  if (absl::StatusOr<KvBlobRow> old = Find(collection, name);
      !old.ok() || old->bytes != row.bytes) {
    files_.Remove(name);
  }
  return s;
}

absl::Status KvBlobs::AddReference(CollectionId collection, const KvBlobName& name,
                                   const KvReference& reference) {
  if (read_only()) return absl::FailedPreconditionError("the store is opened read-only");
  const KvBlobFiles::Claim claim(&files_, name);
  const Commitment commitment(this);
  if (absl::Status s = Find(collection, name).status(); !s.ok()) return s;
  if (absl::Status s = CheckAlive(collection, reference); !s.ok()) return s;
  RowBatch batch;
  AddReferenceRows(collection, name, reference, &batch);
  return rows_->Commit(std::move(batch));
}

absl::StatusOr<KvBlobRow> KvBlobs::Find(CollectionId collection, const KvBlobName& name) const {
  const std::string key = KvBlobKey(collection, name);
  std::string value;
  absl::Status s = rows_->Get(Family::kDefault, key, nullptr, &value);
  if (!s.ok()) return s;
  return DecodeKvBlob(key, value);
}

absl::Status KvBlobs::OfChunk(
    CollectionId collection, ChunkId chunk,
    std::vector<std::pair<KvBlobName, KvConfigurationHash>>* blobs) const {
  blobs->clear();
  const KvBlobName first;
  const std::string begin = KvChunkKey(collection, chunk, first);
  const std::string end = KvChunkKey(collection, chunk + 1, first);
  return rows_->Scan(Family::kDefault, begin, end, nullptr,
                     [&](std::string_view key, std::string_view value) {
                       absl::StatusOr<KvRowKey> parsed = ParseKvKey(KvRowKind::kChunk, key);
                       absl::StatusOr<KvConfigurationHash> hash = DecodeKvChunk(key, value);
                       // A damaged row is as good as none: the blob is computed again.
                       if (parsed.ok() && hash.ok() && *hash != kKvSeen) {
                         blobs->emplace_back(parsed->name, *hash);
                       }
                       return absl::OkStatus();
                     });
}

absl::Status KvBlobs::ForEach(
    absl::FunctionRef<void(CollectionId collection, const KvBlobName& name, const KvBlobRow& row)>
        on_blob) const {
  const std::shared_ptr<const RowSnapshot> snapshot = rows_->TakeSnapshot();
  return rows_->Scan(Family::kDefault, KvBegin(KvRowKind::kBlob), KvEnd(KvRowKind::kBlob),
                     snapshot.get(), [&](std::string_view key, std::string_view value) {
                       absl::StatusOr<KvRowKey> parsed = ParseKvKey(KvRowKind::kBlob, key);
                       absl::StatusOr<KvBlobRow> row = DecodeKvBlob(key, value);
                       if (parsed.ok() && row.ok()) {
                         on_blob(parsed->collection, parsed->name, *row);
                       }
                       return absl::OkStatus();
                     });
}

absl::Status KvBlobs::AddRemoval(CollectionId collection, const KvBlobName& name,
                                 RowBatch* batch) const {
  batch->Delete(Family::kDefault, KvBlobKey(collection, name));
  std::string end = KvRefKey(collection, name, ~ChunkId{0});
  end.push_back('\0');
  return rows_->Scan(
      Family::kDefault, KvRefKey(collection, name, 0), end, nullptr,
      [&](std::string_view key, std::string_view) {
        batch->Delete(Family::kDefault, key);
        if (absl::StatusOr<KvRowKey> parsed = ParseKvKey(KvRowKind::kRef, key); parsed.ok()) {
          batch->Delete(Family::kDefault, KvChunkKey(collection, parsed->chunk, name));
        }
        return absl::OkStatus();
      });
}

absl::StatusOr<bool> KvBlobs::HasReferences(CollectionId collection, const KvBlobName& name) const {
  bool any = false;
  std::string end = KvRefKey(collection, name, ~ChunkId{0});
  end.push_back('\0');
  const absl::Status enough = absl::CancelledError();
  absl::Status s = rows_->Scan(Family::kDefault, KvRefKey(collection, name, 0), end, nullptr,
                               [&](std::string_view, std::string_view) {
                                 any = true;
                                 return enough;
                               });
  if (!s.ok() && s != enough) return s;
  return any;
}

absl::Status KvBlobs::Remove(CollectionId collection, const KvBlobName& name) {
  if (read_only()) return absl::FailedPreconditionError("the store is opened read-only");
  const KvBlobFiles::Claim claim(&files_, name);
  const absl::StatusOr<KvBlobRow> row = Find(collection, name);
  RowBatch batch;
  if (absl::Status s = AddRemoval(collection, name, &batch); !s.ok()) return s;
  if (absl::Status s = rows_->Commit(std::move(batch)); !s.ok()) return s;
  RemoveFile(name, row.ok() ? row->bytes : 0);
  return absl::OkStatus();
}

absl::Status KvBlobs::RecordUses(absl::Span<const KvUse> uses) {
  if (read_only()) return absl::OkStatus();
  for (size_t begin = 0; begin < uses.size(); begin += kGroup) {
    const absl::Span<const KvUse> group = uses.subspan(begin, kGroup);
    std::vector<KvBlobName> names;
    for (const KvUse& use : group) names.push_back(use.name);
    const KvBlobFiles::Claim claim(&files_, names);
    const Commitment commitment(this);
    RowBatch batch;
    for (const KvUse& use : group) {
      absl::StatusOr<KvBlobRow> row = Find(use.collection, use.name);
      if (!row.ok()) continue;
      row->uses = use.uses;
      row->last_use_ms = use.last_use_ms;
      row->priority = use.priority;
      const std::string key = KvBlobKey(use.collection, use.name);
      batch.Put(Family::kDefault, key, Encode(key, *row));
    }
    if (batch.operations().empty()) continue;
    if (absl::Status s = rows_->Commit(std::move(batch)); !s.ok()) return s;
  }
  return absl::OkStatus();
}

void KvBlobs::Observe(std::function<void(const KvBlobName& name)> observer) {
  absl::MutexLock lock(&observer_mutex_);
  observer_ = std::move(observer);
}

void KvBlobs::RemoveFile(const KvBlobName& name, uint64_t counted) {
  {
    absl::MutexLock lock(&observer_mutex_);
    if (observer_) observer_(name);
  }
  files_.Remove(name, counted);
}

void KvBlobs::RemoveUnreferenced(CollectionId collection, absl::Span<const KvBlobName> names) {
  const KvBlobFiles::Claim claim(&files_, names);
  RowBatch batch;
  std::vector<KvBlobName> going;
  for (const KvBlobName& name : names) {
    absl::StatusOr<bool> used = HasReferences(collection, name);
    if (!used.ok() || *used) continue;
    batch.Delete(Family::kDefault, KvBlobKey(collection, name));
    going.push_back(name);
  }
  if (going.empty() || !rows_->Commit(std::move(batch)).ok()) return;
  for (const KvBlobName& name : going) RemoveFile(name);
}

KvBlobs::Removal::Removal(KvBlobs* blobs) : blobs_(blobs) {
  absl::MutexLock lock(&blobs_->mutex_);
  ++blobs_->removals_;
  blobs_->mutex_.Await(absl::Condition(
      +[](KvBlobs* b) ABSL_NO_THREAD_SAFETY_ANALYSIS { return b->commitments_ == 0; }, blobs_));
}

void KvBlobs::Removal::Committed() {
  committed_ = true;
  held_ = false;
  absl::MutexLock lock(&blobs_->mutex_);
  --blobs_->removals_;
}

KvBlobs::Removal::~Removal() {
  if (held_) {
    absl::MutexLock lock(&blobs_->mutex_);
    --blobs_->removals_;
  }
  if (!committed_) return;
  std::sort(released_.begin(), released_.end());
  released_.erase(std::unique(released_.begin(), released_.end()), released_.end());
  std::vector<KvBlobName> group;
  for (size_t i = 0; i < released_.size(); ++i) {
    group.push_back(released_[i].second);
    const bool last = i + 1 == released_.size() || released_[i + 1].first != released_[i].first;
    if (!last && group.size() < kGroup) continue;
    blobs_->RemoveUnreferenced(released_[i].first, group);
    group.clear();
  }
  for (const KvBlobName& name : dropped_) {
    const KvBlobFiles::Claim claim(&blobs_->files_, name);
    blobs_->RemoveFile(name);
  }
}

absl::Status KvBlobs::Removal::AddChunks(CollectionId collection, ChunkId begin, ChunkId end,
                                         RowBatch* batch) {
  // Most stores have no blobs, and a look at the rows costs as much as the rest of a removal.
  if (blobs_->blobs() == 0 || begin == end) return absl::OkStatus();
  const KvBlobName first;
  std::vector<KvBlobName> have_seen;
  absl::Status s = blobs_->rows_->Scan(
      Family::kDefault, KvChunkKey(collection, begin, first), KvChunkKey(collection, end, first),
      nullptr, [&](std::string_view key, std::string_view value) {
        batch->Delete(Family::kDefault, key);
        absl::StatusOr<KvRowKey> parsed = ParseKvKey(KvRowKind::kChunk, key);
        if (!parsed.ok()) return absl::OkStatus();
        const absl::StatusOr<KvConfigurationHash> hash = DecodeKvChunk(key, value);
        if (hash.ok() && *hash == kKvSeen) {
          have_seen.push_back(parsed->name);
        } else {
          batch->Delete(Family::kDefault, KvRefKey(collection, parsed->name, parsed->chunk));
        }
        released_.emplace_back(collection, parsed->name);
        return absl::OkStatus();
      });
  for (size_t i = 0; s.ok() && i < have_seen.size(); ++i) {
    s = blobs_->AddRemoval(collection, have_seen[i], batch);
  }
  return s;
}

absl::Status KvBlobs::Removal::AddCollection(CollectionId collection) {
  return blobs_->rows_->Scan(Family::kDefault, KvBegin(KvRowKind::kBlob, collection),
                             KvEnd(KvRowKind::kBlob, collection), nullptr,
                             [&](std::string_view key, std::string_view) {
                               absl::StatusOr<KvRowKey> parsed = ParseKvKey(KvRowKind::kBlob, key);
                               if (parsed.ok()) dropped_.push_back(parsed->name);
                               return absl::OkStatus();
                             });
}

absl::Status KvBlobs::Removal::AddMove(CollectionId from, CollectionId to, RowBatch* batch) {
  // A damaged row is not moved: it is as good as none. The file of a damaged blob row goes at the
  // next opening.
  const auto scan = [&](KvRowKind kind, auto add) {
    return blobs_->rows_->Scan(Family::kDefault, KvBegin(kind, from), KvEnd(kind, from), nullptr,
                               [&](std::string_view key, std::string_view value) {
                                 absl::StatusOr<KvRowKey> parsed = ParseKvKey(kind, key);
                                 if (parsed.ok()) add(*parsed, key, value);
                                 return absl::OkStatus();
                               });
  };
  const auto put = [&](const std::string& key, const std::string& row) {
    batch->Put(Family::kDefault, key, row);
  };
  absl::Status s =
      scan(KvRowKind::kSecret, [&](const KvRowKey&, std::string_view old, std::string_view value) {
        const std::string key = KvSecretKey(to);
        if (auto row = DecodeKvSecret(old, value); row.ok()) put(key, EncodeKvSecret(key, *row));
      });
  if (!s.ok()) return s;
  s = scan(KvRowKind::kBlob,
           [&](const KvRowKey& parsed, std::string_view old, std::string_view value) {
             const std::string key = KvBlobKey(to, parsed.name);
             if (auto row = DecodeKvBlob(old, value); row.ok()) put(key, Encode(key, *row));
           });
  if (!s.ok()) return s;
  s = scan(KvRowKind::kRef, [&](const KvRowKey& parsed, std::string_view, std::string_view) {
    const std::string key = KvRefKey(to, parsed.name, parsed.chunk);
    put(key, EncodeKvRef(key));
  });
  if (!s.ok()) return s;
  return scan(KvRowKind::kChunk,
              [&](const KvRowKey& parsed, std::string_view old, std::string_view value) {
                const std::string key = KvChunkKey(to, parsed.chunk, parsed.name);
                if (auto row = DecodeKvChunk(old, value); row.ok()) {
                  put(key, EncodeKvChunk(key, *row));
                }
              });
}

}  // namespace cairn::index
