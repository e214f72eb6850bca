// The in-memory index over a collection's rows: dictionary, documents, slots, postings, vectors.
#ifndef CAIRN_INDEX_TAIL_H_
#define CAIRN_INDEX_TAIL_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "chunking/metadata.h"
#include "index/filter.h"
#include "index/lexical_tail.h"
#include "index/row_store.h"
#include "index/rows.h"
#include "index/slot_set.h"
#include "index/vector_tail.h"

namespace cairn::index {

// A position in the tail's document table.
using DocumentIndex = uint32_t;

// Hash for maps whose keys are found by std::string_view.
struct StringViewHash {
  size_t operator()(std::string_view s) const { return std::hash<std::string_view>{}(s); }
};

// Thread-compatible: const methods may run concurrently, the others alone.
class Tail {
 public:
  struct Document {
    std::string id;
    std::string content_hash;
    std::shared_ptr<const chunking::Metadata> metadata;  // Equal metadata is kept once.
    ChunkId first_chunk = 0;
    Slot first_slot = 0;
    uint32_t chunk_count = 0;
    bool live = true;
  };

  Tail(size_t dim, VectorEncoding encoding);

  // Reads the rows of a collection into an empty tail.
  absl::Status Load(const RowStore& store, CollectionId collection);

  // Dictionary. Ids are dense: the next new term gets term_count().
  const TermId* FindTerm(std::string_view term) const;
  void AddTerm(std::string_view term, TermId id);
  size_t term_count() const { return terms_.size(); }

  // Adds a document; exactly chunk_count calls of AddChunk follow. Its id must not be live.
  DocumentIndex AddDocument(std::string_view id, const DocumentRow& row);
  // `vector` is empty for a chunk without one; else of the tail's dimension and unit length.
  absl::Status AddChunk(const ForwardRow& forward, absl::Span<const float> vector);
  // `forward` are the rows of its chunks, in order.
  void RemoveDocument(DocumentIndex document, absl::Span<const ForwardRow> forward);

  // The live document with this id, or null.
  const Document* FindDocument(std::string_view id) const;
  DocumentIndex IndexOf(const Document& document) const;
  const Document& document(DocumentIndex i) const { return documents_[i]; }

  size_t slots() const { return slot_documents_.size(); }
  size_t live_documents() const { return by_id_.size(); }
  DocumentIndex SlotDocument(Slot slot) const { return slot_documents_[slot]; }
  ChunkId SlotChunk(Slot slot) const {
    const Document& d = documents_[slot_documents_[slot]];
    return d.first_chunk + (slot - d.first_slot);
  }
  const SlotSet& live() const { return live_; }
  // Live slots of documents that the filter matches.
  SlotSet Matching(const Filter& filter) const;

  const LexicalTail& lexical() const { return lexical_; }
  const VectorTail& vectors() const { return vectors_; }
  size_t MemoryBytes() const;

 private:
  absl::Status LoadTerms(const RowStore& store, CollectionId collection);
  absl::Status LoadDocuments(const RowStore& store, CollectionId collection);
  absl::Status LoadForward(const RowStore& store, CollectionId collection);
  absl::Status LoadVectors(const RowStore& store, CollectionId collection);
  std::shared_ptr<const chunking::Metadata> Intern(const chunking::Metadata& metadata);

  std::deque<std::string> term_bytes_;  // Blocks that the dictionary's keys point into.
  absl::flat_hash_map<std::string_view, TermId, StringViewHash, std::equal_to<>> terms_;

  std::deque<Document> documents_;
  // Live documents; keys point into documents_, whose elements do not move.
  absl::flat_hash_map<std::string_view, DocumentIndex, StringViewHash, std::equal_to<>> by_id_;
  absl::flat_hash_map<std::string, std::weak_ptr<const chunking::Metadata>, StringViewHash,
                      std::equal_to<>>
      metadata_;
  size_t document_bytes_ = 0;

  std::vector<DocumentIndex> slot_documents_;
  SlotSet live_;
  LexicalTail lexical_;
  VectorTail vectors_;
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_TAIL_H_
