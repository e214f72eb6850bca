// Token ids of prompts that are made of text and of markup.
#ifndef CAIRN_ENGINE_GENERATION_PROMPT_ENCODING_H_
#define CAIRN_ENGINE_GENERATION_PROMPT_ENCODING_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "chunking/text/tokenizer.h"

namespace cairn::engine {

// A stretch of a prompt. With kAsTokens, `text` is the spelling of one control token, or of text
// where the vocabulary has none of that spelling.
struct PromptPart {
  std::string text;
  chunking::ControlText control = chunking::ControlText::kAsText;
  friend bool operator==(const PromptPart&, const PromptPart&) = default;
};

// The ids of `text` alone: no bos before it, no eos after it.
std::vector<uint32_t> EncodeText(const chunking::Tokenizer& tokenizer, std::string_view text,
                                 chunking::ControlText control);

// The ids of a prompt in plain words: what the tokenizer puts before a prompt, then `text`, in
// which nothing stands for a control token. An empty one is the token that a text begins with: bos,
// or eos in vocabularies that have no other (as GPT-2's). InvalidArgument where there is neither.
absl::StatusOr<std::vector<uint32_t>> EncodePlainPrompt(const chunking::Tokenizer& tokenizer,
                                                        std::string_view text);

// The ids of `parts` one after another, the same as the tokenizer gives for the whole prompt with
// kAsTokens, but that text in kAsText parts never becomes a control token. `begin`: whether the
// prompt begins with bos even where the tokenizer would not put it there.
std::vector<uint32_t> EncodeParts(const chunking::Tokenizer& tokenizer,
                                  absl::Span<const PromptPart> parts, bool begin);

// The same of parts that something stands before: no bos.
std::vector<uint32_t> EncodeInnerParts(const chunking::Tokenizer& tokenizer,
                                       absl::Span<const PromptPart> parts);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_GENERATION_PROMPT_ENCODING_H_
