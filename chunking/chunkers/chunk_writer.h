// Turns spans into chunks that keep the token limit.
#ifndef CAIRN_CHUNKING_CHUNKERS_CHUNK_WRITER_H_
#define CAIRN_CHUNKING_CHUNKERS_CHUNK_WRITER_H_

#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include "chunking/chunkers/boundaries.h"
#include "chunking/chunkers/chunker.h"
#include "chunking/chunkers/heading_paths.h"
#include "chunking/chunkers/token_index.h"

namespace cairn::chunking {

// The size to aim for when `tokens` must become pieces of at most `limit`: as few pieces as
// possible, all of one size. Asked again after each piece, it spreads what earlier pieces left
// over. (510 + 20 tokens under a limit of 512 become 265 + 265, not 512 + 18.)
size_t BalancedSize(size_t tokens, size_t limit);

// The state of one call of Split: the document's tokens and boundaries, and the chunks made so far.
//
// Counts come from the positions of the document's tokens wherever a span stands between separators
// (Boundaries::IsSeparated): no tokenizer here joins words across them. A span that is cut out of
// unbroken text is tokenised again by itself, since its first token may differ (WordPiece's "##"),
// and shrunk if that takes it over the limit. So the limit holds for every chunk's own text.
class ChunkWriter {
 public:
  // `document` and `tokenizer` must outlive the writer.
  ChunkWriter(const Document& document, const Tokenizer& tokenizer, size_t max_tokens);

  std::string_view text() const { return text_; }
  size_t max_tokens() const { return max_tokens_; }
  TokenIndex& tokens() { return tokens_; }
  Boundaries& boundaries() { return boundaries_; }

  struct Piece {
    Span span;        // Trimmed.
    size_t next = 0;  // Where the text goes on: behind the white space after the span.
    size_t tokens = 0;
  };
  // The first piece of [begin, end): at most max_tokens, and less than all of it only if all of it
  // is too long. Then it ends before a word: the first one at or after `target` tokens (at most
  // max_tokens) if the limit allows, else the last one before. Inside a word only if the word
  // itself is too long; never inside a grapheme cluster. `begin` and `end` are grapheme boundaries
  // without white space inside them.
  Piece FirstPiece(size_t begin, size_t end, size_t target);

  // Appends the chunk or chunks of `span` (between grapheme boundaries): one, if it fits.
  void Emit(Span span);
  // The same, but the last one is not appended but returned.
  Span EmitAllButLast(Span span);
  void Append(const Piece& piece);

  std::vector<Chunk> Take() { return std::move(chunks_); }

 private:
  size_t Count(size_t begin, size_t end);
  bool IsWordStart(size_t known, size_t token);
  size_t CutBeforeWord(size_t begin, size_t end, size_t target);
  size_t CutInsideWord(size_t begin, size_t target);
  size_t Shrink(size_t begin, size_t end, size_t* tokens);

  std::string_view text_;
  const Tokenizer& tokenizer_;
  size_t max_tokens_;
  TokenIndex tokens_;
  Boundaries boundaries_;
  HeadingPaths headings_;
  std::vector<Chunk> chunks_;
};

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_CHUNKERS_CHUNK_WRITER_H_
