#include "index/store.h"

#include <algorithm>
#include <set>
#include <thread>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace cairn::index {
namespace {

constexpr size_t kMaxNameBytes = 128;

absl::Status CheckName(std::string_view name) {
  const auto allowed = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-';
  };
  if (!name.empty() && name.size() <= kMaxNameBytes && name[0] != '.' &&
      std::all_of(name.begin(), name.end(), allowed)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("bad collection name \"", std::string(name),
                   "\": use letters, digits, \"-\", \"_\" and \".\", at most ", kMaxNameBytes));
}

}  // namespace

Store::Store(std::unique_ptr<RowStore> rows, const CountersRow& counters,
             const StoreOptions& options)
    : rows_(std::move(rows)),
      options_(options.index),
      now_(options.now),
      ids_(rows_.get(), counters),
      files_(rows_->directory()),
      kv_blobs_(rows_.get(), options.rows.min_free_bytes),
      limiter_(options.index.bytes_per_second),
      threads_(options.query_threads > 0 ? options.query_threads
                                         : std::thread::hardware_concurrency()) {
  if (!rows_->read_only()) {
    maintenance_ = std::make_unique<Maintenance>(options_.threads, options_.retry_after);
  }
}

Store::~Store() {
  limiter_.Cancel();
  if (maintenance_ != nullptr) maintenance_->Stop();
  absl::MutexLock lock(&mutex_);
  for (const std::weak_ptr<Collection>& retired : retired_) {
    if (const std::shared_ptr<Collection> c = retired.lock()) c->ReleaseRows();
  }
}

CollectionContext Store::Context() {
  return {rows_.get(),        &ids_,     &files_,  &kv_blobs_, &limiter_,
          maintenance_.get(), &threads_, &options_};
}

absl::StatusOr<ManifestRow> Store::ReadManifest(CollectionId collection) const {
  const std::string key = ManifestKey(collection);
  std::string value;
  absl::Status s = rows_->Get(Family::kDefault, key, nullptr, &value);
  if (absl::IsNotFound(s)) return ManifestRow();
  if (!s.ok()) return s;
  return DecodeManifest(key, value);
}

void Store::CleanSegments() const {
  std::set<std::string> used;
  absl::StatusOr<std::vector<std::string>> names = List();
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    absl::StatusOr<CollectionRow> row = Describe(name);
    if (!row.ok()) return;
    std::vector<CollectionId> ids = {row->id};
    absl::StatusOr<ReembeddingRow> successor = DescribeReembedding(name);
    if (!successor.ok() && !absl::IsNotFound(successor.status())) return;
    if (successor.ok()) ids.push_back(successor->collection.id);
    for (const CollectionId id : ids) {
      absl::StatusOr<ManifestRow> manifest = ReadManifest(id);
      // What cannot be read is no reason to delete anything.
      if (!manifest.ok()) return;
      for (const SegmentRow& segment : manifest->segments) {
        used.insert(SegmentFiles::Name(id, segment.file));
      }
    }
  }
  files_.Clean(used);
}

void Store::CleanKvBlobs() {
  std::vector<CollectionId> live;
  bool all = !rows_->read_only();
  absl::StatusOr<std::vector<std::string>> names = List();
  all = all && names.ok();
  for (size_t i = 0; all && i < names->size(); ++i) {
    absl::StatusOr<CollectionRow> row = Describe((*names)[i]);
    // What cannot be read is no reason to delete anything.
    all = row.ok();
    if (all) live.push_back(row->id);
  }
  if (!all || !kv_blobs_.Clean(live).ok()) kv_blobs_.Count();
}

absl::Status Store::Verify(const VerifyOptions& options,
                           absl::FunctionRef<void(const std::string& problem)> on_problem,
                           VerifyReport* report) {
  const SegmentFiles::Hold hold(&files_);
  return VerifyStore(*rows_, files_, options, on_problem, report);
}

absl::Status Store::Snapshot(const std::string& destination, const SnapshotOptions& options) {
  const SegmentFiles::Hold hold(&files_);
  const KvBlobFiles::Hold hold_blobs(&kv_blobs_.files());
  return SnapshotStore(*rows_, destination, options);
}

absl::StatusOr<std::unique_ptr<Store>> Store::Open(const std::string& directory,
                                                   const StoreOptions& options) {
  absl::StatusOr<std::unique_ptr<RowStore>> rows = RowStore::Open(directory, options.rows);
  if (!rows.ok()) return rows.status();
  std::string value;
  absl::Status s = (*rows)->Get(Family::kDefault, CountersKey(), nullptr, &value);
  if (!s.ok() && !absl::IsNotFound(s)) return s;
  // A store has had its counters since it was created: without them ids would be used again.
  absl::StatusOr<CountersRow> counters = DecodeCounters(CountersKey(), value);
  if (!counters.ok()) {
    return absl::Status(counters.status().code(),
                        absl::StrCat(directory, ": counters: ", counters.status().message()));
  }
  StoreOptions used = options;
  IndexOptions& index = used.index;
  index.min_free_bytes = options.rows.min_free_bytes;
  // Less would make no progress.
  index.seal_chunks = std::max<size_t>(index.seal_chunks, 1);
  index.bulk_seal_chunks = std::max<size_t>(index.bulk_seal_chunks, 1);
  index.rebuild_chunks = std::max<size_t>(index.rebuild_chunks, 1);
  index.merge_factor = std::max<size_t>(index.merge_factor, 2);
  std::unique_ptr<Store> store(new Store(*std::move(rows), *counters, used));
  if (!options.rows.read_only) {
    store->CleanSegments();
    store->CleanNotes();
  }
  store->CleanKvBlobs();
  return store;
}

