// Any text through small vocabularies: byte-level BPE and byte fallback lose nothing, and invalid
// bytes are passed over.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "chunking/text/tokenizer.h"
#include "chunking/text/vocabulary_description.h"
#include "tests/fuzz/check_decoding.h"

namespace {

using cairn::chunking::Tokenizer;
using cairn::chunking::TokenType;
using cairn::chunking::VocabularyDescription;
using cairn::chunking::VocabularyKind;

std::unique_ptr<Tokenizer> Make(VocabularyDescription description) {
  auto tokenizer = cairn::chunking::MakeTokenizer(std::move(description));
  if (!tokenizer.ok()) std::abort();
  return *std::move(tokenizer);
}

// GPT-2's letter of a byte.
std::string ByteLetter(int byte) {
  int other = 0x100;
  for (int b = 0; b < 256; ++b) {
    const bool itself = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b != 0xAD);
    std::string letter;
    cairn::chunking::AppendUtf8(static_cast<char32_t>(itself ? b : other++), &letter);
    if (b == byte) return letter;
  }
  std::abort();
}

std::unique_ptr<Tokenizer> ByteLevel(const char* pre) {
  VocabularyDescription d;
  d.kind = VocabularyKind::kByteLevelBpe;
  d.pre = pre;
  for (int b = 0; b < 256; ++b) d.tokens.push_back(ByteLetter(b));
  const std::string space = ByteLetter(' ');
  for (const auto& [left, right] : {std::pair<std::string, std::string>{"t", "h"},
                                    {"th", "e"},
                                    {space, "the"},
                                    {space, space},
                                    {space + space, space + space},
                                    {"1", "2"},
                                    {ByteLetter(0xE4), ByteLetter(0xB8)}}) {
    d.merges.push_back(left + " " + right);
    d.tokens.push_back(left + right);
  }
  return Make(std::move(d));
}

std::unique_ptr<Tokenizer> ByteFallback() {
  VocabularyDescription d;
  d.kind = VocabularyKind::kSentencePieceBpe;
  const auto add = [&](std::string token, TokenType type, float score) {
    d.tokens.push_back(std::move(token));
    d.types.push_back(type);
    d.scores.push_back(score);
  };
  add("<unk>", TokenType::kUnknown, 0);
  for (int b = 0; b < 256; ++b) {
    char name[8];
    std::snprintf(name, sizeof(name), "<0x%02X>", b);
    add(name, TokenType::kByte, 0);
  }
  float score = -1;
  for (const char* token :
       {"\u2581t", "he", "\u2581the", "\u2581\u2581", "\u2581", "t", "h", "e"}) {
    add(token, TokenType::kNormal, score--);
  }
  add("<user>", TokenType::kUserDefined, 0);
  d.space_prefix_once = true;
  return Make(std::move(d));
}

struct Tokenizers {
  std::unique_ptr<Tokenizer> reversible[4] = {ByteLevel("gpt-2"), ByteLevel("llama-bpe"),
                                              ByteLevel("falcon"), ByteFallback()};
  std::unique_ptr<Tokenizer> composing = ByteLevel("qwen2");
};

std::vector<uint32_t> Ids(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<cairn::chunking::Token> tokens;
  tokenizer.Encode(text, &tokens);
  std::vector<uint32_t> ids;
  uint32_t end = 0;
  for (const cairn::chunking::Token& token : tokens) {
    if (token.begin < end || token.end < token.begin || token.end > text.size()) std::abort();
    end = token.end;
    ids.push_back(token.id);
  }
  return ids;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Tokenizers tokenizers;
  const std::string text(reinterpret_cast<const char*>(data), size);
  // A literal U+2581 becomes the space that it stands for elsewhere.
  const bool marks = text.find("\u2581") != std::string::npos;
  for (const auto& tokenizer : tokenizers.reversible) {
    const std::vector<uint32_t> ids = Ids(*tokenizer, text);
    cairn::testing::CheckDecoding(*tokenizer, ids);
    const bool must_match =
        cairn::testing::IsUtf8(text) && !(marks && tokenizer->starts_with_space());
    if (must_match && tokenizer->Decode(ids) != text) std::abort();
  }
  cairn::testing::CheckDecoding(*tokenizers.composing, Ids(*tokenizers.composing, text));
  return 0;
}
