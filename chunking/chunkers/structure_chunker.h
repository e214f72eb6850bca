// The "structure" chunker: sections, blocks, then sentences.
#ifndef CAIRN_CHUNKING_CHUNKERS_STRUCTURE_CHUNKER_H_
#define CAIRN_CHUNKING_CHUNKERS_STRUCTURE_CHUNKER_H_

#include <vector>

#include "chunking/chunkers/chunker.h"

namespace cairn::chunking {

// What a reader would keep together stays together, in this order of precedence:
// - A section that fits whole (with all below it) is never cut. It joins the open chunk if both fit
//   together and the chunk's heading path remains true of all it contains: the chunk began under a
//   heading above the section, or with the heading of a sibling. So short sections of one parent
//   share chunks, while the rest of a long section never takes in the next one, and nothing crosses
//   a heading of a higher level than that it began under.
// - A heading stays with the text that follows it.
// - A list stays whole and with the paragraph before it; if that is too much, the paragraph stays
//   with the first item, and each item with the items below it.
// - Blocks are cut only if they are over the limit: tables between rows, code between lines, all
//   else between sentences; a row, line or sentence over the limit between words. A chunk that is
//   less than half full takes in the beginning of such a block; a fuller one ends before it.
// Neighbouring blocks of a section are packed, in sizes balanced (BalancedSize) over the text
// directly under the heading.
class StructureChunker final : public Chunker {
 public:
  // `options` must be in range; `tokenizer` must outlive the chunker.
  StructureChunker(const ChunkerOptions& options, const Tokenizer* tokenizer)
      : options_(options), tokenizer_(*tokenizer) {}

  std::vector<Chunk> Split(const Document& document) const override;

 private:
  ChunkerOptions options_;
  const Tokenizer& tokenizer_;
};

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_CHUNKERS_STRUCTURE_CHUNKER_H_
