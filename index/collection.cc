#include "index/collection.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "index/row_codec.h"

namespace cairn::index {

std::string ContentHash(const chunking::Document& document) {
  RowWriter writer;
  writer.String(document.id);
  writer.String(document.title);
  writer.String(document.source_uri);
  writer.String(document.media_type);
  writer.String(EncodeMetadata(document.metadata));
  writer.Varint(document.blocks.size());
  for (const chunking::Block& b : document.blocks) {
    writer.Byte(static_cast<uint8_t>(b.kind));
    writer.Varint(static_cast<uint64_t>(b.level));
    writer.Varint(b.span.begin);
    writer.Varint(b.span.end);
  }
  writer.Raw(Hash128(document.text));
  return Hash128(std::move(writer).Finish(""));
}

Collection::Collection(const CollectionContext& context, std::string name, const CollectionRow& row)
    : context_(context), name_(std::move(name)), row_(row) {}

Collection::~Collection() = default;

absl::StatusOr<std::shared_ptr<Collection>> Collection::Load(const CollectionContext& context,
                                                             std::string name,
                                                             const CollectionRow& row) {
  std::shared_ptr<Collection> c(new Collection(context, std::move(name), row));
  absl::StatusOr<std::unique_ptr<TermDictionary>> terms =
      TermDictionary::Load(context.store, row.id);
  absl::Status s = terms.status();
  if (s.ok()) {
    c->terms_ = *std::move(terms);
    absl::MutexLock write_lock(&c->write_mutex_);
    absl::MutexLock lock(&c->mutex_);
    s = c->LoadParts();
  }
  if (!s.ok()) {
    return absl::Status(s.code(), absl::StrCat("collection ", c->name_, ": ", s.message()));
  }
  c->NotifyMaintenance();
  return c;
}

std::shared_ptr<Tail> Collection::NewTail(ChunkId begin) const {
  return std::make_shared<Tail>(begin, row_.settings.dim, row_.settings.vector_encoding);
}

absl::Status Collection::LoadParts() {
  ManifestRow manifest;
  bool complete = true;  // Every segment that the manifest names is in use.
  const std::string key = ManifestKey(row_.id);
  std::string value;
  absl::Status s = context_.store->Get(Family::kDefault, key, nullptr, &value);
  if (s.ok()) {
    absl::StatusOr<ManifestRow> decoded = DecodeManifest(key, value);
    // A damaged manifest costs the segments, which are derived, and nothing else.
    complete = decoded.ok();
    if (decoded.ok()) manifest = *std::move(decoded);
  } else if (!absl::IsNotFound(s)) {
    return s;
  }
  const bool writable = context_.maintenance != nullptr;
  ManifestRow opened;
  ChunkId covered = 0;
  for (const SegmentRow& row : manifest.segments) {
    absl::StatusOr<std::shared_ptr<Segment>> segment =
        Segment::Open(context_.files->Path(row_.id, row.file), row_.id, row_.settings.dim, row);
    if (!segment.ok()) {
      complete = false;
      if (writable && absl::IsDataLoss(segment.status())) {
        context_.files->SetAside(row_.id, row.file);
      }
      continue;
    }
    if (s = LoadTails(covered, row.begin); !s.ok()) return s;
    parts_.push_back({*segment, *segment});
    opened.segments.push_back(row);
    covered = row.end;
  }
  if (s = LoadTails(covered, std::numeric_limits<ChunkId>::max()); !s.ok()) return s;
  BeginActive(covered);
  std::vector<std::string> stale;
  if (s = LoadTombstones(&stale); !s.ok()) return s;
  epoch_ = manifest.epoch;
  next_file_ = manifest.next_file;
  if (!writable || (complete && stale.empty())) return absl::OkStatus();
  RowBatch batch;
  for (const std::string& tombstone : stale) batch.Delete(Family::kTombstones, tombstone);
  if (!complete) {
    // What is not in use now must never be again: no tombstones are kept for it from here on.
    opened.epoch = ++epoch_;
    opened.next_file = next_file_;
    batch.Put(Family::kDefault, key, Encode(key, opened));
  }
  s = context_.store->Commit(std::move(batch));
  // Tombstones left over from a build that did not come to its end do no harm.
  return complete ? absl::OkStatus() : s;
}

// The last part, where it is a tail beyond all segments that has room, or else a new one.
void Collection::BeginActive(ChunkId covered) {
  const bool grows = !parts_.empty() && parts_.back().segment == nullptr &&
                     parts_.back().part->begin() >= covered &&
                     parts_.back().part->slots() < context_.options->seal_chunks;
  if (grows) {
    active().Close(std::numeric_limits<ChunkId>::max());
    return;
  }
  if (!parts_.empty() && parts_.back().segment == nullptr) {
    Tail& last = active();
    last.Close(last.SlotChunk(static_cast<Slot>(last.slots() - 1)) + 1);
    covered = std::max(covered, last.end());
  }
  std::shared_ptr<Tail> tail = NewTail(covered);
  parts_.push_back({tail, nullptr});
}

absl::Status Collection::LoadTails(ChunkId begin, ChunkId end) {
  while (begin < end) {
    std::shared_ptr<Tail> tail = NewTail(begin);
    absl::Status s =
        tail->Load(*context_.store, row_.id, end, context_.options->rebuild_chunks, terms_->size());
    if (!s.ok()) return s;
    begin = tail->end();
    if (tail->slots() > 0) parts_.push_back({tail, nullptr});
  }
  return absl::OkStatus();
}

absl::Status Collection::LoadTombstones(std::vector<std::string>* stale) {
  ForwardRow forward;
  return context_.store->Scan(
      Family::kTombstones, CollectionPrefix(row_.id), CollectionEnd(row_.id), nullptr,
      [&](std::string_view key, std::string_view value) -> absl::Status {
        mutex_.AssertHeld();
        absl::StatusOr<ChunkId> chunk = ChunkIdOfKey(key);
        if (!chunk.ok()) return chunk.status();
        absl::Status decoded = DecodeForward(key, value, &forward);
        if (!decoded.ok()) {
          return absl::Status(decoded.code(),
                              absl::StrCat("tombstone of chunk ", *chunk, ": ", decoded.message()));
        }
        Part* const part = FindPart(*chunk);
        if (part == nullptr || !part->RemoveChunk(*chunk, forward)) stale->emplace_back(key);
        return absl::OkStatus();
      });
}

Part* Collection::FindPart(ChunkId chunk) const {
  const auto after =
      std::upper_bound(parts_.begin(), parts_.end(), chunk,
                       [](ChunkId c, const Entry& entry) { return c < entry.part->begin(); });
  if (after == parts_.begin()) return nullptr;
  Part* const part = std::prev(after)->part.get();
  return chunk < part->end() ? part : nullptr;
}

absl::StatusOr<std::optional<ChunkRange>> Collection::FindCurrent(
    std::string_view document_id, std::string_view content_hash) const {
  absl::StatusOr<DocumentRow> row = RowsAt(nullptr).GetDocument(document_id);
  if (absl::IsNotFound(row.status())) return std::nullopt;
  if (!row.ok()) return row.status();
  if (row->content_hash != content_hash) return std::nullopt;
  return RangeOf(row->first_chunk, row->chunk_count);
}

CollectionStats Collection::Stats() const {
  absl::ReaderMutexLock lock(&mutex_);
  CollectionStats stats;
  stats.terms = terms_->size();
  stats.memory_bytes = terms_->MemoryBytes();
  stats.epoch = epoch_;
  for (const Entry& entry : parts_) {
    const Part& part = *entry.part;
    stats.documents += part.live_documents();
    stats.chunks += part.live_slots();
    stats.total_length += part.live_length();
    stats.memory_bytes += part.MemoryBytes();
    stats.mapped_bytes += part.MappedBytes();
    stats.segments += entry.segment != nullptr;
    (entry.segment != nullptr ? stats.dead_chunks : stats.tail_chunks) +=
        entry.segment != nullptr ? part.slots() - part.live_slots() : part.live_slots();
  }
  return stats;
}

Collection::View::View(const Collection& collection) : collection_(collection) {
  collection_.mutex_.ReaderLock();
  // Without a commit on its way the newest rows are what the index has: commits come after taking
  // the lock that is held here.
  snapshot_ = collection_.before_commit_ != nullptr ? collection_.before_commit_
                                                    : collection_.context_.store->TakeSnapshot();
}

Collection::View::~View() { collection_.mutex_.ReaderUnlock(); }

std::string Collection::View::DocumentId(ChunkId document) const {
  collection_.mutex_.AssertReaderHeld();
  const Part* const part = collection_.FindPart(document);
  const std::optional<size_t> i = part == nullptr ? std::nullopt : part->FindDocument(document);
  return i.has_value() ? std::string(part->document(*i).id) : std::string();
}

}  // namespace cairn::index
