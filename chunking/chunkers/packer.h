// Packs neighbouring pieces of text into chunks.
#ifndef CAIRN_CHUNKING_CHUNKERS_PACKER_H_
#define CAIRN_CHUNKING_CHUNKERS_PACKER_H_

#include <cstddef>

#include "chunking/chunkers/chunk_writer.h"
#include "chunking/document.h"

namespace cairn::chunking {

// Holds the chunk that is still growing. What is added must come in text order; what lies between
// two additions to the same chunk becomes part of it. Not thread-safe.
class Packer {
 public:
  // `writer` must outlive the packer.
  explicit Packer(ChunkWriter* writer) : writer_(*writer) {}

  bool empty() const { return open_.empty(); }
  Span open() const { return open_; }
  size_t tokens() const { return last_token_ - first_token_; }
  // The open chunk consists of headings alone, which must not be parted from what follows.
  bool headings_only() const { return headings_only_; }

  // Whether the open chunk, extended to `end`, keeps the limit.
  bool Fits(size_t end);
  // Whether the open chunk is as large as an even share of the text up to token `region_end`: then
  // adding more would only leave a smaller rest.
  bool IsFull(size_t region_end) const;

  void Start(Span span, bool headings_only);  // Writes the open chunk first.
  void Extend(size_t end, bool headings_only);
  void Flush();     // Writes the open chunk, if any.
  void CutToFit();  // Writes as much of the open chunk as brings the rest under the limit.

  // Adds a piece of plain text of any length: to the open chunk if that is not full and the limit
  // allows, otherwise to a new one; cut into chunks where it is over the limit by itself.
  // `region_end`: the index of the first token behind the text over which sizes are balanced.
  void Add(Span piece, size_t region_end);

 private:
  ChunkWriter& writer_;
  Span open_;
  size_t first_token_ = 0;
  size_t last_token_ = 0;
  bool headings_only_ = false;
};

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_CHUNKERS_PACKER_H_
