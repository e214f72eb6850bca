// The part of Store that lets a collection with another model's vectors take a collection's place.
#include <utility>

#include "absl/strings/str_cat.h"
#include "index/store.h"

namespace cairn::index {

Reembedding::Reembedding(Store* store, std::string name, std::shared_ptr<Collection> source,
                         std::shared_ptr<Collection> target)
    : store_(store),
      name_(std::move(name)),
      source_(std::move(source)),
      target_(std::move(target)) {}

Reembedding::~Reembedding() {
  absl::MutexLock lock(&store_->mutex_);
  const auto it = store_->successors_.find(name_);
  // After a commit there is none, or another one.
  if (it != store_->successors_.end() && it->second.collection == target_) {
    it->second.in_use = false;
  }
}

absl::Status Reembedding::Commit() {
  Store& store = *store_;
  absl::MutexLock lock(&store.mutex_);
  const auto it = store.entries_.find(name_);
  if (it == store.entries_.end()) return absl::InternalError("a collection that nobody holds");
  const std::shared_ptr<Store::Entry> entry = it->second;
  absl::MutexLock entry_lock(&entry->mutex);
  CollectionRow row;
  row.id = target_->id();
  row.settings = target_->settings();
  absl::StatusOr<NotesRow> notes = store.ReadNotes(source_->id());
  // Damaged ones are not to be lost by the way.
  if (!notes.ok()) return notes.status();
  const std::string replaced =
      absl::StrCat("collection ", name_,
                   " has been re-embedded with another model: open the store with that one");
  absl::Status s = store.Retire(source_, replaced, [&] {
    RowBatch batch;
    const std::string key = CollectionNameKey(name_);
    batch.Put(Family::kDefault, key, Encode(key, row));
    const std::string notes_key = NotesKey(row.id);
    batch.Put(Family::kDefault, notes_key, Encode(notes_key, *notes));
    batch.Delete(Family::kDefault, ReembeddingKey(name_));
    // Chunk ids stay, and a generator's caches have nothing to do with vectors.
    KvBlobs::Removal kv(&store.kv_blobs_);
    if (absl::Status moved = kv.AddMove(source_->id(), row.id, &batch); !moved.ok()) return moved;
    AddDrop(source_->id(), &batch);
    absl::Status committed = store.rows_->Commit(std::move(batch));
    if (committed.ok()) kv.Committed();
    return committed;
  });
  if (!s.ok()) return s;
  entry->collection = target_;
  store.successors_.erase(name_);
  return absl::OkStatus();
}

absl::StatusOr<ReembeddingRow> Store::DescribeReembedding(std::string_view name) const {
  const std::string key = ReembeddingKey(name);
  std::string value;
  absl::Status s = rows_->Get(Family::kDefault, key, nullptr, &value);
  if (absl::IsNotFound(s)) {
    return absl::NotFoundError(
        absl::StrCat("collection ", std::string(name), " is not being re-embedded"));
  }
  if (!s.ok()) return s;
  return DecodeReembedding(key, value);
}

bool Store::IsReembedding(std::string_view name) const {
  const auto it = successors_.find(std::string(name));
  return it != successors_.end() && it->second.in_use;
}

absl::StatusOr<ReembeddingRow> Store::ClaimReembedding(const Collection& source,
                                                       const std::string& fingerprint, uint32_t dim,
                                                       const std::string& model) {
  const std::string& name = source.name();
  if (IsReembedding(name)) {
    return absl::FailedPreconditionError(
        absl::StrCat("collection ", name, " is being re-embedded already"));
  }
  absl::StatusOr<ReembeddingRow> row = DescribeReembedding(name);
  if (row.ok() && row->source != source.id()) {
    // Of a collection that had the name before, and was deleted by a program that did not know.
    if (absl::Status s = Abandon(name); !s.ok()) return s;
    row = DescribeReembedding(name);
  }
  if (row.ok()) {
    const CollectionSettings& settings = row->collection.settings;
    if (settings.embedder_fingerprint == fingerprint && settings.dim == dim) return row;
    return absl::FailedPreconditionError(
        absl::StrCat("collection ", name, " is being re-embedded with ", row->model, " (",
                     settings.embedder_fingerprint, "), not with ", model, " (", fingerprint,
                     "): go on with that model, or give it up first (reembed --abort)"));
  }
  if (!absl::IsNotFound(row.status())) return row.status();
  absl::StatusOr<CollectionId> id = ids_.TakeCollection();
  if (!id.ok()) return id.status();
  ReembeddingRow begun;
  begun.source = source.id();
  begun.model = model;
  begun.collection.id = *id;
  begun.collection.settings = source.settings();
  begun.collection.settings.embedder_fingerprint = fingerprint;
  begun.collection.settings.dim = dim;
  const std::string key = ReembeddingKey(name);
  RowBatch batch;
  batch.Put(Family::kDefault, key, Encode(key, begun));
  if (absl::Status s = rows_->Commit(std::move(batch)); !s.ok()) return s;
  return begun;
}

absl::StatusOr<std::unique_ptr<Reembedding>> Store::Reembed(std::string_view name,
                                                            const std::string& fingerprint,
                                                            uint32_t dim,
                                                            const std::string& model) {
  const std::string owned(name);
  absl::StatusOr<std::shared_ptr<Collection>> source = Find(name);
  if (!source.ok()) return source.status();
  ReembeddingRow row;
  std::shared_ptr<Collection> target;
  {
    absl::MutexLock lock(&mutex_);
    absl::StatusOr<CollectionRow> now = Describe(name);
    if (!now.ok()) return now.status();
    if (now->id != (*source)->id()) {
      return absl::NotFoundError(absl::StrCat("collection ", owned, " was deleted"));
    }
    absl::StatusOr<ReembeddingRow> claimed = ClaimReembedding(**source, fingerprint, dim, model);
    if (!claimed.ok()) return claimed.status();
    row = *std::move(claimed);
    Successor& successor = successors_[owned];
    successor.in_use = true;
    target = successor.collection;
  }
  if (target == nullptr) {
    // Not under the mutex: it may take a while.
    absl::StatusOr<std::shared_ptr<Collection>> loaded =
        Collection::Load(Context(), owned, row.collection);
    absl::MutexLock lock(&mutex_);
    if (!loaded.ok()) {
      successors_.erase(owned);
      return loaded.status();
    }
    target = *std::move(loaded);
    successors_[owned].collection = target;
  }
  return std::unique_ptr<Reembedding>(
      new Reembedding(this, owned, *std::move(source), std::move(target)));
}

absl::Status Store::AbandonReembedding(std::string_view name) {
  absl::MutexLock lock(&mutex_);
  return Abandon(name);
}

absl::Status Store::Abandon(std::string_view name) {
  if (IsReembedding(name)) {
    return absl::FailedPreconditionError(
        absl::StrCat("collection ", std::string(name), " is being re-embedded: stop that first"));
  }
  absl::StatusOr<ReembeddingRow> row = DescribeReembedding(name);
  if (!row.ok()) return row.status();
  RowBatch batch;
  batch.Delete(Family::kDefault, ReembeddingKey(name));
  const auto it = successors_.find(std::string(name));
  if (it == successors_.end()) return DropUnloaded(row->collection.id, std::move(batch));
  const std::string given_up =
      absl::StrCat("the re-embedding of collection ", std::string(name), " was given up");
  absl::Status s = Retire(it->second.collection, given_up,
                          [&] { return CommitDrop(row->collection.id, std::move(batch)); });
  if (s.ok()) successors_.erase(it);
  return s;
}

}  // namespace cairn::index
