// Byte-pair encoding that starts from characters: sentencepiece's BPE (Llama 2, Mistral, Phi 3).
#ifndef CAIRN_CHUNKING_TEXT_CHARACTER_PAIR_H_
#define CAIRN_CHUNKING_TEXT_CHARACTER_PAIR_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chunking/text/byte_pair.h"
#include "chunking/text/sentence_piece.h"
#include "chunking/text/vocabulary.h"

namespace cairn::chunking {

struct CharacterPairVocabulary {
  Vocabulary tokens;  // What text can become, without control, byte and unknown tokens.
  // Either the rank of each token by id, and two neighbours merge where they spell a token
  // together; or, where there are no ranks, the merges of pairs.
  MergeTable merges;
  std::vector<uint32_t> ranks;
  // By id, or empty: tokens that merges may pass through, but that are undone in the end
  // (sentencepiece's "unused").
  std::vector<bool> unused;
  std::optional<uint32_t> unknown_id;
  bool fuse_unknown = true;    // Neighbouring unknown characters make one unknown token.
  bool byte_fallback = false;  // Unknown characters as byte tokens, where all are there.
  ByteTokens bytes;
};

// Characters without a token, byte tokens or unknown token are left out.
class CharacterPairModel final : public PieceModel {
 public:
  explicit CharacterPairModel(CharacterPairVocabulary vocabulary);

  void Encode(const AlignedText& text, size_t begin, size_t end,
              std::vector<Token>* tokens) const override;

 private:
  struct Work;

  void FindWholeWords();
  void EncodeWord(std::string_view word, Work* work) const;
  void MergeBySpelling(std::string_view word, Work* work) const;
  void UndoUnused(std::string_view word, Work* work) const;
  void EmitUnknown(const AlignedText& text, size_t begin, size_t end, bool* fuse,
                   std::vector<Token>* tokens) const;

  CharacterPairVocabulary vocabulary_;
  // No token has U+2581 after another character: merges never cross the start of a word.
  bool splits_at_marks_ = true;
  std::vector<bool> whole_;  // By id: text that spells the token becomes that token alone.
};

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_CHARACTER_PAIR_H_
