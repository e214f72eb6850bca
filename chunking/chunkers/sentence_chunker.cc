#include "chunking/chunkers/sentence_chunker.h"

#include "chunking/chunkers/chunk_writer.h"
#include "chunking/chunkers/packer.h"
#include "chunking/text/sentence.h"

namespace cairn::chunking {

std::vector<Chunk> SentenceChunker::Split(const Document& document) const {
  ChunkWriter writer(document, tokenizer_, options_.max_tokens);
  Packer packer(&writer);
  size_t begin = 0;
  for (const Span& sentence : SplitSentences(document.text)) {
    const size_t end = writer.boundaries().GraphemeCeil(begin, sentence.end);
    packer.Add({begin, end}, writer.tokens().size());
    begin = end;
  }
  packer.Flush();
  return writer.Take();
}

}  // namespace cairn::chunking
