// Byte-level byte-pair encoding: GPT-2, Llama 3, Qwen 2, Falcon.
#ifndef CAIRN_CHUNKING_TEXT_BYTE_LEVEL_H_
#define CAIRN_CHUNKING_TEXT_BYTE_LEVEL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "chunking/text/added_tokens.h"
#include "chunking/text/byte_pair.h"
#include "chunking/text/pre_tokenizer.h"
#include "chunking/text/text_normalizer.h"
#include "chunking/text/vocabulary.h"
#include "chunking/text/vocabulary_tokenizer.h"

namespace cairn::chunking {

// Already checked: the merges' ids are those of `tokens`.
struct ByteLevelDescription {
  VocabularyFacts facts;
  Vocabulary tokens;  // By their bytes.
  MergeTable merges;
  bool ignore_merges = false;     // A word that is a token becomes that token, merges or not.
  bool add_prefix_space = false;  // Before each text, and after each added token.
  std::vector<NormalizerStep> normalizer;
  std::vector<SplitStep> splits;
  std::vector<AddedToken> added_tokens;
};

// Splits text into words, and merges the bytes of each word. Bytes without a token become the
// unknown token or, without one, nothing.
//
// Whether a word that is a token becomes it is found out once, for all tokens, by merging them:
// most words of a text then cost one look-up.
class ByteLevelTokenizer final : public VocabularyTokenizer {
 public:
  explicit ByteLevelTokenizer(ByteLevelDescription description);

 private:
  struct Work;
  struct Source;

  void FindWholeWords();
  void MergeWord(std::string_view word, Work* work) const;
  void EncodeText(std::string_view text, ControlText control,
                  std::vector<Token>* tokens) const override;
  void EncodeSegment(std::string_view text, size_t begin, size_t end, ControlText control,
                     Work* work) const;
  void EncodeSource(const Source& source, ControlText control, Work* work) const;
  void EncodeWords(const Source& source, size_t begin, size_t end, Work* work) const;

  Vocabulary vocabulary_;
  MergeTable merges_;
  bool ignore_merges_;
  bool add_prefix_space_;
  TextNormalizer normalizer_;
  PreTokenizer pre_tokenizer_;
  AddedTokens added_tokens_;
  std::array<uint32_t, 256> byte_id_;
  std::vector<bool> whole_;  // By id: the token's bytes become that token alone.
};

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_BYTE_LEVEL_H_
