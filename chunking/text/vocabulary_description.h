// A tokenizer as plain data, whatever file it came from.
#ifndef CAIRN_CHUNKING_TEXT_VOCABULARY_DESCRIPTION_H_
#define CAIRN_CHUNKING_TEXT_VOCABULARY_DESCRIPTION_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "chunking/text/added_tokens.h"
#include "chunking/text/tokenizer.h"

namespace cairn::chunking {

// Values as in GGUF files and sentencepiece's model files.
enum class TokenType : uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,      // Never stands for text, unless the program says so: <s>, <|im_end|>.
  kUserDefined = 4,  // Always found in the text as a whole, before it is split into words; chat
                     // markup counts as kControl instead.
  kUnused = 5,
  kByte = 6,  // Spelled <0x00> to <0xFF>.
};

enum class VocabularyKind : uint8_t {
  kSentencePieceBpe,      // GGUF "llama": merged by score; Llama 2, Mistral, Phi 3.
  kByteLevelBpe,          // GGUF "gpt2": merged by rank, tokens in GPT-2's byte alphabet.
  kWordPiece,             // GGUF "bert": U+2581 before tokens that begin a word.
  kSentencePieceUnigram,  // GGUF "t5".
};

// The kind that GGUF's tokenizer.ggml.model calls `name`. InvalidArgument, listing the known names,
// for any other.
absl::StatusOr<VocabularyKind> VocabularyKindByName(std::string_view name);

// The fields carry the names of GGUF's metadata, tokenizer.ggml.*. Ids are positions in `tokens`.
struct VocabularyDescription {
  VocabularyKind kind = VocabularyKind::kByteLevelBpe;
  // How kByteLevelBpe splits text into words, tokenizer.ggml.pre: "gpt-2", "llama-bpe", "qwen2",
  // ... "default" or empty stands for what files written before there was such a name expect:
  // punctuation apart, then as GPT-2, then numbers apart and in groups of three digits. The other
  // kinds do not read it.
  std::string pre;
  std::vector<std::string> tokens;
  std::vector<float> scores;     // By id; kSentencePiece* need them, the others do not read them.
  std::vector<TokenType> types;  // By id; empty: all are kNormal. kByteLevelBpe tokens of type
                                 // kControl and kUserDefined are spelled plainly.
  std::vector<std::string> merges;  // "left right", the first ones first; kByteLevelBpe.

  std::optional<uint32_t> bos_token_id;
  std::optional<uint32_t> eos_token_id;
  std::optional<uint32_t> eot_token_id;  // End of turn. Ends an answer, as eos does,
  std::optional<uint32_t> eom_token_id;  // and end of message.
  std::optional<uint32_t> unknown_token_id;
  std::optional<uint32_t> separator_token_id;  // kWordPiece: stands in for eos.
  std::optional<uint32_t> cls_token_id;        // kWordPiece: stands in for bos.
  std::optional<uint32_t> padding_token_id;

  // Absent: as the kind's models do: bos for kSentencePieceBpe and for Llama 3, bos and eos for
  // kWordPiece, eos for kSentencePieceUnigram, none for other kByteLevelBpe; where there is one.
  std::optional<bool> add_bos_token;
  std::optional<bool> add_eos_token;
  // A space before the text, and after each token found in it as a whole. Absent: kSentencePiece*
  // does, kByteLevelBpe does not. kWordPiece does not read it.
  std::optional<bool> add_space_prefix;
  // kSentencePiece*: that space only before the text, as sentencepiece itself does.
  bool space_prefix_once = false;
  // kSentencePiece*: no space at either end, and one for several.
  bool remove_extra_whitespaces = false;
  // kSentencePiece*: sentencepiece's compiled normalisation rules; empty: none.
  std::string precompiled_charsmap;

  // Tokens with the flags of tokenizer.json, where the file has them. Their types count before
  // `types`, and their ids may be above those of `tokens`.
  std::vector<AddedToken> added_tokens;
};

// InvalidArgument, naming what is wrong, for anything inconsistent.
absl::StatusOr<std::unique_ptr<Tokenizer>> MakeTokenizer(VocabularyDescription description);

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_VOCABULARY_DESCRIPTION_H_
