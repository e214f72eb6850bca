#include "chunking/chunkers/fixed_chunker.h"

#include <algorithm>

#include "chunking/chunkers/chunk_writer.h"

namespace cairn::chunking {
namespace {

// Where the window after `piece` begins, so that it repeats at most `overlap` tokens: in
// (piece.span.begin, piece.next].
size_t NextBegin(const ChunkWriter::Piece& piece, size_t overlap, ChunkWriter* writer) {
  TokenIndex& tokens = writer->tokens();
  Boundaries& boundaries = writer->boundaries();
  const size_t end = tokens.Before(piece.next);
  const size_t wanted = end - std::min(overlap, end);
  const size_t first = std::max(wanted, tokens.Before(piece.span.begin + 1));
  const auto can_begin_at = [&](size_t position) {
    return position > piece.span.begin && boundaries.IsGrapheme(piece.span.begin, position);
  };
  for (size_t i = first; i < end; ++i) {
    const size_t position = tokens.begin(i);
    if (boundaries.FollowsSpace(position) && can_begin_at(position)) {
      return boundaries.SkipSpace(position, piece.next);
    }
  }
  if (first < end && !boundaries.FollowsSpace(piece.next)) {  // Inside a word that is cut anyway.
    const size_t position = boundaries.GraphemeCeil(piece.span.begin, tokens.begin(first));
    if (position < piece.next && can_begin_at(position)) {
      return boundaries.SkipSpace(position, piece.next);
    }
  }
  return piece.next;
}

}  // namespace

std::vector<Chunk> FixedChunker::Split(const Document& document) const {
  ChunkWriter writer(document, tokenizer_, options_.max_tokens);
  TokenIndex& tokens = writer.tokens();
  const size_t limit = options_.max_tokens;
  const size_t overlap = options_.overlap_tokens;

  const Span text = writer.boundaries().Trim({0, document.text.size()});
  size_t begin = text.begin;
  size_t done = text.begin;  // Text before here is in a chunk.
  while (done < text.end) {
    const size_t rest = tokens.Before(text.end) - tokens.Before(begin);
    const bool two_left = rest > limit && rest + overlap < 2 * limit;
    const size_t target = two_left ? (rest + overlap + 1) / 2 : std::min(limit, rest);
    const ChunkWriter::Piece piece = writer.FirstPiece(begin, text.end, target);
    if (piece.next <= done) {  // Nothing new fits beside the overlap (an overlong word comes next).
      begin = done;
      continue;
    }
    writer.Append(piece);
    done = piece.next;
    begin = done < text.end ? NextBegin(piece, overlap, &writer) : done;
  }
  return writer.Take();
}

}  // namespace cairn::chunking
