// SentencePiece's unigram model as tokenizer.json describes it.
#ifndef CAIRN_CHUNKING_TEXT_UNIGRAM_H_
#define CAIRN_CHUNKING_TEXT_UNIGRAM_H_

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

// One step of a normaliser sequence.
struct NormalizerStep {
  enum class Kind : uint8_t {
    kBert,           // BertNormalizer with `bert`.
    kReplaceBytes,   // Each ASCII character with an entry in `bytes` becomes that entry.
    kReplace,        // Each `pattern`, not empty, becomes `content`.
    kReplaceSpaces,  // Each run of white space becomes `content`.
    kStrip,          // White space is removed at the start and/or end.
  };
  Kind kind = Kind::kBert;
  BertNormalizer::Options bert;
  std::vector<std::optional<std::string>> bytes;  // 128 entries.
  std::string pattern;
  std::string content;
  bool strip_left = true;
  bool strip_right = true;
};

// Hugging Face's Metaspace pre-tokenizer: spaces become `replacement`.
struct Metaspace {
  enum class Prepend : uint8_t { kNever, kFirst, kAlways };
  std::string replacement = "\u2581";
  Prepend prepend = Prepend::kAlways;  // Whether a replacement is put before the text.
  bool split = true;                   // Whether the text is split before each replacement.
};

// A tokenizer's description, already checked: scores are finite, tokens distinct.
struct UnigramModel {
  Vocabulary vocabulary;
  std::vector<double> scores;  // Logarithm of the probability, by id.
  size_t id_limit = 0;         // Above every id.
  uint32_t unknown_id = 0;
  bool byte_fallback = false;  // Unknown text as the tokens <0x00> to <0xFF>, where all are there.
  std::vector<NormalizerStep> normalizer;
  std::optional<Metaspace> metaspace;
  std::vector<AddedToken> added_tokens;
};

// Finds the most probable sequence of tokens (Kudo 2018, Viterbi); neighbouring unknown characters
// make one unknown token. Gives the ids of Hugging Face's tokenizers library. Needs memory for
// about 30 bytes per byte of text while it encodes.
class UnigramTokenizer final : public Tokenizer {
 public:
  explicit UnigramTokenizer(UnigramModel model);

  void Encode(std::string_view text, std::vector<Token>* tokens) const override;
  size_t CountTokens(std::string_view text) const override;
  size_t vocabulary_size() const override { return id_limit_; }
  std::optional<uint32_t> unknown_id() const override { return unknown_id_; }

 private:
  struct Node;

  void Normalize(AlignedText* text) const;
  std::vector<AddedToken> Normalized(std::vector<AddedToken> tokens) const;
  void EncodeSegment(std::string_view text, size_t begin, size_t end,
                     std::vector<Token>* tokens) const;
  void EncodeNormalized(AlignedText text, bool first, std::vector<Token>* tokens) const;
  void EncodePiece(const AlignedText& text, size_t begin, size_t end,
                   std::vector<Token>* tokens) const;
  void FillLattice(std::string_view text, std::vector<Node>* nodes) const;
  void AddUnknown(const AlignedText& text, size_t begin, size_t end,
                  std::vector<Token>* tokens) const;

  Vocabulary vocabulary_;
  std::vector<double> scores_;
  double unknown_score_;
  size_t id_limit_;
  uint32_t unknown_id_;
  std::vector<NormalizerStep> steps_;
  std::optional<Metaspace> metaspace_;
  bool byte_fallback_;
  std::array<uint32_t, 256> byte_id_;
  BertCharacters characters_;
  AddedTokenMatcher raw_tokens_;
  AddedTokenMatcher normalized_tokens_;
};

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_UNIGRAM_H_
