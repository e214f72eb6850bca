#include "index/collection.h"

#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "index/row_codec.h"
#include "kernels/distance.h"

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

Collection::Collection(RowStore* store, ChunkIds* ids, std::string name, const CollectionRow& row,
                       VectorEncoding encoding)
    : store_(store), ids_(ids), name_(std::move(name)), row_(row), encoding_(encoding) {}

Collection::~Collection() = default;

absl::StatusOr<std::unique_ptr<Collection>> Collection::Load(RowStore* store, ChunkIds* ids,
                                                             std::string name,
                                                             const CollectionRow& row,
                                                             VectorEncoding encoding) {
  std::unique_ptr<Collection> c(new Collection(store, ids, std::move(name), row, encoding));
  auto tail = std::make_unique<Tail>(row.settings.dim, encoding);
  if (absl::Status s = tail->Load(*store, row.id); !s.ok()) {
    return absl::Status(s.code(), absl::StrCat("collection ", c->name_, ": ", s.message()));
  }
  absl::MutexLock lock(&c->mutex_);
  c->tail_ = std::move(tail);
  return c;
}

bool Collection::IsCurrent(std::string_view document_id, std::string_view content_hash) const {
  absl::ReaderMutexLock lock(&mutex_);
  const Tail::Document* d = tail_->FindDocument(document_id);
  return d != nullptr && d->content_hash == content_hash;
}

CollectionStats Collection::Stats() const {
  absl::ReaderMutexLock lock(&mutex_);
  CollectionStats stats;
  stats.documents = tail_->live_documents();
  stats.chunks = tail_->lexical().live_slots();
  stats.terms = tail_->term_count();
  stats.total_length = tail_->lexical().total_length();
  stats.memory_bytes = tail_->MemoryBytes();
  return stats;
}

Collection::View::View(const Collection& collection) : collection_(collection) {
  collection_.mutex_.ReaderLock();
  // Without a commit on its way the newest rows are what the tail has: commits come after taking
  // the lock that is held here.
  snapshot_ = collection_.before_commit_ != nullptr ? collection_.before_commit_
                                                    : collection_.store_->TakeSnapshot();
}

Collection::View::~View() { collection_.mutex_.ReaderUnlock(); }

const std::string& Collection::View::DocumentId(DocumentIndex document) const {
  collection_.mutex_.AssertReaderHeld();
  return collection_.tail_->document(document).id;
}

absl::StatusOr<Candidates> Collection::View::Search(const CandidateQuery& query) const {
  collection_.mutex_.AssertReaderHeld();
  const Tail& tail = *collection_.tail_;
  SlotSet matching;
  if (query.filter != nullptr) matching = tail.Matching(*query.filter);
  const SlotSet& allowed = query.filter != nullptr ? matching : tail.live();

  Candidates candidates;
  std::vector<ScoredSlot> lexical_slots;
  const auto resolve = [&](const std::vector<ScoredSlot>& slots) {
    std::vector<ScoredChunk> chunks;
    chunks.reserve(slots.size());
    for (const ScoredSlot& s : slots) {
      chunks.push_back({tail.SlotChunk(s.slot), tail.SlotDocument(s.slot), s.score});
    }
    return chunks;
  };
  if (query.terms != nullptr && query.lexical_k > 0) {
    const LexicalTail& lexical = tail.lexical();
    LexicalQuery q;
    q.bm25 = query.bm25;
    const uint64_t live = lexical.live_slots();
    q.average_length = live == 0 ? 1 : static_cast<float>(lexical.total_length()) / live;
    for (const TermBag::Entry& e : query.terms->entries) {
      const TermId* term = tail.FindTerm(query.terms->term(e));
      if (term == nullptr) continue;
      const uint64_t frequency = lexical.DocumentFrequency(*term);
      if (frequency == 0) continue;
      q.terms.push_back({*term, Bm25Idf(frequency, live) * static_cast<float>(e.count)});
    }
    lexical_slots = lexical.Search(q, query.lexical_k, allowed);
    candidates.lexical = resolve(lexical_slots);
  }
  if (!query.vector.empty() && query.vector_k > 0) {
    const auto exact = [&](absl::Span<const Slot> slots, absl::Span<float> out) {
      return ReadVectors(slots, out);
    };
    absl::StatusOr<std::vector<ScoredSlot>> found =
        tail.vectors().Search(query.vector, query.vector_k, allowed, exact);
    if (!found.ok()) return found.status();
    candidates.vector = resolve(*found);
    if (query.cosines_of_lexical) {
      absl::Status s =
          FillCosines(query.vector, lexical_slots, *found, &candidates.lexical_cosines);
      if (!s.ok()) return s;
    }
  }
  return candidates;
}

absl::Status Collection::View::FillCosines(absl::Span<const float> query,
                                           absl::Span<const ScoredSlot> lexical,
                                           absl::Span<const ScoredSlot> vector,
                                           std::vector<float>* cosines) const {
  absl::flat_hash_map<Slot, float> known;
  known.reserve(vector.size());
  for (const ScoredSlot& s : vector) known.emplace(s.slot, s.score);
  cosines->assign(lexical.size(), 0);
  std::vector<Slot> slots;
  std::vector<size_t> positions;
  for (size_t i = 0; i < lexical.size(); ++i) {
    if (const auto it = known.find(lexical[i].slot); it != known.end()) {
      (*cosines)[i] = it->second;
    } else {
      slots.push_back(lexical[i].slot);
      positions.push_back(i);
    }
  }
  std::vector<float> rows(slots.size() * query.size());
  if (absl::Status s = ReadVectors(slots, absl::MakeSpan(rows)); !s.ok()) return s;
  const kernels::DistanceKernels& distance = kernels::GetDistanceKernels();
  for (size_t i = 0; i < slots.size(); ++i) {
    (*cosines)[positions[i]] =
        distance.dot_f32(query.data(), rows.data() + i * query.size(), query.size());
  }
  return absl::OkStatus();
}

absl::Status Collection::View::ReadVectors(absl::Span<const Slot> slots,
                                           absl::Span<float> out) const {
  collection_.mutex_.AssertReaderHeld();
  std::vector<ChunkId> chunks;
  chunks.reserve(slots.size());
  for (Slot s : slots) chunks.push_back(collection_.tail_->SlotChunk(s));
  return collection_.RowsAt(snapshot_.get()).GetVectors(chunks, out);
}

}  // namespace cairn::index
