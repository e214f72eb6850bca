// What a lexical search reads: the postings of one index part, in memory or in a segment.
#ifndef CAIRN_INDEX_POSTING_SOURCE_H_
#define CAIRN_INDEX_POSTING_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "index/bm25.h"
#include "index/lexical_tail.h"
#include "index/slot_set.h"

namespace cairn::index {

struct Posting {
  Slot slot = 0;
  uint32_t count = 0;  // At least 1.
  friend bool operator==(const Posting&, const Posting&) = default;
};

// A full block of LexicalTail::kBlockSize postings. Segments hold these as they are.
struct PostingBlock {
  Slot first = 0;
  Slot last = 0;
  uint32_t data = 0;  // Where the postings are; for the source to know.
  ImpactFront<4> front;
};
static_assert(sizeof(PostingBlock) == 24 && alignof(PostingBlock) == 4);

// A run of postings in memory. Slots are either 16-bit distances from `first` or whole; exactly one
// of the two pointers is set.
struct PostingRun {
  Slot first = 0;
  const uint16_t* distances = nullptr;  // [size]
  const Slot* slots = nullptr;          // [size]
  const uint8_t* counts = nullptr;      // [size]; kSaturatedCount: see PostingSource::LargeCount.
  uint32_t size = 0;

  Slot slot(size_t i) const { return distances != nullptr ? first + distances[i] : slots[i]; }
};

// Room for what one cursor has decoded: the list's rest and one block.
struct PostingScratch {
  union Slots {
    uint16_t distances[LexicalTail::kBlockSize];
    Slot slots[LexicalTail::kBlockSize];
  };
  alignas(64) Slots block;
  alignas(64) uint8_t block_counts[LexicalTail::kBlockSize];
  alignas(64) Slot rest[LexicalTail::kBlockSize];
  alignas(64) uint8_t rest_counts[LexicalTail::kBlockSize];
};

// Postings by term, live or not, each term's ascending by slot. Const methods may run concurrently,
// with a scratch each.
class PostingSource {
 public:
  // All postings of a term.
  struct List {
    absl::Span<const PostingBlock> blocks;
    const ImpactFront<8>* front = nullptr;  // Of all blocks; null if there are none.
    PostingRun rest;                        // Those after the last block, fewer than a block.
  };

  virtual ~PostingSource() = default;

  // Points into the source or into the scratch's `rest`, and stays valid as long as both. The spans
  // are empty for a term without postings.
  virtual List Find(TermId term, PostingScratch* scratch) const = 0;
  // Points into the source, or into the scratch's `block` until the next Load.
  virtual PostingRun Load(const PostingBlock& block, PostingScratch* scratch) const = 0;
  // Where a packed block's bytes begin, to prefetch them; null if Load costs nothing.
  virtual const void* Packed(const PostingBlock& block) const = 0;
  // The count of a posting whose byte is kSaturatedCount.
  virtual uint32_t LargeCount(TermId term, Slot slot) const = 0;

  // Appends all terms with a posting, ascending.
  virtual void AppendTerms(std::vector<TermId>* out) const = 0;
  // Replaces *out by all postings of a term.
  void Decode(TermId term, std::vector<Posting>* out) const;
  // The number of a term's postings.
  virtual uint64_t Frequency(TermId term) const = 0;

 protected:
  PostingSource() = default;
  PostingSource(const PostingSource&) = default;
  PostingSource& operator=(const PostingSource&) = default;
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_POSTING_SOURCE_H_
