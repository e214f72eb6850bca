// Where a text may be cut: white space, grapheme clusters, words.
#ifndef CAIRN_CHUNKING_CHUNKERS_BOUNDARIES_H_
#define CAIRN_CHUNKING_CHUNKERS_BOUNDARIES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "chunking/document.h"

namespace cairn::chunking {

// Answers questions about positions (byte offsets) of one text, which must outlive it. The
// questions that two neighbouring characters answer never reach ICU; its break iterators are made
// when first needed. Not thread-safe: one instance per call of Split.
//
// Several methods take `known`: any grapheme boundary at or before the position asked about. It
// bounds how far back ICU looks, which keeps a text of a million flags linear.
class Boundaries {
 public:
  explicit Boundaries(std::string_view text);
  ~Boundaries();
  Boundaries(const Boundaries&) = delete;
  Boundaries& operator=(const Boundaries&) = delete;

  // Whether an extended grapheme cluster (UAX #29, as ICU's root locale tailors it) begins or ends
  // at `position`.
  bool IsGrapheme(size_t known, size_t position);
  // The nearest grapheme boundary not after, and not before, `position`.
  size_t GraphemeFloor(size_t known, size_t position);
  size_t GraphemeCeil(size_t known, size_t position);

  // `span` (between grapheme boundaries) without the clusters of white space (Unicode White_Space)
  // at its ends. A space that carries a combining mark is not white space.
  Span Trim(Span span);
  size_t SkipSpace(size_t begin, size_t end);  // Trim's begin; `end` if all is white space.

  // Whether white space (or an end of the text) is next to `position` on its left.
  bool FollowsSpace(size_t position) const;

  // Whether [begin, end) stands between separators that every tokenizer knows: space, tab, new line
  // or an end of the text. Other white space is no such thing: BERT's clean-up deletes vertical
  // tabs, form feeds and NEL, and so joins what stands on both sides of them.
  bool IsSeparated(size_t begin, size_t end) const;

  // A word boundary in [lowest, position], the last one there; `position` if there is none. For
  // text without spaces: punctuation in ASCII, elsewhere ICU's rules and dictionaries (Chinese,
  // Japanese, Thai, Khmer, Lao, Burmese), applied to the neighbourhood of `position` only.
  size_t WordFloor(size_t lowest, size_t position);

 private:
  struct Iterator;

  enum class Verdict { kNo, kYes, kAskIcu };
  Verdict Neighbours(size_t position) const;
  bool AskIcu(size_t known, size_t position);
  size_t PreviousCodePoint(size_t position) const;
  uint32_t CodePointAt(size_t position) const;

  std::string_view text_;
  std::unique_ptr<Iterator> graphemes_;
  std::unique_ptr<Iterator> words_;
};

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_CHUNKERS_BOUNDARIES_H_
