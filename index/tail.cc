#include "index/tail.h"

#include <algorithm>
#include <future>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"

namespace cairn::index {
namespace {

constexpr ChunkId kNoEnd = std::numeric_limits<ChunkId>::max();
// Document rows read at once.
constexpr size_t kReadBatch = 1024;
// Documents that a filter looks at between two looks at the cancellation.
constexpr size_t kDocumentsBetweenLooks = 1024;

absl::Status DamagedRows(const std::string& what) {
  return absl::DataLossError(absl::StrCat(what, " (cairn verify lists all damage)"));
}

absl::Status Named(const absl::Status& s, const std::string& what) {
  return absl::Status(s.code(), absl::StrCat(what, ": ", s.message()));
}

}  // namespace

struct Tail::LoadedDocument {
  std::string id;
  ChunkId first_chunk = 0;
  uint32_t chunks = 0;
};

Tail::Tail(ChunkId begin, size_t dim, VectorEncoding encoding)
    : Part(begin), end_(kNoEnd), vectors_(dim, encoding) {}

const Tail::StoredMetadata* Tail::Intern(const chunking::Metadata& metadata) {
  std::string encoded = EncodeMetadata(metadata);
  const auto it = metadata_.find(std::string_view(encoded));
  if (it != metadata_.end()) return it->second.get();
  auto stored = std::make_unique<StoredMetadata>();
  document_bytes_ += encoded.size() * 3 + 64;
  stored->encoded = std::move(encoded);
  stored->decoded = metadata;
  const StoredMetadata* const result = stored.get();
  metadata_.emplace(std::string_view(result->encoded), std::move(stored));
  return result;
}

void Tail::AddDocument(std::string_view id, const DocumentRow& row) {
  const auto index = static_cast<uint32_t>(documents_.size());
  StoredDocument& d = documents_.emplace_back();
  d.id = id;
  d.metadata = Intern(row.metadata);
  d.first_chunk = row.first_chunk;
  d.first_slot = static_cast<Slot>(slot_documents_.size());
  d.chunks = row.chunk_count;
  slot_documents_.insert(slot_documents_.end(), row.chunk_count, index);
  AddLive(row.chunk_count, 0);
  document_bytes_ += sizeof(StoredDocument) + id.size();
}

absl::Status Tail::AddChunk(const ForwardRow& forward, absl::Span<const float> vector) {
  lexical_.Append(forward.length, forward.terms);
  AddLiveLength(forward.length);
  if (vector.empty()) {
    vectors_.AppendMissing();
    return absl::OkStatus();
  }
  return vectors_.Append(vector).status();
}

absl::StatusOr<SlotSet> Tail::Matching(const Filter& filter,
                                       const Cancellation* cancellation) const {
  SlotSet set(slots());
  // Documents that share one metadata object are common, and often neighbours.
  const StoredMetadata* last = nullptr;
  bool last_matches = false;
  for (size_t n = 0; n < documents_.size(); ++n) {
    if (n % kDocumentsBetweenLooks == 0) {
      if (absl::Status s = CheckCancellation(cancellation); !s.ok()) return s;
    }
    const StoredDocument& d = documents_[n];
    if (d.metadata != last) {
      last = d.metadata;
      last_matches = filter.Matches(last->decoded);
    }
    for (uint32_t i = 0; last_matches && i < d.chunks; ++i) set.Set(d.first_slot + i);
  }
  set.IntersectWith(live());
  return set;
}

absl::StatusOr<std::vector<ScoredSlot>> Tail::SearchVectors(
    absl::Span<const float> query, size_t k, const SlotSet& allowed, float floor, bool,
    ExactVectorSource rows, const Cancellation* cancellation) const {
  return vectors_.Search(query, k, allowed, rows, floor, cancellation);
}

size_t Tail::MemoryBytes() const {
  return Part::MemoryBytes() + lexical_.MemoryBytes() + vectors_.MemoryBytes() + document_bytes_ +
         slot_documents_.capacity() * sizeof(uint32_t);
}

absl::Status Tail::Load(const RowStore& store, CollectionId collection, ChunkId end,
                        size_t max_slots, size_t terms, const WorkControl& control) {
  end_ = end;
  absl::StatusOr<std::vector<LoadedDocument>> loaded =
      ReadDocuments(store, collection, max_slots, control);
  if (!loaded.ok()) return loaded.status();
  for (size_t begin = 0; begin < loaded->size(); begin += kReadBatch) {
    const size_t count = std::min(kReadBatch, loaded->size() - begin);
    if (absl::Status s = control.Check(); !s.ok()) return s;
    std::vector<std::string> keys, values;
    for (size_t i = begin; i < begin + count; ++i) {
      keys.push_back(DocumentKey(collection, (*loaded)[i].id));
    }
    if (absl::Status s = store.MultiGet(Family::kDocuments, keys, nullptr, &values); !s.ok()) {
      return s;
    }
    for (size_t i = 0; i < count; ++i) {
      const LoadedDocument& l = (*loaded)[begin + i];
      if (values[i].empty()) {
        return DamagedRows(absl::StrCat("document ", l.id, " has chunks but no row"));
      }
      absl::StatusOr<DocumentRow> row = DecodeDocument(keys[i], values[i]);
      if (!row.ok()) return Named(row.status(), absl::StrCat("document ", l.id));
      if (row->first_chunk != l.first_chunk || row->chunk_count != l.chunks) {
        return DamagedRows(absl::StrCat("document ", l.id, " does not have the chunks it names"));
      }
      AddDocument(l.id, *row);
    }
  }
  // Vectors are independent of the postings and half of the work. (std::async falls back to this
  // thread where no other can be had.)
  std::future<absl::Status> vectors =
      std::async([&] { return LoadVectors(store, collection, control); });
  absl::Status s = LoadForward(store, collection, terms, control);
  const absl::Status vectors_status = vectors.get();
  return s.ok() ? vectors_status : s;
}

// The documents of the chunks in the range, in order; lowers end_ when there are more.
absl::StatusOr<std::vector<Tail::LoadedDocument>> Tail::ReadDocuments(const RowStore& store,
                                                                      CollectionId collection,
                                                                      size_t max_slots,
                                                                      const WorkControl& control) {
  std::vector<LoadedDocument> loaded;
  size_t slots = 0;
  const absl::Status full = absl::CancelledError();
  absl::Status s = store.Scan(
      Family::kChunks, ChunkKey(collection, begin()), ChunkKey(collection, end_), nullptr,
      [&](std::string_view key, std::string_view value) -> absl::Status {
        if (control.stopped()) return control.Check();
        absl::StatusOr<ChunkId> chunk = ChunkIdOfKey(key);
        if (!chunk.ok()) return chunk.status();
        absl::StatusOr<ChunkRow> row = DecodeChunk(key, value);
        if (!row.ok()) return Named(row.status(), absl::StrCat("chunk ", *chunk));
        if (row->ordinal == 0) {
          if (slots >= max_slots) {
            end_ = *chunk;
            return full;
          }
          loaded.push_back({std::move(row->document_id), *chunk, 0});
        }
        if (loaded.empty() || *chunk - loaded.back().first_chunk != row->ordinal ||
            loaded.back().chunks != row->ordinal) {
          return DamagedRows(absl::StrCat("chunk ", *chunk, " does not follow its predecessor"));
        }
        ++loaded.back().chunks;
        if (++slots > std::numeric_limits<Slot>::max() - 1) return DamagedRows("too many chunks");
        return absl::OkStatus();
      });
  if (!s.ok() && s != full) return s;
  return loaded;
}

absl::Status Tail::LoadForward(const RowStore& store, CollectionId collection, size_t terms,
                               const WorkControl& control) {
  Slot next = 0;
  uint64_t length = 0;
  ForwardRow row;
  absl::Status s =
      store.Scan(Family::kForward, ChunkKey(collection, begin()), ChunkKey(collection, end_),
                 nullptr, [&](std::string_view key, std::string_view value) -> absl::Status {
                   if (control.stopped()) return control.Check();
                   absl::StatusOr<ChunkId> chunk = ChunkIdOfKey(key);
                   if (!chunk.ok()) return chunk.status();
                   absl::Status decoded = DecodeForward(key, value, &row);
                   if (!decoded.ok())
                     return Named(decoded, absl::StrCat("terms of chunk ", *chunk));
                   if (next >= slots() || SlotChunk(next) != *chunk) {
                     return DamagedRows(absl::StrCat("terms of chunk ", *chunk,
                                                     " belong to no document, or those",
                                                     " before it are missing"));
                   }
                   if (!row.terms.empty() && row.terms.back().term >= terms) {
                     return DamagedRows(absl::StrCat("chunk ", *chunk,
                                                     " has a term that is not in the dictionary"));
                   }
                   lexical_.Append(row.length, row.terms);
                   length += row.length;
                   ++next;
                   return absl::OkStatus();
                 });
  if (s.ok() && next != slots()) {
    s = DamagedRows(absl::StrCat("terms of chunk ", SlotChunk(next), " are missing"));
  }
  AddLiveLength(length);
  return s;
}

absl::Status Tail::LoadVectors(const RowStore& store, CollectionId collection,
                               const WorkControl& control) {
  std::vector<float> vector(vectors_.dim());
  absl::Status s = store.Scan(
      Family::kVectors, ChunkKey(collection, begin()), ChunkKey(collection, end_), nullptr,
      [&](std::string_view key, std::string_view value) -> absl::Status {
        if (control.stopped()) return control.Check();
        absl::StatusOr<ChunkId> chunk = ChunkIdOfKey(key);
        if (!chunk.ok()) return chunk.status();
        absl::Status decoded = DecodeVector(key, value, absl::MakeSpan(vector));
        if (!decoded.ok()) return Named(decoded, absl::StrCat("vector of chunk ", *chunk));
        // Chunks without a vector have no row: their slots stay empty.
        while (vectors_.slots() < slots() && SlotChunk(vectors_.slots()) < *chunk) {
          vectors_.AppendMissing();
        }
        if (vectors_.slots() >= slots() || SlotChunk(vectors_.slots()) != *chunk) {
          return DamagedRows(
              absl::StrCat("the vector of chunk ", *chunk, " belongs to no document"));
        }
        absl::Status added = vectors_.Append(vector).status();
        return added.ok() ? added : Named(added, absl::StrCat("vector of chunk ", *chunk));
      });
  if (!s.ok()) return s;
  while (vectors_.slots() < slots()) vectors_.AppendMissing();
  return absl::OkStatus();
}

}  // namespace cairn::index
