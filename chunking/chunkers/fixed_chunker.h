// The "fixed" chunker: windows of a number of tokens.
#ifndef CAIRN_CHUNKING_CHUNKERS_FIXED_CHUNKER_H_
#define CAIRN_CHUNKING_CHUNKERS_FIXED_CHUNKER_H_

#include <vector>

#include "chunking/chunkers/chunker.h"

namespace cairn::chunking {

// Each window is as close to max_tokens as the last word start (a token behind white space) within
// it allows, and repeats at most overlap_tokens of the one before, again from a word start on.
// Words are cut only where one is longer than a window; grapheme clusters never. Where the rest of
// the text is less than two windows long, the last two windows share it evenly, so that no tiny one
// is left. Blocks play no part but for the headings.
class FixedChunker final : public Chunker {
 public:
  // `options` must be in range; `tokenizer` must outlive the chunker.
  FixedChunker(const ChunkerOptions& options, const Tokenizer* tokenizer)
      : options_(options), tokenizer_(*tokenizer) {}

  std::vector<Chunk> Split(const Document& document) const override;

 private:
  ChunkerOptions options_;
  const Tokenizer& tokenizer_;
};

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_CHUNKERS_FIXED_CHUNKER_H_
