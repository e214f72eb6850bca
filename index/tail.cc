#include "index/tail.h"

#include <algorithm>
#include <future>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"

namespace cairn::index {
namespace {

constexpr size_t kTermBlockBytes = 64 << 10;

absl::Status Damaged(const std::string& what) {
  return absl::DataLossError(absl::StrCat(what, " (cairn verify lists all damage)"));
}

absl::Status Named(const absl::Status& s, const std::string& what) {
  return absl::Status(s.code(), absl::StrCat(what, ": ", s.message()));
}

}  // namespace

Tail::Tail(size_t dim, VectorEncoding encoding) : vectors_(dim, encoding) {}

const TermId* Tail::FindTerm(std::string_view term) const {
  const auto it = terms_.find(term);
  return it == terms_.end() ? nullptr : &it->second;
}

void Tail::AddTerm(std::string_view term, TermId id) {
  if (term_bytes_.empty() ||
      term_bytes_.back().capacity() - term_bytes_.back().size() < term.size()) {
    term_bytes_.emplace_back().reserve(std::max(kTermBlockBytes, term.size()));
  }
  std::string& block = term_bytes_.back();
  const size_t at = block.size();
  block.append(term);  // Within capacity: earlier keys stay where they are.
  terms_.emplace(std::string_view(block).substr(at), id);
}

std::shared_ptr<const chunking::Metadata> Tail::Intern(const chunking::Metadata& metadata) {
  std::string encoded = EncodeMetadata(metadata);
  std::weak_ptr<const chunking::Metadata>& known = metadata_[std::move(encoded)];
  std::shared_ptr<const chunking::Metadata> shared = known.lock();
  if (shared == nullptr) {
    shared = std::make_shared<const chunking::Metadata>(metadata);
    known = shared;
  }
  return shared;
}

DocumentIndex Tail::AddDocument(std::string_view id, const DocumentRow& row) {
  const auto index = static_cast<DocumentIndex>(documents_.size());
  Document& d = documents_.emplace_back();
  d.id = id;
  d.content_hash = row.content_hash;
  d.metadata = Intern(row.metadata);
  d.first_chunk = row.first_chunk;
  d.first_slot = static_cast<Slot>(slot_documents_.size());
  d.chunk_count = row.chunk_count;
  by_id_[std::string_view(d.id)] = index;
  slot_documents_.insert(slot_documents_.end(), row.chunk_count, index);
  live_.Resize(slot_documents_.size(), true);
  document_bytes_ += sizeof(Document) + id.size() + 64;
  return index;
}

absl::Status Tail::AddChunk(const ForwardRow& forward, absl::Span<const float> vector) {
  lexical_.Append(forward.length, forward.terms);
  if (vector.empty()) {
    vectors_.AppendMissing();
    return absl::OkStatus();
  }
  return vectors_.Append(vector).status();
}

void Tail::RemoveDocument(DocumentIndex document, absl::Span<const ForwardRow> forward) {
  Document& d = documents_[document];
  d.live = false;
  by_id_.erase(std::string_view(d.id));
  d.metadata.reset();
  for (uint32_t i = 0; i < d.chunk_count; ++i) {
    live_.Clear(d.first_slot + i);
    lexical_.Remove(forward[i].length, forward[i].terms);
  }
}

const Tail::Document* Tail::FindDocument(std::string_view id) const {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : &documents_[it->second];
}

DocumentIndex Tail::IndexOf(const Document& document) const {
  return by_id_.find(std::string_view(document.id))->second;
}

SlotSet Tail::Matching(const Filter& filter) const {
  SlotSet set(slots());
  // Documents that share one metadata object are common, and often neighbours.
  const chunking::Metadata* last = nullptr;
  bool last_matches = false;
  for (const Document& d : documents_) {
    if (!d.live) continue;
    if (d.metadata.get() != last) {
      last = d.metadata.get();
      last_matches = filter.Matches(*last);
    }
    for (uint32_t i = 0; last_matches && i < d.chunk_count; ++i) set.Set(d.first_slot + i);
  }
  return set;
}

size_t Tail::MemoryBytes() const {
  size_t bytes = lexical_.MemoryBytes() + vectors_.MemoryBytes() + document_bytes_;
  for (const std::string& block : term_bytes_) bytes += block.capacity();
  bytes += terms_.capacity() * (sizeof(std::string_view) + sizeof(TermId) + 5);
  return bytes + slot_documents_.capacity() * sizeof(DocumentIndex) + live_.words().size() * 8;
}

absl::Status Tail::Load(const RowStore& store, CollectionId collection) {
  if (absl::Status s = LoadDocuments(store, collection); !s.ok()) return s;
  // Vectors are independent of the postings and half of the work. (std::async falls back to this
  // thread where no other can be had.)
  std::future<absl::Status> vectors = std::async([&] { return LoadVectors(store, collection); });
  absl::Status s = LoadTerms(store, collection);
  if (s.ok()) s = LoadForward(store, collection);
  const absl::Status vectors_status = vectors.get();
  return s.ok() ? vectors_status : s;
}

absl::Status Tail::LoadTerms(const RowStore& store, CollectionId collection) {
  absl::Status s =
      store.Scan(Family::kTerms, CollectionPrefix(collection), CollectionEnd(collection), nullptr,
                 [&](std::string_view key, std::string_view value) -> absl::Status {
                   absl::StatusOr<TermId> id = DecodeTerm(key, value);
                   if (!id.ok()) return Named(id.status(), "a term row");
                   AddTerm(key.substr(CollectionPrefix(collection).size()), *id);
                   return absl::OkStatus();
                 });
  if (!s.ok()) return s;
  // Dense ids are what makes the postings an array: check before anything is sized by them.
  for (const auto& [term, id] : terms_) {
    if (id >= terms_.size()) return Damaged("the term ids are not dense");
  }
  return absl::OkStatus();
}

absl::Status Tail::LoadDocuments(const RowStore& store, CollectionId collection) {
  struct Loaded {
    std::string id;
    DocumentRow row;
  };
  std::vector<Loaded> loaded;
  absl::Status s =
      store.Scan(Family::kDocuments, CollectionPrefix(collection), CollectionEnd(collection),
                 nullptr, [&](std::string_view key, std::string_view value) -> absl::Status {
                   const std::string id(key.substr(CollectionPrefix(collection).size()));
                   absl::StatusOr<DocumentRow> row = DecodeDocument(key, value);
                   if (!row.ok()) return Named(row.status(), absl::StrCat("document ", id));
                   // Only what AddDocument reads: titles and paths may be long.
                   row->title.clear();
                   row->source_uri.clear();
                   loaded.push_back({id, *std::move(row)});
                   return absl::OkStatus();
                 });
  if (!s.ok()) return s;
  std::sort(loaded.begin(), loaded.end(),
            [](const Loaded& a, const Loaded& b) { return a.row.first_chunk < b.row.first_chunk; });
  ChunkId next = 0;
  uint64_t slots = 0;
  for (const Loaded& l : loaded) {
    slots += l.row.chunk_count;
    if (l.row.first_chunk < next || slots > std::numeric_limits<Slot>::max()) {
      return Damaged(absl::StrCat("document ", l.id, " claims another document's chunks"));
    }
    next = l.row.first_chunk + l.row.chunk_count;
    AddDocument(l.id, l.row);
  }
  return absl::OkStatus();
}

absl::Status Tail::LoadForward(const RowStore& store, CollectionId collection) {
  Slot next = 0;
  ForwardRow row;
  absl::Status s = store.Scan(
      Family::kForward, CollectionPrefix(collection), CollectionEnd(collection), nullptr,
      [&](std::string_view key, std::string_view value) -> absl::Status {
        absl::StatusOr<ChunkId> chunk = ChunkIdOfKey(key);
        if (!chunk.ok()) return chunk.status();
        absl::Status decoded = DecodeForward(key, value, &row);
        if (!decoded.ok()) return Named(decoded, absl::StrCat("terms of chunk ", *chunk));
        if (next >= slots() || SlotChunk(next) != *chunk) {
          return Damaged(absl::StrCat("terms of chunk ", *chunk, " belong to no document, or those",
                                      " before it are missing"));
        }
        if (!row.terms.empty() && row.terms.back().term >= terms_.size()) {
          return Damaged(
              absl::StrCat("chunk ", *chunk, " has a term that is not in the dictionary"));
        }
        lexical_.Append(row.length, row.terms);
        ++next;
        return absl::OkStatus();
      });
  if (s.ok() && next != slots())
    s = Damaged(absl::StrCat("terms of chunk ", SlotChunk(next), " are missing"));
  return s;
}

absl::Status Tail::LoadVectors(const RowStore& store, CollectionId collection) {
  std::vector<float> vector(vectors_.dim());
  absl::Status s = store.Scan(
      Family::kVectors, CollectionPrefix(collection), CollectionEnd(collection), nullptr,
      [&](std::string_view key, std::string_view value) -> absl::Status {
        absl::StatusOr<ChunkId> chunk = ChunkIdOfKey(key);
        if (!chunk.ok()) return chunk.status();
        absl::Status decoded = DecodeVector(key, value, absl::MakeSpan(vector));
        if (!decoded.ok()) return Named(decoded, absl::StrCat("vector of chunk ", *chunk));
        // Chunks without a vector have no row: their slots stay empty.
        while (vectors_.slots() < slots() && SlotChunk(vectors_.slots()) < *chunk) {
          vectors_.AppendMissing();
        }
        if (vectors_.slots() >= slots() || SlotChunk(vectors_.slots()) != *chunk) {
          return Damaged(absl::StrCat("the vector of chunk ", *chunk, " belongs to no document"));
        }
        absl::Status added = vectors_.Append(vector).status();
        return added.ok() ? added : Named(added, absl::StrCat("vector of chunk ", *chunk));
      });
  if (!s.ok()) return s;
  while (vectors_.slots() < slots()) vectors_.AppendMissing();
  return absl::OkStatus();
}

}  // namespace cairn::index
