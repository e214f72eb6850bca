// Subword tokenizers: text to vocabulary ids, with the byte span each id came from.
#ifndef CAIRN_CHUNKING_TEXT_TOKENIZER_H_
#define CAIRN_CHUNKING_TEXT_TOKENIZER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace cairn::chunking {

// One token and the half-open byte range of the *input* text it stands for. Spans ascend and do not
// overlap.
struct Token {
  uint32_t id = 0;
  uint32_t begin = 0;
  uint32_t end = 0;
  friend bool operator==(const Token&, const Token&) = default;
};

// The tokens with a meaning of their own, as far as the model's files name them.
struct SpecialTokens {
  std::optional<uint32_t> bos;
  std::optional<uint32_t> eos;
  bool add_bos = false;  // Whether a prompt begins with `bos`.
  bool add_eos = false;  // Whether a text ends with `eos`.
  // Those that end an answer: eos, <|im_end|>, <|eot_id|> and so on; ascending.
  std::vector<uint32_t> end_of_generation;
};

// Whether text that spells a control token ("<|im_start|>") stands for that token. Prompts made by
// the program may; text from documents and users must not.
enum class ControlText : uint8_t { kAsText, kAsTokens };

// Thread-safe: all methods are const and may be called concurrently.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // Appends the tokens of `text`, without special tokens ([CLS], [SEP]). `text` is valid UTF-8 of
  // less than 4 GiB; invalid bytes are skipped, never undefined behaviour. Where several tokens are
  // parts of one character, the first has all of it and the others are empty.
  //
  // A text that spells a control token does not get it, with one exception: the WordPiece and
  // Unigram models of tokenizer.json and vocab.txt are those of encoders, whose vectors must be
  // those of the library that they were trained with, and that library sees "[SEP]" in any text.
  virtual void Encode(std::string_view text, std::vector<Token>* tokens) const = 0;

  // The same number as Encode would append, without storing them.
  virtual size_t CountTokens(std::string_view text) const = 0;

  // One more than the largest id.
  virtual size_t vocabulary_size() const = 0;
  virtual std::optional<uint32_t> unknown_id() const = 0;

  virtual const SpecialTokens& special_tokens() const = 0;

  // The ids that a model reads for `text`: with bos and eos as special_tokens() says.
  virtual std::vector<uint32_t> EncodePrompt(std::string_view text, ControlText control) const = 0;

  // Appends the bytes that `id` adds to a text it does not begin; they may be part of a character.
  // Control tokens add their spelling with kAsText, nothing with kAsTokens, and neither does an id
  // that is not in the vocabulary.
  virtual void AppendBytes(uint32_t id, ControlText control, std::string* bytes) const = 0;

  // The text of `ids`, where a space that the tokenizer puts before every text is taken back.
  // Invalid UTF-8 becomes U+FFFD. Control tokens are left out.
  virtual std::string Decode(absl::Span<const uint32_t> ids) const = 0;

  // Whether there is such a space: whether Decode drops one at the start of the text.
  virtual bool starts_with_space() const = 0;
};

// Decodes a stream token by token, and never hands out part of a character.
class StreamDecoder {
 public:
  // `tokenizer` must outlive this. `continues`: text came before, so that a leading space counts.
  StreamDecoder(const Tokenizer& tokenizer, bool continues);

  // The text that `id` completes: valid UTF-8, possibly empty.
  std::string Append(uint32_t id);
  // What is left: U+FFFD for a character that was never completed.
  std::string Finish();

 private:
  const Tokenizer& tokenizer_;
  bool at_start_;        // Nothing has been handed out, and nothing came before.
  std::string pending_;  // At most the bytes of one incomplete character.
};

// A Hugging Face tokenizer.json held in memory: BERT's WordPiece, Unigram models, and BPE models of
// bytes (GPT-2, Llama 3, Qwen2, Falcon) or of characters with byte fallback (Llama 2, Mistral).
// `config` is the tokenizer_config.json beside it, which may know bos and eos, or empty.
// InvalidArgument, naming what is wrong, for anything malformed or of another type.
//
// Ids are those of the tokenizers library, but for a Precompiled normaliser (T5), where it departs
// from sentencepiece on characters with several marks: there they are sentencepiece's.
absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizerJson(std::string_view json,
                                                             std::string_view config = {});

// BERT WordPiece (uncased) from a vocab.txt held in memory: one token per line, id = line number.
absl::StatusOr<std::unique_ptr<Tokenizer>> LoadVocabTxt(std::string_view vocabulary);

// Byte-level BPE from vocab.json and merges.txt, as GPT-2 and Qwen2 have them. `config` is the
// tokenizer_config.json beside them, which names the model family and the control tokens; empty:
// GPT-2.
absl::StatusOr<std::unique_ptr<Tokenizer>> LoadVocabAndMerges(std::string_view vocabulary,
                                                              std::string_view merges,
                                                              std::string_view config);

// A sentencepiece model file ("tokenizer.model") of type BPE or unigram. `config` as above.
absl::StatusOr<std::unique_ptr<Tokenizer>> LoadSentencePiece(std::string_view model,
                                                             std::string_view config = {});

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_TOKENIZER_H_
