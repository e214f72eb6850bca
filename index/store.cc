#include "index/store.h"

#include <algorithm>
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

Store::Store(std::unique_ptr<RowStore> rows, const CountersRow& counters, VectorEncoding encoding)
    : rows_(std::move(rows)), encoding_(encoding), ids_(rows_.get(), counters) {}

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
  return std::unique_ptr<Store>(new Store(*std::move(rows), *counters, options.vector_encoding));
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
    absl::StatusOr<std::unique_ptr<Collection>> loaded =
        Collection::Load(rows_.get(), &ids_, owned, *row, encoding_);
    if (!loaded.ok()) return loaded.status();
    return entry->collection = *std::move(loaded);
  }
}

absl::StatusOr<std::shared_ptr<Collection>> Store::Create(std::string_view name,
                                                          const CollectionSettings& settings) {
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
    if (absl::Status s = rows_->Commit(std::move(batch)); !s.ok()) return s;
  }
  return Find(name);
}

absl::Status Store::Drop(std::string_view name) {
  absl::MutexLock lock(&mutex_);
  absl::StatusOr<CollectionRow> row = Describe(name);
  if (!row.ok()) return row.status();
  const auto drop = [&] {
    RowBatch batch;
    batch.Delete(Family::kDefault, CollectionNameKey(name));
    for (Family f : {Family::kDocuments, Family::kChunks, Family::kVectors, Family::kTerms,
                     Family::kForward}) {
      batch.DeleteRange(f, CollectionPrefix(row->id), CollectionEnd(row->id));
    }
    return rows_->Commit(std::move(batch));
  };
  const auto it = entries_.find(std::string(name));
  if (it == entries_.end()) return drop();
  const std::shared_ptr<Entry> entry = it->second;
  absl::MutexLock entry_lock(&entry->mutex);
  absl::Status s = entry->collection == nullptr ? drop() : entry->collection->Retire(drop);
  if (!s.ok()) return s;
  entry->dropped = true;
  entry->collection.reset();
  entries_.erase(it);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> Store::List() const {
  std::vector<std::string> names;
  const std::string begin = CollectionNameKey("");
  std::string end = begin;
  ++end.back();
  absl::Status s = rows_->Scan(Family::kDefault, begin, end, nullptr,
                               [&](std::string_view key, std::string_view) {
                                 names.emplace_back(key.substr(begin.size()));
                                 return absl::OkStatus();
                               });
  if (!s.ok()) return s;
  return names;
}

}  // namespace cairn::index
