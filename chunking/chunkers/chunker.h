// Chunkers: a document to the spans that are embedded, indexed and cited.
#ifndef CAIRN_CHUNKING_CHUNKERS_CHUNKER_H_
#define CAIRN_CHUNKING_CHUNKERS_CHUNKER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "chunking/document.h"
#include "chunking/text/tokenizer.h"

namespace cairn::chunking {

struct ChunkerOptions {
  size_t max_tokens = 512;  // Hard limit of tokens in one chunk, 8 to 65,536.
  size_t overlap_tokens =
      0;  // `fixed` only: tokens repeated from the previous chunk; < max_tokens.
};

// A piece of a document. Chunks come in text order, cover the document's text without loss (every
// byte that is not white space is in at least one chunk) and never exceed max_tokens, unless a
// single grapheme cluster does.
struct Chunk {
  Span span;  // Of Document::text; starts and ends at grapheme boundaries, without outer white
              // space.
  std::vector<std::string> headings;  // Headings in force at span.begin, outermost first.
  uint32_t token_count = 0;           // Tokens of the span's text by itself.
};

// Thread-safe: all methods are const and may be called concurrently.
class Chunker {
 public:
  virtual ~Chunker() = default;

  // Chunks of `document`; none when its text is empty or only white space.
  virtual std::vector<Chunk> Split(const Document& document) const = 0;
};

// `name`: "fixed" (max_tokens subword tokens with overlap), "sentence" (whole sentences packed up
// to max_tokens), "structure" (headings, paragraphs, lists, tables and code blocks respected, then
// packed). The tokenizer must outlive the chunker. InvalidArgument for an unknown name or options
// out of range.
absl::StatusOr<std::unique_ptr<Chunker>> MakeChunker(std::string_view name,
                                                     const ChunkerOptions& options,
                                                     const Tokenizer* tokenizer);

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_CHUNKERS_CHUNKER_H_
