#include "chunking/chunkers/chunk_writer.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace cairn::chunking {

size_t BalancedSize(size_t tokens, size_t limit) {
  if (tokens <= limit) return tokens;
  const size_t pieces = (tokens - 1) / limit + 1;
  return (tokens - 1) / pieces + 1;
}

ChunkWriter::ChunkWriter(const Document& document, const Tokenizer& tokenizer, size_t max_tokens)
    : text_(document.text),
      tokenizer_(tokenizer),
      max_tokens_(max_tokens),
      tokens_(text_, tokenizer),
      boundaries_(text_),
      headings_(document) {}

size_t ChunkWriter::Count(size_t begin, size_t end) {
  if (boundaries_.IsSeparated(begin, end)) {
    const size_t first = tokens_.Before(begin);
    return tokens_.Before(end) - first;
  }
  return tokenizer_.CountTokens(text_.substr(begin, end - begin));
}

bool ChunkWriter::IsWordStart(size_t known, size_t token) {
  const size_t position = tokens_.begin(token);
  return boundaries_.FollowsSpace(position) && boundaries_.IsGrapheme(known, position);
}

// The word start to cut at, or `begin` if there is none that the limit allows.
size_t ChunkWriter::CutBeforeWord(size_t begin, size_t end, size_t target) {
  const size_t first = tokens_.Before(begin);
  const size_t last = std::min(first + max_tokens_, tokens_.size() - 1);
  for (size_t i = first + target; i <= last && tokens_.begin(i) < end; ++i) {
    if (tokens_.begin(i) > begin && IsWordStart(begin, i)) return tokens_.begin(i);
  }
  for (size_t i = std::min(first + target, tokens_.size()); i-- > first + 1;) {
    if (tokens_.begin(i) > begin && tokens_.begin(i) < end && IsWordStart(begin, i)) {
      return tokens_.begin(i);
    }
  }
  return begin;
}

// A cut about `target` tokens after `begin`, in text without white space. Gives up to a quarter of
// the piece for a better place.
size_t ChunkWriter::CutInsideWord(size_t begin, size_t target) {
  const size_t position = tokens_.begin(tokens_.Before(begin) + target);
  if (position > begin) {
    const size_t lowest = position - (position - begin) / 4;
    const size_t cut = boundaries_.GraphemeFloor(begin, boundaries_.WordFloor(lowest, position));
    if (cut > begin) return cut;
  }
  return boundaries_.GraphemeCeil(begin, begin + 1);
}

// Shortens [begin, end), which has *tokens tokens by itself, until it keeps the limit or is a
// single grapheme cluster. Returns the new end and its count.
size_t ChunkWriter::Shrink(size_t begin, size_t end, size_t* tokens) {
  const size_t cluster = boundaries_.GraphemeCeil(begin, begin + 1);
  for (int attempt = 0; *tokens > max_tokens_ && end > cluster; ++attempt) {
    const double share =
        static_cast<double>(max_tokens_) / static_cast<double>(*tokens) * (attempt < 3 ? 1.0 : 0.5);
    const size_t wanted =
        begin +
        std::min(end - begin - 1, static_cast<size_t>(share * static_cast<double>(end - begin)));
    const size_t first = tokens_.Before(begin);
    size_t token = tokens_.Before(wanted + 1);
    size_t cut = token > first ? tokens_.begin(token - 1) : begin;
    if (cut <= begin) cut = wanted;
    while (token-- > first + 1) {
      if (!IsWordStart(begin, token)) continue;
      cut = tokens_.begin(token);
      break;
    }
    end = std::max(cluster, boundaries_.GraphemeFloor(begin, cut));
    end = std::max(cluster, boundaries_.Trim({begin, end}).end);
    *tokens = Count(begin, end);
  }
  return end;
}

ChunkWriter::Piece ChunkWriter::FirstPiece(size_t begin, size_t end, size_t target) {
  const size_t first = tokens_.Before(begin);
  size_t cut = end;
  if (tokens_.Before(end) - first > max_tokens_) {
    cut = CutBeforeWord(begin, end, target);
    if (cut == begin) cut = CutInsideWord(begin, target);
    cut = boundaries_.Trim({begin, cut}).end;
  }
  Piece piece;
  piece.tokens = Count(begin, cut);
  if (piece.tokens > max_tokens_) cut = Shrink(begin, cut, &piece.tokens);
  piece.span = {begin, cut};
  piece.next = boundaries_.SkipSpace(cut, end);
  return piece;
}

void ChunkWriter::Append(const Piece& piece) {
  constexpr size_t kMost = std::numeric_limits<uint32_t>::max();
  chunks_.push_back({piece.span, headings_.At(piece.span.begin),
                     static_cast<uint32_t>(std::min(piece.tokens, kMost))});
}

Span ChunkWriter::EmitAllButLast(Span span) {
  span = boundaries_.Trim(span);
  while (!span.empty()) {
    const size_t first = tokens_.Before(span.begin);
    const size_t target = BalancedSize(tokens_.Before(span.end) - first, max_tokens_);
    const Piece piece = FirstPiece(span.begin, span.end, target);
    if (piece.next == span.end) return piece.span;
    Append(piece);
    span.begin = piece.next;
  }
  return span;
}

void ChunkWriter::Emit(Span span) {
  span = boundaries_.Trim(span);
  while (!span.empty()) {
    const size_t first = tokens_.Before(span.begin);
    const size_t target = BalancedSize(tokens_.Before(span.end) - first, max_tokens_);
    const Piece piece = FirstPiece(span.begin, span.end, target);
    Append(piece);
    span.begin = piece.next;
  }
}

}  // namespace cairn::chunking
