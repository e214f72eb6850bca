// The part of Store that knows what collections there are, and what was noted of them.
#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "index/store.h"

namespace cairn::index {
namespace {

std::string EndOfPrefix(std::string prefix) {
  ++prefix.back();
  return prefix;
}

}  // namespace

int64_t Store::NowMs() const { return absl::ToUnixMillis(now_ ? now_() : absl::Now()); }

absl::StatusOr<std::vector<std::string>> Store::List(std::string_view prefix,
                                                     std::string_view after, size_t limit) const {
  std::vector<std::string> names;
  if (limit == 0) return names;
  const std::string all = CollectionNameKey("");
  const std::string wanted = CollectionNameKey(prefix);
  // The smallest key greater than `after`.
  const std::string next = after.empty() ? wanted : CollectionNameKey(after).append(1, '\0');
  const absl::Status enough = absl::CancelledError();
  absl::Status s = rows_->Scan(Family::kDefault, std::max(wanted, next), EndOfPrefix(all), nullptr,
                               [&](std::string_view key, std::string_view) {
                                 if (key.substr(0, wanted.size()) != wanted) return enough;
                                 names.emplace_back(key.substr(all.size()));
                                 return names.size() < limit ? absl::OkStatus() : enough;
                               });
  if (!s.ok() && s != enough) return s;
  return names;
}

absl::StatusOr<NotesRow> Store::ReadNotes(CollectionId collection) const {
  const std::string key = NotesKey(collection);
  std::string value;
  absl::Status s = rows_->Get(Family::kDefault, key, nullptr, &value);
  if (absl::IsNotFound(s)) return NotesRow();
  if (!s.ok()) return s;
  absl::StatusOr<NotesRow> row = DecodeNotes(key, value);
  if (row.ok()) return row;
  return absl::Status(row.status().code(), absl::StrCat("notes: ", row.status().message()));
}

absl::StatusOr<NotesRow> Store::Notes(std::string_view name) const {
  absl::StatusOr<CollectionRow> row = Describe(name);
  if (!row.ok()) return row.status();
  return ReadNotes(row->id);
}

absl::Status Store::SetRemarks(std::string_view name, const CollectionRemarks& remarks) {
  // Nothing may take the collection's place, or drop it, meanwhile.
  absl::MutexLock lock(&mutex_);
  absl::StatusOr<CollectionRow> row = Describe(name);
  if (!row.ok()) return row.status();
  absl::StatusOr<NotesRow> notes = ReadNotes(row->id);
  if (absl::IsDataLoss(notes.status())) {
    notes = NotesRow();  // Damaged ones are replaced; only when it was created is lost.
  } else if (!notes.ok()) {
    return notes.status();
  }
  notes->changed_ms = NowMs();
  notes->description = remarks.description;
  notes->labels = remarks.labels;
  const std::string key = NotesKey(row->id);
  RowBatch batch;
  batch.Put(Family::kDefault, key, Encode(key, *notes));
  return rows_->Commit(std::move(batch));
}

void Store::CleanNotes() {
  std::set<CollectionId> used;
  absl::StatusOr<std::vector<std::string>> names = List();
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    absl::StatusOr<CollectionRow> row = Describe(name);
    // What cannot be read is no reason to delete anything.
    if (!row.ok()) return;
    used.insert(row->id);
  }
  RowBatch batch;
  const std::string begin = "notes/";
  absl::Status s = rows_->Scan(Family::kDefault, begin, EndOfPrefix(begin), nullptr,
                               [&](std::string_view key, std::string_view) {
                                 absl::StatusOr<CollectionId> id = CollectionOfNotesKey(key);
                                 if (id.ok() && used.count(*id) == 0) {
                                   batch.Delete(Family::kDefault, key);
                                 }
                                 return absl::OkStatus();
                               });
  if (s.ok() && !batch.operations().empty()) rows_->Commit(std::move(batch)).IgnoreError();
}

}  // namespace cairn::index
