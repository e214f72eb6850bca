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
  CountersRow counters;
  std::string value;
  absl::Status s = (*rows)->Get(Family::kDefault, CountersKey(), &value);
  if (s.ok()) {
    absl::StatusOr<CountersRow> row = DecodeCounters(CountersKey(), value);
    if (!row.ok()) {
      return absl::Status(row.status().code(),
                          absl::StrCat(directory, ": counters: ", row.status().message()));
    }
    counters = *row;
  } else if (!absl::IsNotFound(s)) {
    return s;
  }
  return std::unique_ptr<Store>(new Store(*std::move(rows), counters, options.vector_encoding));
}

absl::StatusOr<CollectionRow> Store::Describe(std::string_view name) const {
  const std::string key = CollectionNameKey(name);
  std::string value;
  absl::Status s = rows_->Get(Family::kDefault, key, &value);
  if (absl::IsNotFound(s)) {
    return absl::NotFoundError(
        absl::StrCat("no collection \"", std::string(name), "\" in ", rows_->directory()));
  }
  if (!s.ok()) return s;
  return DecodeCollection(key, value);
}

absl::StatusOr<std::shared_ptr<Collection>> Store::Find(std::string_view name) {
  absl::MutexLock lock(&mutex_);
  const std::string owned(name);
  if (const auto it = open_.find(owned); it != open_.end()) return it->second;
  absl::StatusOr<CollectionRow> row = Describe(name);
  if (!row.ok()) return row.status();
  absl::StatusOr<std::unique_ptr<Collection>> loaded =
      Collection::Load(rows_.get(), &ids_, owned, *row, encoding_);
  if (!loaded.ok()) return loaded.status();
  return open_[owned] = *std::move(loaded);
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
  const auto open = open_.find(std::string(name));
  if (open != open_.end()) open->second->Retire();
  RowBatch batch;
  batch.Delete(Family::kDefault, CollectionNameKey(name));
  for (Family f :
       {Family::kDocuments, Family::kChunks, Family::kVectors, Family::kTerms, Family::kForward}) {
    batch.DeleteRange(f, CollectionPrefix(row->id), CollectionEnd(row->id));
  }
  if (absl::Status s = rows_->Commit(std::move(batch)); !s.ok()) return s;
  if (open != open_.end()) open_.erase(open);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> Store::List() const {
  std::vector<std::string> names;
  const std::string begin = CollectionNameKey("");
  std::string end = begin;
  ++end.back();
  absl::Status s =
      rows_->Scan(Family::kDefault, begin, end, [&](std::string_view key, std::string_view) {
        names.emplace_back(key.substr(begin.size()));
        return absl::OkStatus();
      });
  if (!s.ok()) return s;
  return names;
}

}  // namespace cairn::index
