// BERT's WordPiece.
#ifndef CAIRN_CHUNKING_TEXT_WORDPIECE_H_
#define CAIRN_CHUNKING_TEXT_WORDPIECE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chunking/text/added_tokens.h"
#include "chunking/text/bert_normalizer.h"
#include "chunking/text/tokenizer.h"
#include "chunking/text/vocabulary.h"

namespace cairn::chunking {

// A tokenizer's description, already checked: ids are distinct and below 2^31.
struct WordPieceModel {
  static constexpr size_t kLongestWord = 1000;  // The largest max_input_chars_per_word.

  Vocabulary initial;     // All tokens: what a word may begin with.
  Vocabulary continuing;  // Those with the continuing prefix, without it: what may follow.
  size_t id_limit = 0;    // Above every id.
  uint32_t unknown_id = 0;
  size_t max_input_chars_per_word = 100;  // At most kLongestWord. Longer words are unknown.
  BertNormalizer::Options normalizer;
  std::vector<AddedToken> added_tokens;
};

// Normalisation as BertNormalizer, words as BertPreTokenizer (split at white space, punctuation
// alone), each word as the longest vocabulary entries from left to right, or unknown as a whole.
// Gives the ids and offsets of Hugging Face's tokenizers library. Its offsets overlap where one
// character of the text becomes several tokens (Hangul); here the first such token has all of it
// and the others are empty.
//
// Plain ASCII words take a path that copies them, lower-cased, into a fixed buffer and looks them
// up whole; anything else goes through BertNormalizer up to the next ASCII space or symbol.
class WordPieceTokenizer final : public Tokenizer {
 public:
  explicit WordPieceTokenizer(WordPieceModel model);

  void Encode(std::string_view text, std::vector<Token>* tokens) const override;
  size_t CountTokens(std::string_view text) const override;
  size_t vocabulary_size() const override { return id_limit_; }
  std::optional<uint32_t> unknown_id() const override { return unknown_id_; }

 private:
  // What an ASCII byte is; kComplex: dropped by the normaliser, or not ASCII.
  enum class ByteClass : uint8_t { kWord, kSpace, kPunctuation, kComplex };
  struct Word;

  void InitBytes();

  template <typename Sink>
  void EncodeAll(std::string_view text, Sink* sink) const;
  template <typename Sink>
  void EncodeText(std::string_view text, size_t begin, size_t end, Sink* sink) const;
  template <typename Sink>
  size_t EncodeComplex(std::string_view text, size_t begin, size_t end, AlignedText* scratch,
                       Sink* sink) const;
  template <typename Sink>
  void EncodeAligned(const AlignedText& aligned, size_t begin, size_t end, Sink* sink) const;
  template <typename Sink>
  void EncodeWithNormalizedTokens(std::string_view text, size_t begin, size_t end,
                                  Sink* sink) const;
  template <typename Sink>
  void EncodeWord(const Word& word, Sink* sink) const;

  uint8_t FlagsAt(const AlignedText& aligned, size_t at, uint32_t* size) const;
  size_t LastCleanCut(const AlignedText& aligned) const;

  Vocabulary initial_;
  Vocabulary continuing_;
  size_t id_limit_;
  uint32_t unknown_id_;
  size_t max_chars_;
  BertCharacters characters_;
  BertNormalizer normalizer_;
  AddedTokenMatcher raw_tokens_;
  AddedTokenMatcher normalized_tokens_;
  std::array<ByteClass, 256> byte_class_;
  std::array<char, 256> folded_;         // Of kWord bytes, in lower case if asked for; else 0.
  std::array<uint32_t, 128> symbol_id_;  // Of kPunctuation bytes.
};

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_WORDPIECE_H_
