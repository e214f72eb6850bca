// The tokens of a document, by position.
#ifndef CAIRN_CHUNKING_CHUNKERS_TOKEN_INDEX_H_
#define CAIRN_CHUNKING_CHUNKERS_TOKEN_INDEX_H_

#include <array>
#include <cstddef>
#include <string_view>
#include <vector>

#include "chunking/text/tokenizer.h"

namespace cairn::chunking {

// Where each token of a text begins. The text is tokenised once, in slices cut at white space, so
// that of each token only its position stays in memory and a text may be longer than the 4 GiB a
// tokenizer takes at once. A token of no bytes (a further piece of a character that normalisation
// takes apart) counts as part of the character before it. Not thread-safe: one instance per call of
// Split.
class TokenIndex {
 public:
  TokenIndex(std::string_view text, const Tokenizer& tokenizer);

  size_t size() const { return begins_.size(); }
  size_t begin(size_t token) const { return begins_[token]; }

  // Number of tokens that begin before `position`, which is also the index of the first one at or
  // after it. Searches outwards from the last answer: constant time for a walk through the text.
  size_t Before(size_t position);

 private:
  struct Answer {
    size_t position = 0;
    size_t token = 0;
  };

  std::vector<size_t> begins_;
  size_t last_ = 0;
  std::array<Answer, 8> recent_;  // By the lowest bits of the position; the same few ends of spans
                                  // are asked about again and again.
};

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_CHUNKERS_TOKEN_INDEX_H_
