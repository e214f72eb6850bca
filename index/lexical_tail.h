// In-memory inverted index of the chunks that no segment covers yet.
#ifndef CAIRN_INDEX_LEXICAL_TAIL_H_
#define CAIRN_INDEX_LEXICAL_TAIL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "index/slot_set.h"

namespace cairn::index {

class PostingSource;

// Position of a term in its collection's dictionary; dense from 0, never reused.
using TermId = uint32_t;

struct TermCount {
  TermId term = 0;
  uint32_t count = 0;  // Occurrences in the chunk, at least 1.
  friend bool operator==(const TermCount&, const TermCount&) = default;
};

struct ScoredSlot {
  Slot slot = 0;
  float score = 0;
  friend bool operator==(const ScoredSlot&, const ScoredSlot&) = default;
};

struct Bm25Parameters {
  float k1 = 0.9f;
  float b = 0.4f;
};

// ln(1 + (N - df + 0.5) / (df + 0.5)), Lucene's BM25 idf over N live chunks.
float Bm25Idf(uint64_t document_frequency, uint64_t live_chunks);

// A query whose statistics are global, so that several index parts rank as one. For each term
// `weight` = idf * occurrences in the query. A chunk's score is the sum over its query terms, in
// the order given here, of weight * tf * (k1 + 1) / (tf + k1 * (1 - b + b * length /
// average_length)), accumulated in float: the same float whatever the pruning.
struct LexicalQuery {
  struct Term {
    TermId term = 0;
    float weight = 0;
  };
  std::vector<Term> terms;  // Distinct terms, weights >= 0.
  float average_length = 1;
  Bm25Parameters bm25;
};

// Work done by one search, for explain and tests of pruning.
struct LexicalSearchStats {
  uint64_t postings_scored = 0;
  uint64_t blocks_skipped = 0;
};

// Postings in blocks of 128, each with a few (term count, length) pairs that between them are at
// least as good as any of its postings, so that an upper bound of the block's BM25 scores follows
// for every average length, k1 and b.
//
// Thread-compatible: const methods may run concurrently, Append alone.
class LexicalTail {
 public:
  static constexpr size_t kBlockSize = 128;

  LexicalTail();
  ~LexicalTail();
  LexicalTail(LexicalTail&&) noexcept;
  LexicalTail& operator=(LexicalTail&&) noexcept;

  // Adds the next slot. `length` is the chunk's number of terms (with repetitions); `terms` ascends
  // strictly by term id.
  Slot Append(uint32_t length, absl::Span<const TermCount> terms);

  size_t slots() const;
  // Slots with the term.
  uint64_t DocumentFrequency(TermId term) const;
  uint64_t total_length() const;
  absl::Span<const uint32_t> lengths() const;  // [slots()]
  const PostingSource& postings() const;
  size_t MemoryBytes() const;

  // The k best-scoring slots of `allowed` (size slots()) with at least one query term, by score
  // descending, then slot ascending. Block-max MaxScore: exactly the ranking and the floats of
  // SearchExhaustively.
  std::vector<ScoredSlot> Search(const LexicalQuery& query, size_t k, const SlotSet& allowed,
                                 LexicalSearchStats* stats = nullptr) const;
  std::vector<ScoredSlot> SearchExhaustively(const LexicalQuery& query, size_t k,
                                             const SlotSet& allowed) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

inline constexpr size_t kPostingBlock = LexicalTail::kBlockSize;

}  // namespace cairn::index

#endif  // CAIRN_INDEX_LEXICAL_TAIL_H_
