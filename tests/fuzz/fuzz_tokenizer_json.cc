// tokenizer.json and vocab.txt: whatever loads must encode and decode.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "chunking/text/tokenizer.h"
#include "tests/fuzz/check_decoding.h"

namespace {

// Words, punctuation, accents, CJK, Hangul, controls, white space, specials, invalid bytes.
constexpr std::string_view kText =
    "The quick, unaffable caf\u00E9 cafe\u0301 [SEP] <X> \u4E2D\u56FD \uD55C \u200B\x01 a!b.c "
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa \u2581 "
    "\xFF\xE4 \u0130\u226E \U0001F600";

void Encode(const cairn::chunking::Tokenizer& tokenizer) {
  std::vector<cairn::chunking::Token> tokens;
  tokenizer.Encode(kText, &tokens);
  if (tokens.size() != tokenizer.CountTokens(kText)) std::abort();
  uint32_t end = 0;
  for (const cairn::chunking::Token& token : tokens) {
    if (token.begin < end || token.end < token.begin || token.end > kText.size()) std::abort();
    if (token.id >= tokenizer.vocabulary_size()) std::abort();
    end = token.end;
  }
  cairn::testing::CheckDecoding(
      tokenizer, tokenizer.EncodePrompt(kText, cairn::chunking::ControlText::kAsTokens));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto tokenizer = cairn::chunking::LoadTokenizerJson(bytes); tokenizer.ok()) {
    Encode(**tokenizer);
  }
  if (const auto tokenizer = cairn::chunking::LoadVocabTxt(bytes); tokenizer.ok()) {
    Encode(**tokenizer);
  }
  return 0;
}
