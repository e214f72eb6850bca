// Questions with one-token answers about documents that are cut into chunks.
#ifndef CAIRN_ENGINE_KV_READER_QUESTIONS_H_
#define CAIRN_ENGINE_KV_READER_QUESTIONS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "chunking/text/tokenizer.h"

namespace cairn::engine {

// A chunk of one of a question's documents.
struct ChunkPlace {
  size_t document = 0;
  size_t chunk = 0;
  friend bool operator==(const ChunkPlace&, const ChunkPlace&) = default;
};

// The prompt is the preface, the context's chunks and the question, one's token ids behind the
// other's. Setting and kind are names that results are reported by.
struct ReaderQuestion {
  std::string kind;     // Where the answer is: "inside" a chunk, "earlier" in the document, ...
  std::string setting;  // How the context was put together: "in_order", "retrieved", ...
  std::vector<std::vector<std::vector<uint32_t>>> documents;  // [document][chunk] token ids
  std::vector<ChunkPlace> context;
  std::vector<uint32_t>
      preface;  // Begins with the token that a text begins with, where there is one.
  std::vector<uint32_t> question;
  uint32_t answer = 0;

  size_t context_tokens() const;
  size_t prompt_tokens() const { return preface.size() + context_tokens() + question.size(); }
};

// Reads a file with one JSON object a line, a document or a question:
//   {"document": 7, "chunks": ["text of a chunk", ...]}
//   {"kind": "inside", "setting": "retrieved", "context": [[document, chunk], ...],
//    "gold": [[document, chunk], ...], "preface": "text", "question": "text", "answer": "word"}
// A question's documents come before it, or are its own: "documents": [["text of a chunk", ...],
// ...], numbered from 0. "gold" may be absent. Empty lines are passed over, and so are members that
// are not listed. The system's error where the file cannot be read; InvalidArgument naming file and
// line for anything else, an answer of several tokens among it, and for a file without questions.
absl::StatusOr<std::vector<ReaderQuestion>> ReadReaderQuestions(
    const std::string& path, const chunking::Tokenizer& tokenizer);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_READER_QUESTIONS_H_
