// Writes the postings of a segment (docs/formats/segment-postings.md).
#ifndef CAIRN_INDEX_SEGMENT_LEXICAL_WRITER_H_
#define CAIRN_INDEX_SEGMENT_LEXICAL_WRITER_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "index/impact_front.h"
#include "index/posting_source.h"
#include "index/segment/posting_codec.h"
#include "index/segment/section_file.h"

namespace cairn::index {

// Writes sections kLengths, kPostings, kTerms and kLargeCounts; nothing else may be written to the
// file meanwhile. Holds one list at a time, and 12 bytes for each term and each large count until
// the end. Not thread-safe.
class LexicalWriter {
 public:
  // `out` and `lengths` [slots] must outlive the writer. `average_length` only tunes which bounds
  // are kept.
  LexicalWriter(SectionWriter* out, absl::Span<const uint32_t> lengths, float average_length);

  // Terms ascend strictly. There are postings, which ascend strictly by slot, slots below
  // lengths.size(), counts of at least 1.
  void Add(TermId term, absl::Span<const Posting> postings);

  // To be called once. The file's first error; ResourceExhausted when there are more postings than
  // the format can hold: some 2^33.
  absl::Status Finish();

 private:
  void AddList(absl::Span<const Posting> postings);
  void AddBlock(absl::Span<const Posting> postings, uint64_t data_begin);
  uint32_t Place(uint64_t byte);

  SectionWriter* const out_;
  const absl::Span<const uint32_t> lengths_;
  const float average_length_;
  std::vector<TermId> terms_;
  std::vector<TermEntry> entries_;
  std::vector<LargeCountEntry> large_counts_;
  uint64_t postings_ = 0;
  bool full_ = false;

  // The list being written.
  ImpactFront<8> front_;
  std::vector<PostingBlock> directory_;
  std::vector<uint8_t> data_;  // Rest and blocks.
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_SEGMENT_LEXICAL_WRITER_H_
