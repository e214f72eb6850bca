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
#include "chunking/text/vocabulary.h"
#include "chunking/text/vocabulary_tokenizer.h"

namespace cairn::chunking {

// A tokenizer's description, already checked: ids are distinct and below 2^31.
struct WordPieceModel {
  static constexpr size_t kLongestWord = 1000;  // The largest max_input_chars_per_word.

  Vocabulary initial;     // All tokens: what a word may begin with.
  Vocabulary continuing;  // Those with the continuing prefix, without it: what may follow.
  VocabularyFacts facts;  // With an unknown id.
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
// Text of ids: pieces joined, a space before each word, less the spaces before punctuation and in
// contractions that Hugging Face's WordPiece decoder cleans up.
//
// Plain ASCII words take a path that copies them, lower-cased, into a fixed buffer and looks them
// up whole; anything else goes through BertNormalizer up to the next ASCII space or symbol.
class WordPieceTokenizer final : public VocabularyTokenizer {
 public:
  explicit WordPieceTokenizer(WordPieceModel model);

  size_t CountTokens(std::string_view text) const override;

 private:
  // What an ASCII byte is; kComplex: dropped by the normaliser, or not ASCII.
  enum class ByteClass : uint8_t { kWord, kSpace, kPunctuation, kComplex };
  struct Word;

  void InitBytes();

  void EncodeText(std::string_view text, ControlText control,
                  std::vector<Token>* tokens) const override;
  template <typename Sink>
  void EncodeAll(std::string_view text, ControlText control, Sink* sink) const;
  template <typename Sink>
  void EncodeRange(std::string_view text, size_t begin, size_t end, Sink* sink) const;
  template <typename Sink>
  size_t EncodeComplex(std::string_view text, size_t begin, size_t end, AlignedText* scratch,
                       Sink* sink) const;
  template <typename Sink>
  void EncodeAligned(const AlignedText& aligned, size_t begin, size_t end, Sink* sink) const;
  template <typename Sink>
  void EncodeWithNormalizedTokens(const AddedTokenMatcher& matcher, std::string_view text,
                                  size_t begin, size_t end, Sink* sink) const;
  template <typename Sink>
  void EncodeWord(const Word& word, Sink* sink) const;

  uint8_t FlagsAt(const AlignedText& aligned, size_t at, uint32_t* size) const;
  size_t LastCleanCut(const AlignedText& aligned) const;

  Vocabulary initial_;
  Vocabulary continuing_;
  uint32_t unknown_id_;
  size_t max_chars_;
  BertCharacters characters_;
  BertNormalizer normalizer_;
  AddedTokens added_tokens_;
  std::array<ByteClass, 256> byte_class_;
  std::array<char, 256> folded_;         // Of kWord bytes, in lower case if asked for; else 0.
  std::array<uint32_t, 128> symbol_id_;  // Of kPunctuation bytes.
};

// What a token that begins a word adds to a text; "##" pieces add what follows their prefix.
std::string WordPieceText(std::string_view token, bool clean_up);

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_WORDPIECE_H_
