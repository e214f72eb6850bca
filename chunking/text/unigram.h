// Sentencepiece's unigram model.
#ifndef CAIRN_CHUNKING_TEXT_UNIGRAM_H_
#define CAIRN_CHUNKING_TEXT_UNIGRAM_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "chunking/text/sentence_piece.h"
#include "chunking/text/vocabulary.h"

namespace cairn::chunking {

// A vocabulary, already checked: scores are finite, tokens distinct and at least one.
struct UnigramVocabulary {
  Vocabulary tokens;
  std::vector<double> scores;  // Logarithm of the probability, by id, of those in `tokens`.
  double least_score = 0;      // Of those in `tokens`.
  uint32_t unknown_id = 0;     // Less than scores.size().
  bool byte_fallback = false;  // Unknown text as byte tokens, where all are there.
  ByteTokens bytes;
};

// Finds the most probable sequence of tokens (Kudo 2018, Viterbi); neighbouring unknown characters
// make one unknown token. Gives the ids of Hugging Face's tokenizers library.
class UnigramModel final : public PieceModel {
 public:
  explicit UnigramModel(UnigramVocabulary vocabulary);

  void Encode(const AlignedText& text, size_t begin, size_t end,
              std::vector<Token>* tokens) const override;

 private:
  struct Node;

  void FillLattice(std::string_view text, std::vector<Node>* nodes) const;
  void AddUnknown(const AlignedText& text, size_t begin, size_t end,
                  std::vector<Token>* tokens) const;

  UnigramVocabulary vocabulary_;
  double unknown_score_;
};

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_UNIGRAM_H_
