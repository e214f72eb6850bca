// A document's blocks as a gapless list of units, and its headings as a tree of sections.
#ifndef CAIRN_CHUNKING_CHUNKERS_OUTLINE_H_
#define CAIRN_CHUNKING_CHUNKERS_OUTLINE_H_

#include <cstddef>
#include <vector>

#include "chunking/chunkers/chunk_writer.h"
#include "chunking/document.h"

namespace cairn::chunking {

// A block without outer white space. Every byte of the text that is not white space is in exactly
// one unit: text between two blocks on a block's own line (a list marker, "##") or next to it
// without a blank line (a code fence) joins that block, other text between blocks is a paragraph.
struct Unit {
  Span span;
  size_t first_token = 0;  // A unit's tokens end where the next unit's begin.
  BlockKind kind = BlockKind::kParagraph;
  int level = 0;
};

// A heading with what it governs. All members but `heading` index Outline::units or ::sections.
struct Section {
  size_t begin = 0;      // Unit of the heading; 0 for the root, which has none.
  size_t own_begin = 0;  // Units of the text directly under the heading: [own_begin, own_end).
  size_t own_end = 0;
  size_t end = 0;     // Behind the last unit of the whole section.
  size_t parent = 0;  // Section that contains this one; the root contains itself.
  size_t next = 0;    // First section that is not part of this one.
  int level = 0;
  bool has_text = false;  // Whether anything but headings is in it.
};

struct Outline {
  std::vector<Unit> units;        // The last one is empty and stands at the end of the text.
  std::vector<Section> sections;  // In text order; the first is the root: the whole document.
  std::vector<size_t> item_ends;  // Per unit, if any is a list item: behind it and the items below
                                  // it. Empty otherwise.

  size_t Tokens(size_t begin, size_t end) const {
    return units[end].first_token - units[begin].first_token;
  }
  Span Extent(size_t begin, size_t end) const {
    return {units[begin].span.begin, units[end - 1].span.end};
  }
};

// Reads no more of `document.blocks` than can be true: spans are clipped to the text, to each other
// and to grapheme boundaries. Without blocks, paragraphs are what stands between blank lines.
Outline BuildOutline(const Document& document, ChunkWriter* writer);

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_CHUNKERS_OUTLINE_H_
