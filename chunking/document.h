// What a reader produces and a chunker consumes.
#ifndef CAIRN_CHUNKING_DOCUMENT_H_
#define CAIRN_CHUNKING_DOCUMENT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "chunking/metadata.h"

namespace cairn::chunking {

// Half-open byte range [begin, end) of a document's normalised text.
struct Span {
  size_t begin = 0;
  size_t end = 0;

  size_t size() const { return end - begin; }
  bool empty() const { return begin == end; }
  friend bool operator==(const Span&, const Span&) = default;
};

enum class BlockKind : uint8_t { kParagraph, kHeading, kListItem, kTable, kCode, kQuote };

// A structural unit of a document, in text order. Blocks do not overlap; bytes between two blocks
// (blank lines, separators) belong to no block.
struct Block {
  BlockKind kind = BlockKind::kParagraph;
  int level = 0;  // Heading level 1-6 for kHeading; nesting depth (from 1) for kListItem; else 0.
  Span span;
  friend bool operator==(const Block&, const Block&) = default;
};

// One document, ready to be chunked. `text` is normalised: valid UTF-8 without NUL or BOM, NFC,
// line ends "\n". All spans anywhere in cairn (blocks, chunks, citations) are byte offsets into it.
struct Document {
  std::string id;     // External id, unique within a collection, never empty once read.
  std::string title;  // May be empty; normalised like text, on one line.
  std::string text;
  std::vector<Block> blocks;  // Empty: no structure is known; chunkers then look for paragraphs.
  Metadata metadata;
  std::string source_uri;  // Where the bytes came from: a path, or path#line for a record.
  std::string media_type;  // text/plain, text/markdown, text/html, application/jsonl, text/x-trec.
};

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_DOCUMENT_H_