absl::StatusOr<CollectionRow> Store::Describe(std::string_view name) const {
  const std::string key = CollectionNameKey(name);
  std::string value;
  absl::Status s = rows_->Get(Family::kDefault, key, nullptr, &value);
  if (absl::IsNotFound(s)) {
    return absl::NotFoundError(
        absl::StrCat("no collection \"", std::string(name), "\" in ", rows_->directory()));
  }
  if (!s.ok()) return s;
  return DecodeCollection(key, value);
}

absl::StatusOr<std::shared_ptr<Collection>> Store::Find(std::string_view name) {
  const std::string owned(name);
  while (true) {
    std::shared_ptr<Entry> entry;
    {
      absl::MutexLock lock(&mutex_);
      std::shared_ptr<Entry>& known = entries_[owned];
      if (known == nullptr) {
        // Names that do not exist are not kept.
        if (absl::Status s = Describe(name).status(); !s.ok()) {
          entries_.erase(owned);
          return s;
        }
        known = std::make_shared<Entry>();
      }
      entry = known;
    }
    absl::MutexLock lock(&entry->mutex);
    if (entry->collection != nullptr) return entry->collection;
    if (entry->dropped) continue;
    absl::StatusOr<CollectionRow> row = Describe(name);
    if (!row.ok()) return row.status();
    absl::StatusOr<std::shared_ptr<Collection>> loaded = Collection::Load(Context(), owned, *row);
    if (!loaded.ok()) return loaded.status();
    return entry->collection = *std::move(loaded);
  }
}

absl::StatusOr<std::shared_ptr<Collection>> Store::Create(std::string_view name,
                                                          const CollectionSettings& settings,
                                                          const CollectionRemarks& remarks) {
  if (absl::Status s = CheckName(name); !s.ok()) return s;
  {
    absl::MutexLock lock(&mutex_);
    absl::StatusOr<CollectionRow> existing = Describe(name);
    if (existing.ok()) {
      return absl::AlreadyExistsError(
          absl::StrCat("collection \"", std::string(name), "\" exists already"));
    }
    if (!absl::IsNotFound(existing.status())) return existing.status();
    absl::StatusOr<CollectionId> id = ids_.TakeCollection();
    if (!id.ok()) return id.status();
    CollectionRow row;
    row.id = *id;
    row.settings = settings;
    const std::string key = CollectionNameKey(name);
    RowBatch batch;
    batch.Put(Family::kDefault, key, Encode(key, row));
    const std::string notes_key = NotesKey(row.id);
    const int64_t now = NowMs();
    const NotesRow notes = {now, now, remarks.description, remarks.labels};
    batch.Put(Family::kDefault, notes_key, Encode(notes_key, notes));
    if (absl::Status s = rows_->Commit(std::move(batch)); !s.ok()) return s;
  }
  return Find(name);
}

absl::Status Store::Retire(const std::shared_ptr<Collection>& collection, const std::string& reason,
                           absl::FunctionRef<absl::Status()> drop) {
  absl::Status s = collection->Retire(absl::FailedPreconditionError(reason), drop);
  if (!s.ok()) return s;
  retired_.erase(std::remove_if(retired_.begin(), retired_.end(),
                                [](const auto& other) { return other.expired(); }),
                 retired_.end());
  retired_.push_back(collection);
  return absl::OkStatus();
}

absl::Status Store::DropUnloaded(CollectionId collection, RowBatch batch) {
  std::vector<uint64_t> files;
  if (absl::StatusOr<ManifestRow> manifest = ReadManifest(collection); manifest.ok()) {
    for (const SegmentRow& segment : manifest->segments) files.push_back(segment.file);
  }
  absl::Status s = CommitDrop(collection, std::move(batch));
  if (s.ok()) files_.Remove(collection, files);
  return s;
}

absl::Status Store::CommitDrop(CollectionId collection, RowBatch batch) {
  KvBlobs::Removal kv(&kv_blobs_);
  if (absl::Status s = kv.AddCollection(collection); !s.ok()) return s;
  AddDrop(collection, &batch);
  absl::Status s = rows_->Commit(std::move(batch));
  if (s.ok()) kv.Committed();
  return s;
}

absl::Status Store::Drop(std::string_view name) {
  absl::MutexLock lock(&mutex_);
  absl::StatusOr<CollectionRow> row = Describe(name);
  if (!row.ok()) return row.status();
  if (absl::Status s = Abandon(name); !s.ok() && !absl::IsNotFound(s)) return s;
  RowBatch batch;
  batch.Delete(Family::kDefault, CollectionNameKey(name));
  const auto it = entries_.find(std::string(name));
  if (it == entries_.end()) return DropUnloaded(row->id, std::move(batch));
  const std::shared_ptr<Entry> entry = it->second;
  absl::MutexLock entry_lock(&entry->mutex);
  absl::Status s;
  if (entry->collection == nullptr) {
    s = DropUnloaded(row->id, std::move(batch));
  } else {
    const std::string deleted = absl::StrCat("collection ", std::string(name), " was deleted");
    s = Retire(entry->collection, deleted, [&] { return CommitDrop(row->id, std::move(batch)); });
  }
  if (!s.ok()) return s;
  entry->dropped = true;
  entry->collection.reset();
  entries_.erase(it);
  return absl::OkStatus();
}

}  // namespace cairn::index
