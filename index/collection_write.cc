// The writing half of Collection: staging, commit, and the way into memory.
#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "index/collection.h"
#include "index/kv_blobs.h"
#include "index/row_codec.h"

namespace cairn::index {
namespace {

// Documents deleted in one batch: all that one request of the API may name.
constexpr size_t kDeleteGroup = 1000;
// Smaller batches are cheaper through the log, even during a bulk load.
constexpr size_t kSortedBytes = size_t{8} << 20;
// How often one who waits to write is asked whether it still wants to.

// A chunk's vector: absent, or finite and of unit length.
absl::Status CheckVector(absl::Span<const float> vector, size_t dim) {
  if (vector.empty()) return absl::OkStatus();
  if (vector.size() != dim) return absl::InvalidArgumentError("vector of a wrong dimension");
  double norm2 = 0;
  for (float x : vector) norm2 += static_cast<double>(x) * x;
  // Also false for NaN.
  if (std::abs(norm2 - 1) < 1e-3) return absl::OkStatus();
  return absl::InvalidArgumentError("vector that is not finite and of unit length");
}

}  // namespace

struct Collection::Staged {
  // Deletes KV blobs when the batch is on disk and all locks but the writer's are free.
  std::unique_ptr<KvBlobs::Removal> kv;
  struct Added {
    const PreparedDocument* prepared;
    DocumentRow row;
    std::vector<ForwardRow> forward;
  };
  struct Removed {
    ChunkId first_chunk;
    std::vector<ForwardRow> forward;  // Of its chunks, in order.
  };
  RowBatch batch;
  std::vector<Added> added;
  std::vector<Removed> removed;
  // Terms not in the dictionary yet, in order of their ids. Keys point into the documents' bags.
  std::vector<std::string_view> new_terms;
  absl::flat_hash_map<std::string_view, TermId, StringViewHash, std::equal_to<>> new_term_ids;
};

absl::Status Collection::Retire(const absl::Status& reason,
                                absl::FunctionRef<absl::Status()> drop) {
  stop_rebuilds_ = true;
  absl::MutexLock lock(&write_mutex_);
  {
    // From here on queries see the rows from before, for ever where it succeeds.
    absl::MutexLock index_lock(&mutex_);
    before_commit_ = context_.store->TakeSnapshot();
  }
  if (absl::Status s = drop(); !s.ok()) {
    stop_rebuilds_ = false;
    absl::MutexLock index_lock(&mutex_);
    before_commit_.reset();
    return s;
  }
  retired_ = true;
  retired_because_ = reason;
  std::vector<uint64_t> files;
  {
    // Whoever waits for a build need not any longer.
    absl::MutexLock index_lock(&mutex_);
    dropped_ = true;
    for (const Entry& entry : parts_) {
      if (entry.segment != nullptr) files.push_back(entry.segment->row().file);
    }
  }
  context_.files->Remove(row_.id, files);
  return absl::OkStatus();
}

void Collection::ReleaseRows() {
  absl::MutexLock lock(&mutex_);
  before_commit_.reset();
}

Collection::WritePause::WritePause(Collection* collection) : collection_(collection) {
  absl::MutexLock lock(&collection_->write_mutex_);
  ++collection_->write_pauses_;
}

Collection::WritePause::~WritePause() {
  absl::MutexLock lock(&collection_->write_mutex_);
  --collection_->write_pauses_;
}

absl::Status Collection::AwaitWriting(const Cancellation* cancellation) {
  while (!write_mutex_.AwaitWithTimeout(absl::Condition(this, &Collection::MayWrite),
                                        kCancellationPoll)) {
    if (absl::Status s = CheckCancellation(cancellation); !s.ok()) return s;
  }
  return retired_ ? retired_because_ : absl::OkStatus();
}

ChunkId Collection::EndOfChunks() const {
  absl::ReaderMutexLock lock(&mutex_);
  const Tail& tail = active();
  if (tail.slots() == 0) return tail.begin();
  return tail.SlotChunk(static_cast<Slot>(tail.slots() - 1)) + 1;
}

absl::Status Collection::CheckChunkIds(absl::Span<const PreparedDocument* const> documents) const {
  ChunkId least = EndOfChunks();
  for (const PreparedDocument* d : documents) {
    if (d->first_chunk == 0 || d->chunks.empty()) continue;
    if (d->first_chunk < least) {
      return absl::InternalError(absl::StrCat("document ", d->document.id, ": chunk id ",
                                              d->first_chunk, " comes after ", least - 1));
    }
    least = d->first_chunk + d->chunks.size();
  }
  return absl::OkStatus();
}

absl::Status Collection::Upsert(absl::Span<const PreparedDocument> documents,
                                std::vector<WriteOutcome>* outcomes,
                                std::vector<ChunkRange>* chunks, const Cancellation* cancellation) {
  outcomes->clear();
  if (chunks != nullptr) chunks->clear();
  if (absl::Status s = AwaitRoom(cancellation); !s.ok()) return s;
  absl::MutexLock lock(&write_mutex_);
  if (absl::Status s = AwaitWriting(cancellation); !s.ok()) return s;
  std::vector<const PreparedDocument*> group;
  absl::flat_hash_set<std::string_view, StringViewHash, std::equal_to<>> ids;
  for (const PreparedDocument& d : documents) {
    if (!ids.insert(d.document.id).second) {
      if (absl::Status s = UpsertDistinct(group, outcomes, chunks); !s.ok()) return s;
      group.clear();
      ids.clear();
      ids.insert(d.document.id);
    }
    group.push_back(&d);
  }
  if (absl::Status s = UpsertDistinct(group, outcomes, chunks); !s.ok()) return s;
  FreezeIfFull();
  return absl::OkStatus();
}

absl::Status Collection::UpsertDistinct(absl::Span<const PreparedDocument* const> documents,
                                        std::vector<WriteOutcome>* outcomes,
                                        std::vector<ChunkRange>* chunks) {
  std::vector<WriteOutcome> group_outcomes;
  std::vector<ChunkRange> group_chunks;  // Of those to be written, filled in below.
  std::vector<const PreparedDocument*> changed;
  uint64_t chunk_count = 0;
  Staged staged;
  // Only writers change rows, and this is the one at work.
  for (const PreparedDocument* d : documents) {
    absl::StatusOr<DocumentRow> old = RowsAt(nullptr).GetDocument(d->document.id);
    if (!old.ok() && !absl::IsNotFound(old.status())) return old.status();
    const bool same_ids = d->first_chunk == 0 || (old.ok() && d->first_chunk == old->first_chunk);
    if (old.ok() && old->content_hash == d->content_hash && same_ids) {
      group_outcomes.push_back(WriteOutcome::kUnchanged);
      group_chunks.push_back(RangeOf(old->first_chunk, old->chunk_count));
      continue;
    }
    if (old.ok()) {
      if (absl::Status s = StageRemoval(d->document.id, *old, &staged); !s.ok()) return s;
    }
    group_outcomes.push_back(old.ok() ? WriteOutcome::kReplaced : WriteOutcome::kCreated);
    group_chunks.push_back({0, static_cast<uint32_t>(d->chunks.size())});
    changed.push_back(d);
    if (d->first_chunk == 0) chunk_count += d->chunks.size();
  }
  if (!changed.empty()) {
    if (absl::Status s = CheckChunkIds(changed); !s.ok()) return s;
    absl::StatusOr<ChunkId> first = context_.ids->Take(chunk_count);
    if (!first.ok()) return first.status();
    ChunkId next = *first;
    size_t at = 0;
    for (const PreparedDocument* d : changed) {
      while (group_outcomes[at] == WriteOutcome::kUnchanged) ++at;
      ChunkRange& range = group_chunks[at++];
      const bool has_ids = d->first_chunk != 0;
      const ChunkId from = has_ids ? d->first_chunk : next;
      absl::Status s = StageDocument(*d, from, &staged);
      if (!s.ok()) return s;
      if (!has_ids) next += d->chunks.size();
      range = RangeOf(from, range.count);
    }
    if (absl::Status s = CommitStaged(std::move(staged)); !s.ok()) return s;
  }
  outcomes->insert(outcomes->end(), group_outcomes.begin(), group_outcomes.end());
  if (chunks != nullptr) chunks->insert(chunks->end(), group_chunks.begin(), group_chunks.end());
  return absl::OkStatus();
}

absl::Status Collection::StageDocument(const PreparedDocument& prepared, ChunkId first_chunk,
                                       Staged* staged) const {
  const chunking::Document& document = prepared.document;
  const std::string_view text = document.text;
  Staged::Added added;
  added.prepared = &prepared;
  size_t covered = 0;
  for (size_t i = 0; i < prepared.chunks.size(); ++i) {
    const PreparedDocument::Chunk& c = prepared.chunks[i];
    const chunking::Span span = c.chunk.span;
    if (span.begin > span.end || span.end > text.size()) {
      return absl::InternalError(absl::StrCat("document ", document.id, ": malformed chunk ", i));
    }
    // What the tail would refuse must not reach the disk.
    if (absl::Status s = CheckVector(c.vector, row_.settings.dim); !s.ok()) {
      return absl::Status(s.code(), absl::StrCat("document ", document.id, ": ", s.message()));
    }
    ChunkRow row;
    row.document_id = document.id;
    row.ordinal = static_cast<uint32_t>(i);
    row.span = span;
    row.token_count = c.chunk.token_count;
    row.headings = c.chunk.headings;
    if (span.begin > covered) row.gap = text.substr(covered, span.begin - covered);
    row.text = text.substr(span.begin, span.size());
    covered = std::max(covered, span.end);

    ForwardRow& forward = added.forward.emplace_back();
    forward.length = c.terms.length;
    forward.terms.reserve(c.terms.entries.size());
    for (const TermBag::Entry& e : c.terms.entries) {
      const std::string_view term = c.terms.term(e);
      absl::StatusOr<std::optional<TermId>> known = terms_->Find(term);
      if (!known.ok()) return known.status();
      TermId id;
      if (known->has_value()) {
        id = **known;
      } else {
        const auto next = static_cast<TermId>(terms_->size() + staged->new_terms.size());
        const auto [it, inserted] = staged->new_term_ids.try_emplace(term, next);
        if (inserted) staged->new_terms.push_back(term);
        id = it->second;
      }
      forward.terms.push_back({id, e.count});
    }
    std::sort(forward.terms.begin(), forward.terms.end(),
              [](const TermCount& a, const TermCount& b) { return a.term < b.term; });

    const std::string key = ChunkKey(row_.id, first_chunk + i);
    staged->batch.Put(Family::kChunks, key, Encode(key, row));
    staged->batch.Put(Family::kForward, key, Encode(key, forward));
    if (!c.vector.empty()) staged->batch.Put(Family::kVectors, key, EncodeVector(key, c.vector));
  }
  DocumentRow& row = added.row;
  row.content_hash = prepared.content_hash;
  row.text_hash = Hash128(text);
  row.first_chunk = first_chunk;
  row.chunk_count = static_cast<uint32_t>(prepared.chunks.size());
  row.text_bytes = text.size();
  row.trailing = text.substr(covered);
  row.title = document.title;
  row.source_uri = document.source_uri;
  row.media_type = document.media_type;
  row.metadata = document.metadata;
  const std::string key = DocumentKey(row_.id, document.id);
  staged->batch.Put(Family::kDocuments, key, Encode(key, row));
  staged->added.push_back(std::move(added));
  return absl::OkStatus();
}

absl::Status Collection::StageRemoval(std::string_view id, const DocumentRow& row,
                                      Staged* staged) const {
  ChunkId growing = 0;
  {
    absl::ReaderMutexLock lock(&mutex_);
    growing = active().begin();
  }
  if (staged->kv == nullptr) staged->kv = std::make_unique<KvBlobs::Removal>(context_.kv_blobs);
  absl::Status kv = staged->kv->AddChunks(row_.id, row.first_chunk,
                                          row.first_chunk + row.chunk_count, &staged->batch);
  if (!kv.ok()) return kv;
  Staged::Removed removed;
  removed.first_chunk = row.first_chunk;
  std::string value;
  for (uint32_t i = 0; i < row.chunk_count; ++i) {
    const ChunkId chunk = row.first_chunk + i;
    const std::string key = ChunkKey(row_.id, chunk);
    absl::Status s = context_.store->Get(Family::kForward, key, nullptr, &value);
    if (s.ok()) s = DecodeForward(key, value, &removed.forward.emplace_back());
    if (!s.ok()) {
      return absl::Status(s.code(), absl::StrCat("terms of chunk ", chunk, " of document ",
                                                 std::string(id), ": ", s.message()));
    }
    // A segment has the chunk, or will have it when the build at work is done: its terms are what
    // takes it out of the statistics again when the store is opened.
    if (chunk < growing) staged->batch.Put(Family::kTombstones, key, value);
    staged->batch.Delete(Family::kChunks, key);
    staged->batch.Delete(Family::kForward, key);
    staged->batch.Delete(Family::kVectors, key);
  }
  staged->batch.Delete(Family::kDocuments, DocumentKey(row_.id, id));
  staged->removed.push_back(std::move(removed));
  return absl::OkStatus();
}

absl::Status Collection::CommitStaged(Staged staged) {
  if (retired_) return retired_because_;
  for (std::string_view term : staged.new_terms) {
    const std::string key = TermKey(row_.id, term);
    staged.batch.Put(Family::kTerms, key, EncodeTerm(key, staged.new_term_ids.find(term)->second));
  }
  if (!staged.new_terms.empty()) {
    const std::string key = TermCountKey(row_.id);
    const auto count = static_cast<TermId>(terms_->size() + staged.new_terms.size());
    staged.batch.Put(Family::kDefault, key, EncodeTerm(key, count));
  }
  bool bulk = false;
  {
    // Queries from here on see the rows from before the commit, as the index does.
    absl::MutexLock lock(&mutex_);
    before_commit_ = context_.store->TakeSnapshot();
    bulk = bulk_loads_ > 0;
  }
  const absl::Status committed = bulk && staged.batch.bytes() >= kSortedBytes
                                     ? context_.store->CommitSorted(std::move(staged.batch))
                                     : context_.store->Commit(std::move(staged.batch));
  absl::MutexLock lock(&mutex_);
  before_commit_.reset();
  if (!committed.ok()) return committed;
  if (staged.kv != nullptr) staged.kv->Committed();
  for (const Staged::Removed& r : staged.removed) {
    for (size_t i = 0; i < r.forward.size(); ++i) {
      if (Part* const part = FindPart(r.first_chunk + i)) {
        part->RemoveChunk(r.first_chunk + i, r.forward[i]);
      }
    }
  }
  for (std::string_view term : staged.new_terms) terms_->Add(term);
  for (const Staged::Added& a : staged.added) {
    if (a.forward.empty()) continue;  // Nothing to be found.
    active().AddDocument(a.prepared->document.id, a.row);
    for (size_t i = 0; i < a.forward.size(); ++i) {
      const absl::Status s = active().AddChunk(a.forward[i], a.prepared->chunks[i].vector);
      if (!s.ok()) return s;
    }
  }
  return absl::OkStatus();
}

absl::Status Collection::Delete(absl::Span<const std::string> ids, std::vector<bool>* deleted) {
  deleted->assign(ids.size(), false);
  absl::MutexLock lock(&write_mutex_);
  if (absl::Status s = AwaitWriting(nullptr); !s.ok()) return s;
  for (size_t begin = 0; begin < ids.size(); begin += kDeleteGroup) {
    const size_t end = std::min(begin + kDeleteGroup, ids.size());
    Staged staged;
    std::vector<size_t> found;
    absl::flat_hash_set<std::string_view, StringViewHash, std::equal_to<>> seen;
    for (size_t i = begin; i < end; ++i) {
      if (!seen.insert(ids[i]).second) continue;
      absl::StatusOr<DocumentRow> row = RowsAt(nullptr).GetDocument(ids[i]);
      if (absl::IsNotFound(row.status())) continue;
      if (!row.ok()) return row.status();
      if (absl::Status s = StageRemoval(ids[i], *row, &staged); !s.ok()) return s;
      found.push_back(i);
    }
    if (found.empty()) continue;
    if (absl::Status s = CommitStaged(std::move(staged)); !s.ok()) return s;
    for (size_t i : found) (*deleted)[i] = true;
  }
  // A segment may be mostly dead now.
  NotifyMaintenance();
  return absl::OkStatus();
}

}  // namespace cairn::index
