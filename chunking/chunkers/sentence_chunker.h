// The "sentence" chunker: whole sentences, packed.
#ifndef CAIRN_CHUNKING_CHUNKERS_SENTENCE_CHUNKER_H_
#define CAIRN_CHUNKING_CHUNKERS_SENTENCE_CHUNKER_H_

#include <vector>

#include "chunking/chunkers/chunker.h"

namespace cairn::chunking {

// Sizes are balanced (BalancedSize) over the text that is left: a chunk ends with the first
// sentence that brings it to an even share, unless the limit comes first. A sentence over the limit
// is cut at word boundaries into even pieces, and what follows may join the last of them. Blocks
// play no part but for the headings.
class SentenceChunker final : public Chunker {
 public:
  // `options` must be in range; `tokenizer` must outlive the chunker.
  SentenceChunker(const ChunkerOptions& options, const Tokenizer* tokenizer)
      : options_(options), tokenizer_(*tokenizer) {}

  std::vector<Chunk> Split(const Document& document) const override;

 private:
  ChunkerOptions options_;
  const Tokenizer& tokenizer_;
};

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_CHUNKERS_SENTENCE_CHUNKER_H_
