// The writing half of Collection: staging, commit, and the way into memory.
#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "index/collection.h"
#include "index/row_codec.h"

namespace cairn::index {
namespace {

// Below this many dead slots a rebuild is not worth a query's wait.
constexpr size_t kReclaimSlots = 10'000;
// Documents deleted in one batch.
constexpr size_t kDeleteGroup = 256;

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
  struct Added {
    const PreparedDocument* prepared;
    DocumentRow row;
    std::vector<ForwardRow> forward;
  };
  struct Removed {
    DocumentIndex document;
    std::vector<ForwardRow> forward;
  };
  RowBatch batch;
  std::vector<Added> added;
  std::vector<Removed> removed;
  // Terms not in the dictionary yet, in order of their ids. Keys point into the documents' bags.
  std::vector<std::string_view> new_terms;
  absl::flat_hash_map<std::string_view, TermId, StringViewHash, std::equal_to<>> new_term_ids;
};

absl::Status Collection::Retire(absl::FunctionRef<absl::Status()> drop) {
  absl::MutexLock lock(&write_mutex_);
  absl::Status s = drop();
  retired_ = s.ok();
  return s;
}

absl::Status Collection::Upsert(absl::Span<const PreparedDocument> documents,
                                std::vector<WriteOutcome>* outcomes) {
  outcomes->clear();
  absl::MutexLock lock(&write_mutex_);
  std::vector<const PreparedDocument*> group;
  absl::flat_hash_set<std::string_view, StringViewHash, std::equal_to<>> ids;
  for (const PreparedDocument& d : documents) {
    if (!ids.insert(d.document.id).second) {
      if (absl::Status s = UpsertDistinct(group, outcomes); !s.ok()) return s;
      group.clear();
      ids.clear();
      ids.insert(d.document.id);
    }
    group.push_back(&d);
  }
  if (absl::Status s = UpsertDistinct(group, outcomes); !s.ok()) return s;
  ReclaimIfMostlyDead();
  return absl::OkStatus();
}

absl::Status Collection::UpsertDistinct(absl::Span<const PreparedDocument* const> documents,
                                        std::vector<WriteOutcome>* outcomes) {
  std::vector<WriteOutcome> group_outcomes;
  std::vector<const PreparedDocument*> changed;
  uint64_t chunk_count = 0;
  Staged staged;
  {
    // Only writers change the tail, and this is the one at work: reading it needs no more than a
    // shared lock, so queries go on.
    absl::ReaderMutexLock lock(&mutex_);
    for (const PreparedDocument* d : documents) {
      const Tail::Document* old = tail_->FindDocument(d->document.id);
      if (old != nullptr && old->content_hash == d->content_hash) {
        group_outcomes.push_back(WriteOutcome::kUnchanged);
        continue;
      }
      if (old != nullptr) {
        if (absl::Status s = StageRemoval(tail_->IndexOf(*old), &staged); !s.ok()) return s;
      }
      group_outcomes.push_back(old != nullptr ? WriteOutcome::kReplaced : WriteOutcome::kCreated);
      changed.push_back(d);
      chunk_count += d->chunks.size();
    }
  }
  if (!changed.empty()) {
    absl::StatusOr<ChunkId> first = ids_->Take(chunk_count);
    if (!first.ok()) return first.status();
    ChunkId next = *first;
    {
      absl::ReaderMutexLock lock(&mutex_);
      for (const PreparedDocument* d : changed) {
        if (absl::Status s = StageDocument(*d, next, &staged); !s.ok()) return s;
        next += d->chunks.size();
      }
    }
    if (absl::Status s = CommitStaged(std::move(staged)); !s.ok()) return s;
  }
  outcomes->insert(outcomes->end(), group_outcomes.begin(), group_outcomes.end());
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
      TermId id;
      if (const TermId* known = tail_->FindTerm(term)) {
        id = *known;
      } else {
        const auto next = static_cast<TermId>(tail_->term_count() + staged->new_terms.size());
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

absl::Status Collection::StageRemoval(DocumentIndex document, Staged* staged) const {
  const Tail::Document& d = tail_->document(document);
  Staged::Removed removed;
  removed.document = document;
  std::string value;
  for (uint32_t i = 0; i < d.chunk_count; ++i) {
    const std::string key = ChunkKey(row_.id, d.first_chunk + i);
    absl::Status s = store_->Get(Family::kForward, key, nullptr, &value);
    if (s.ok()) s = DecodeForward(key, value, &removed.forward.emplace_back());
    if (!s.ok()) {
      return absl::Status(s.code(), absl::StrCat("terms of chunk ", d.first_chunk + i,
                                                 " of document ", d.id, ": ", s.message()));
    }
    staged->batch.Delete(Family::kChunks, key);
    staged->batch.Delete(Family::kForward, key);
    staged->batch.Delete(Family::kVectors, key);
  }
  staged->batch.Delete(Family::kDocuments, DocumentKey(row_.id, d.id));
  staged->removed.push_back(std::move(removed));
  return absl::OkStatus();
}

absl::Status Collection::CommitStaged(Staged staged) {
  if (retired_) {
    return absl::FailedPreconditionError(absl::StrCat("collection ", name_, " was deleted"));
  }
  for (std::string_view term : staged.new_terms) {
    const std::string key = TermKey(row_.id, term);
    staged.batch.Put(Family::kTerms, key, EncodeTerm(key, staged.new_term_ids.find(term)->second));
  }
  {
    // Queries from here on see the rows from before the commit, as the tail does.
    absl::MutexLock lock(&mutex_);
    before_commit_ = store_->TakeSnapshot();
  }
  const absl::Status committed = store_->Commit(std::move(staged.batch));
  absl::MutexLock lock(&mutex_);
  before_commit_.reset();
  if (!committed.ok()) return committed;
  for (const Staged::Removed& r : staged.removed) tail_->RemoveDocument(r.document, r.forward);
  for (std::string_view term : staged.new_terms) {
    tail_->AddTerm(term, static_cast<TermId>(tail_->term_count()));
  }
  for (const Staged::Added& a : staged.added) {
    tail_->AddDocument(a.prepared->document.id, a.row);
    for (size_t i = 0; i < a.forward.size(); ++i) {
      const absl::Status s = tail_->AddChunk(a.forward[i], a.prepared->chunks[i].vector);
      if (!s.ok()) return s;
    }
  }
  return absl::OkStatus();
}

absl::Status Collection::Delete(absl::Span<const std::string> ids, std::vector<bool>* deleted) {
  deleted->assign(ids.size(), false);
  absl::MutexLock lock(&write_mutex_);
  for (size_t begin = 0; begin < ids.size(); begin += kDeleteGroup) {
    const size_t end = std::min(begin + kDeleteGroup, ids.size());
    Staged staged;
    std::vector<size_t> found;
    {
      absl::ReaderMutexLock read(&mutex_);
      absl::flat_hash_set<DocumentIndex> seen;
      for (size_t i = begin; i < end; ++i) {
        const Tail::Document* d = tail_->FindDocument(ids[i]);
        if (d == nullptr || !seen.insert(tail_->IndexOf(*d)).second) continue;
        if (absl::Status s = StageRemoval(tail_->IndexOf(*d), &staged); !s.ok()) return s;
        found.push_back(i);
      }
    }
    if (found.empty()) continue;
    if (absl::Status s = CommitStaged(std::move(staged)); !s.ok()) return s;
    for (size_t i : found) (*deleted)[i] = true;
  }
  ReclaimIfMostlyDead();
  return absl::OkStatus();
}

void Collection::ReclaimIfMostlyDead() {
  {
    absl::ReaderMutexLock lock(&mutex_);
    const size_t dead = tail_->slots() - tail_->lexical().live_slots();
    if (dead < kReclaimSlots || dead < tail_->lexical().live_slots()) return;
  }
  auto fresh = std::make_unique<Tail>(row_.settings.dim, encoding_);
  if (!fresh->Load(*store_, row_.id).ok()) return;
  absl::MutexLock lock(&mutex_);
  tail_ = std::move(fresh);
}

}  // namespace cairn::index
