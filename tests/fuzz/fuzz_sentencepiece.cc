// Sentencepiece's model files: whatever loads must encode and decode.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "chunking/text/tokenizer.h"
#include "tests/fuzz/check_decoding.h"

namespace {

constexpr std::string_view kText =
    "the  quick caf\u00E9 cafe\u0301 <s> <user>\n \uFB01 \u4E2D\u56FD \uD55C \u3000\t a!b.c "
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa \u2581 "
    "\xFF\xE4 \U0001F600";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto tokenizer = cairn::chunking::LoadSentencePiece(
      std::string_view(reinterpret_cast<const char*>(data), size));
  if (!tokenizer.ok()) return 0;
  std::vector<cairn::chunking::Token> tokens;
  (*tokenizer)->Encode(kText, &tokens);
  uint32_t end = 0;
  for (const cairn::chunking::Token& token : tokens) {
    if (token.begin < end || token.end < token.begin || token.end > kText.size()) std::abort();
    if (token.id >= (*tokenizer)->vocabulary_size()) std::abort();
    end = token.end;
  }
  cairn::testing::CheckDecoding(
      **tokenizer, (*tokenizer)->EncodePrompt(kText, cairn::chunking::ControlText::kAsTokens));
  return 0;
}
