// Subword tokenizers: text to vocabulary ids, with the byte span each id came from.
#ifndef CAIRN_CHUNKING_TEXT_TOKENIZER_H_
#define CAIRN_CHUNKING_TEXT_TOKENIZER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace cairn::chunking {

// One token and the half-open byte range of the *input* text it stands for. Spans ascend and do not
// overlap.
struct Token {
  uint32_t id = 0;
  uint32_t begin = 0;
  uint32_t end = 0;
  friend bool operator==(const Token&, const Token&) = default;
};

// Thread-safe: all methods are const and may be called concurrently.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // Appends the tokens of `text`, without special tokens ([CLS], [SEP]). `text` is valid UTF-8 of
  // less than 4 GiB; invalid bytes are skipped, never undefined behaviour.
  virtual void Encode(std::string_view text, std::vector<Token>* tokens) const = 0;

  // The same number as Encode would append, without storing them.
  virtual size_t CountTokens(std::string_view text) const = 0;

  // One more than the largest id.
  virtual size_t vocabulary_size() const = 0;
  virtual std::optional<uint32_t> unknown_id() const = 0;
};

// A Hugging Face tokenizer.json held in memory: BERT's WordPiece, or a Unigram model as vocabulary-
// quantised static embeddings have. InvalidArgument, naming what is wrong, for anything malformed
// or of another type.
absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizerJson(std::string_view json);

// BERT WordPiece (uncased) from a vocab.txt held in memory: one token per line, id = line number.
absl::StatusOr<std::unique_ptr<Tokenizer>> LoadVocabTxt(std::string_view vocabulary);

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_TOKENIZER_H_
