// A language model's tokenizer whose ids can be written down by hand.
#ifndef CAIRN_TESTS_SUPPORT_BYTE_TOKENIZER_H_
#define CAIRN_TESTS_SUPPORT_BYTE_TOKENIZER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chunking/text/tokenizer.h"

namespace cairn::testing {

// Ids 0 to 255 are bytes, those from 256 on control tokens: `controls` in order, of which the first
// is bos and the second eos, which ends an answer. With `space_prefix`, texts begin with a space of
// the tokenizer's own, as SentencePiece models have it.
class ByteTokenizer final : public chunking::Tokenizer {
 public:
  static constexpr uint32_t kBos = 256;
  static constexpr uint32_t kEos = 257;

  explicit ByteTokenizer(std::vector<std::string> controls = {"<s>", "</s>"}, bool add_bos = false,
                         bool space_prefix = false)
      : controls_(std::move(controls)), space_prefix_(space_prefix) {
    if (controls_.size() > 0) special_.bos = kBos;
    if (controls_.size() > 1) special_.eos = kEos;
    if (controls_.size() > 1) special_.end_of_generation = {kEos};
    special_.add_bos = add_bos;
  }

  chunking::SpecialTokens& special() { return special_; }
  uint32_t Id(std::string_view control) const {
    for (size_t i = 0; i < controls_.size(); ++i) {
      if (controls_[i] == control) return kBos + static_cast<uint32_t>(i);
    }
    return 0;
  }

  void Encode(std::string_view text, std::vector<chunking::Token>* tokens) const override {
    for (uint32_t i = 0; i < text.size(); ++i) {
      tokens->push_back({static_cast<uint8_t>(text[i]), i, i + 1});
    }
  }
  size_t CountTokens(std::string_view text) const override { return text.size(); }
  size_t vocabulary_size() const override { return kBos + controls_.size(); }
  std::optional<uint32_t> unknown_id() const override { return std::nullopt; }
  const chunking::SpecialTokens& special_tokens() const override { return special_; }

  std::vector<uint32_t> EncodePrompt(std::string_view text,
                                     chunking::ControlText control) const override {
    std::vector<uint32_t> ids;
    if (special_.add_bos) ids.push_back(*special_.bos);
    bool first = true;
    while (!text.empty()) {
      if (const size_t i = ControlAt(text);
          i < controls_.size() && control == chunking::ControlText::kAsTokens) {
        ids.push_back(kBos + static_cast<uint32_t>(i));
        text.remove_prefix(controls_[i].size());
      } else {
        if (first && space_prefix_) ids.push_back(' ');
        ids.push_back(static_cast<uint8_t>(text[0]));
        text.remove_prefix(1);
      }
      first = false;
    }
    if (special_.add_eos) ids.push_back(*special_.eos);
    return ids;
  }
  void AppendBytes(uint32_t id, chunking::ControlText control, std::string* bytes) const override {
    if (id < kBos) {
      bytes->push_back(static_cast<char>(id));
    } else if (id - kBos < controls_.size() && control == chunking::ControlText::kAsText) {
      *bytes += controls_[id - kBos];
    }
  }
  std::string Decode(absl::Span<const uint32_t> ids) const override {
    chunking::StreamDecoder decoder(*this, /*continues=*/false);
    std::string text;
    for (const uint32_t id : ids) text += decoder.Append(id);
    return text + decoder.Finish();
  }
  bool starts_with_space() const override { return space_prefix_; }

 private:
  size_t ControlAt(std::string_view text) const {
    size_t i = 0;
    while (i < controls_.size() && !text.starts_with(controls_[i])) ++i;
    return i;
  }

  std::vector<std::string> controls_;
  bool space_prefix_;
  chunking::SpecialTokens special_;
};

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_SUPPORT_BYTE_TOKENIZER_H_
