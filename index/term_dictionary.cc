#include "index/term_dictionary.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"

namespace cairn::index {
namespace {

constexpr size_t kBlockBytes = 64 << 10;

}  // namespace

absl::StatusOr<std::unique_ptr<TermDictionary>> TermDictionary::Load(const RowStore* store,
                                                                     CollectionId collection) {
  std::unique_ptr<TermDictionary> dictionary(new TermDictionary(store, collection));
  const std::string key = TermCountKey(collection);
  std::string value;
  const absl::Status s = store->Get(Family::kDefault, key, nullptr, &value);
  bool read_all = true;
  if (s.ok()) {
    absl::StatusOr<TermId> count = DecodeTerm(key, value);
    if (!count.ok()) return count.status();
    absl::MutexLock lock(&dictionary->mutex_);
    dictionary->size_ = *count;
    read_all = *count <= kReadAtOnce;
  } else if (!absl::IsNotFound(s)) {
    return s;
  }
  // Without a count: a collection without terms, or one of format 1.
  if (read_all) {
    if (absl::Status all = dictionary->ReadAll(); !all.ok()) return all;
  }
  return dictionary;
}

absl::Status TermDictionary::ReadAll() {
  absl::MutexLock lock(&mutex_);
  TermId rows = 0;
  std::vector<bool> seen;
  bool sound = true;
  absl::Status s =
      store_->Scan(Family::kTerms, CollectionPrefix(collection_), CollectionEnd(collection_),
                   nullptr, [&](std::string_view key, std::string_view value) -> absl::Status {
                     absl::StatusOr<TermId> id = DecodeTerm(key, value);
                     if (!id.ok()) {
                       return absl::Status(id.status().code(),
                                           absl::StrCat("a term row: ", id.status().message()));
                     }
                     mutex_.AssertHeld();
                     Keep(key.substr(CollectionPrefix(collection_).size()), *id);
                     ++rows;
                     if (*id < (size_t{1} << 31)) {
                       if (*id >= seen.size()) seen.resize(size_t{*id} + 1);
                       sound = sound && !seen[*id];
                       seen[*id] = true;
                     }
                     return absl::OkStatus();
                   });
  if (!s.ok()) return s;
  // Each id once, up to the largest: else a new term could get the id of another.
  if (!sound || seen.size() != rows || rows < size_) {
    return absl::DataLossError("the term ids are not dense (cairn verify lists all damage)");
  }
  size_ = rows;
  complete_ = true;
  return absl::OkStatus();
}

void TermDictionary::Keep(std::string_view term, TermId id) const {
  if (bytes_.empty() || bytes_.back().capacity() - bytes_.back().size() < term.size()) {
    bytes_.emplace_back().reserve(std::max(kBlockBytes, term.size()));
  }
  std::string& block = bytes_.back();
  const size_t at = block.size();
  block.append(term);  // Within capacity: earlier keys stay where they are.
  ids_.emplace(std::string_view(block).substr(at), id);
}

absl::StatusOr<std::optional<TermId>> TermDictionary::Find(std::string_view term) const {
  {
    absl::ReaderMutexLock lock(&mutex_);
    const auto it = ids_.find(term);
    if (it != ids_.end()) return it->second;
    if (complete_) return std::nullopt;
  }
  const std::string key = TermKey(collection_, term);
  std::string value;
  const absl::Status s = store_->Get(Family::kTerms, key, nullptr, &value);
  if (absl::IsNotFound(s)) return std::nullopt;
  if (!s.ok()) return s;
  absl::StatusOr<TermId> id = DecodeTerm(key, value);
  if (!id.ok()) {
    return absl::Status(id.status().code(), absl::StrCat("a term row: ", id.status().message()));
  }
  absl::MutexLock lock(&mutex_);
  // A term that is being committed right now is there with its rows, but not added yet.
  if (*id >= size_) return std::nullopt;
  if (!ids_.contains(term)) Keep(term, *id);
  return *id;
}

void TermDictionary::Add(std::string_view term) {
  absl::MutexLock lock(&mutex_);
  Keep(term, size_++);
}

size_t TermDictionary::size() const {
  absl::ReaderMutexLock lock(&mutex_);
  return size_;
}

size_t TermDictionary::MemoryBytes() const {
  absl::ReaderMutexLock lock(&mutex_);
  size_t bytes = ids_.capacity() * (sizeof(std::string_view) + sizeof(TermId) + 5);
  for (const std::string& block : bytes_) bytes += block.capacity();
  return bytes;
}

}  // namespace cairn::index
