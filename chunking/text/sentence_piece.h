// Text with U+2581 for spaces, cut into pieces by a model: sentencepiece's BPE and unigram.
#ifndef CAIRN_CHUNKING_TEXT_SENTENCE_PIECE_H_
#define CAIRN_CHUNKING_TEXT_SENTENCE_PIECE_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chunking/text/added_tokens.h"
#include "chunking/text/text_normalizer.h"
#include "chunking/text/vocabulary.h"
#include "chunking/text/vocabulary_tokenizer.h"

namespace cairn::chunking {

// What stands for a space in a vocabulary.
inline constexpr std::string_view kSpaceMark = "\u2581";

// Appends a token that stands for input bytes [begin, end), less what earlier ones have.
inline void AddToken(uint32_t id, uint32_t begin, uint32_t end, std::vector<Token>* tokens) {
  if (!tokens->empty()) begin = std::max(begin, tokens->back().end);
  tokens->push_back({id, begin, std::max(begin, end)});
}

// The tokens <0x00> to <0xFF>.
struct ByteTokens {
  std::array<uint32_t, 256> ids;  // Vocabulary::kNone where there is no such token.

  ByteTokens() { ids.fill(Vocabulary::kNone); }
  // The byte that `token` is spelled after; nothing where it is another token.
  static std::optional<uint8_t> Parse(std::string_view token);
  bool HasAll(std::string_view bytes) const;
};

// Cuts text into tokens. Thread-safe.
class PieceModel {
 public:
  virtual ~PieceModel() = default;
  // Appends the tokens of text.text[begin, end), which is well-formed and not empty.
  virtual void Encode(const AlignedText& text, size_t begin, size_t end,
                      std::vector<Token>* tokens) const = 0;
};

// Hugging Face's Metaspace pre-tokenizer: spaces become `replacement`.
struct Metaspace {
  enum class Prepend : uint8_t { kNever, kFirst, kAlways };
  std::string replacement{kSpaceMark};
  Prepend prepend = Prepend::kAlways;  // Whether a replacement is put before the text.
  bool prepend_to_marked = false;      // Even if the text begins with one, as sentencepiece does.
  // Even before a token found in the text as a whole, if that is not a control token.
  bool prepend_to_tokens = false;
  bool split = true;  // Whether the text is split before each replacement.
  // Whether the text is split at white space first, which is dropped, and each part then treated
  // as a text (WhitespaceSplit before Metaspace).
  bool split_white_space = false;
};

struct SentencePieceDescription {
  VocabularyFacts facts;
  std::vector<NormalizerStep> normalizer;
  std::optional<Metaspace> metaspace;
  std::vector<AddedToken> added_tokens;
  std::unique_ptr<const PieceModel> model;
};

// Needs memory for some tens of bytes per byte of text while it encodes.
class SentencePieceTokenizer final : public VocabularyTokenizer {
 public:
  explicit SentencePieceTokenizer(SentencePieceDescription description);

 private:
  void EncodeText(std::string_view text, ControlText control,
                  std::vector<Token>* tokens) const override;
  void EncodeSegment(std::string_view text, size_t begin, size_t end, ControlText control,
                     std::vector<Token>* tokens) const;
  void EncodeNormalized(const AlignedText& text, bool first, std::vector<Token>* tokens) const;
  void EncodeMarked(const AlignedText& text, bool first, std::vector<Token>* tokens) const;

  TextNormalizer normalizer_;
  std::optional<Metaspace> metaspace_;
  AddedTokens added_tokens_;
  std::unique_ptr<const PieceModel> model_;
};

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_SENTENCE_PIECE_H_
