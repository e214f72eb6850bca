// What all tokenizers with a vocabulary have in common: ids back to text, special tokens, prompts.
#ifndef CAIRN_CHUNKING_TEXT_VOCABULARY_TOKENIZER_H_
#define CAIRN_CHUNKING_TEXT_VOCABULARY_TOKENIZER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "chunking/text/tokenizer.h"

namespace cairn::chunking {

// The ids of a vocabulary as text, built by its loader.
class TokenTexts {
 public:
  // Ids without a call of Set stand for nothing. The bytes of all tokens stay below 4 GiB.
  void Set(uint32_t id, std::string_view bytes, bool control);
  // Makes ids below `limit` exist.
  void Grow(size_t limit);

  size_t size() const { return texts_.size(); }
  bool control(uint32_t id) const { return texts_[id].control; }
  std::string_view text(uint32_t id) const {
    return std::string_view(arena_).substr(texts_[id].begin, texts_[id].size);
  }

 private:
  struct Text {
    uint32_t begin = 0;
    uint32_t size : 31 = 0;
    uint32_t control : 1 = 0;
  };
  std::vector<Text> texts_;  // By id.
  std::string arena_;
};

struct VocabularyFacts {
  TokenTexts texts;
  SpecialTokens special;
  std::optional<uint32_t> unknown_id;
  bool starts_with_space = false;
  // What Encode makes of control tokens spelled in the text; see Tokenizer::Encode.
  ControlText documents = ControlText::kAsText;
};

// Puts eos among special.end_of_generation; sorts those, once each. InvalidArgument where bos or
// eos is not in the vocabulary, or to be added but not known.
absl::Status FinishFacts(VocabularyFacts* facts);

class VocabularyTokenizer : public Tokenizer {
 public:
  explicit VocabularyTokenizer(VocabularyFacts facts) : facts_(std::move(facts)) {}

  void Encode(std::string_view text, std::vector<Token>* tokens) const final {
    EncodeText(text, facts_.documents, tokens);
  }
  size_t CountTokens(std::string_view text) const override;
  size_t vocabulary_size() const final { return facts_.texts.size(); }
  std::optional<uint32_t> unknown_id() const final { return facts_.unknown_id; }
  const SpecialTokens& special_tokens() const final { return facts_.special; }
  std::vector<uint32_t> EncodePrompt(std::string_view text, ControlText control) const final;
  void AppendBytes(uint32_t id, ControlText control, std::string* bytes) const final;
  std::string Decode(absl::Span<const uint32_t> ids) const final;
  bool starts_with_space() const final { return facts_.starts_with_space; }

 protected:
  ControlText documents() const { return facts_.documents; }
  // `id` is in the vocabulary.
  bool is_control(uint32_t id) const { return facts_.texts.control(id); }

 private:
  // Encode, with control tokens as `control` says.
  virtual void EncodeText(std::string_view text, ControlText control,
                          std::vector<Token>* tokens) const = 0;

  VocabularyFacts facts_;
};

}  // namespace cairn::chunking

#endif  // CAIRN_CHUNKING_TEXT_VOCABULARY_TOKENIZER_H_
