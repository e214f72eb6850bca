#include "engine/generation/prompt_encoding.h"

#include <algorithm>
#include <optional>

#include "absl/status/status.h"

namespace cairn::engine {
namespace {

using chunking::ControlText;
using chunking::SpecialTokens;
using chunking::Tokenizer;

// A control token has a spelling, but adds nothing to a text.
bool IsControl(const Tokenizer& tokenizer, uint32_t id) {
  std::string bytes;
  tokenizer.AppendBytes(id, ControlText::kAsTokens, &bytes);
  if (!bytes.empty()) return false;
  tokenizer.AppendBytes(id, ControlText::kAsText, &bytes);
  return !bytes.empty();
}

std::vector<uint32_t> ControlsOf(const Tokenizer& tokenizer, absl::Span<const uint32_t> ids) {
  std::vector<uint32_t> controls;
  std::copy_if(ids.begin(), ids.end(), std::back_inserter(controls),
               [&](uint32_t id) { return IsControl(tokenizer, id); });
  return controls;
}

void Append(absl::Span<const uint32_t> more, std::vector<uint32_t>* ids) {
  ids->insert(ids->end(), more.begin(), more.end());
}

}  // namespace

std::vector<uint32_t> EncodeText(const Tokenizer& tokenizer, std::string_view text,
                                 ControlText control) {
  std::vector<uint32_t> ids = tokenizer.EncodePrompt(text, control);
  const SpecialTokens& special = tokenizer.special_tokens();
  if (special.add_eos && special.eos.has_value() && !ids.empty() && ids.back() == *special.eos) {
    ids.pop_back();
  }
  if (special.add_bos && special.bos.has_value() && !ids.empty() && ids.front() == *special.bos) {
    ids.erase(ids.begin());
  }
  return ids;
}

absl::StatusOr<std::vector<uint32_t>> EncodePlainPrompt(const Tokenizer& tokenizer,
                                                        std::string_view text) {
  std::vector<uint32_t> ids = EncodeText(tokenizer, text, ControlText::kAsText);
  const SpecialTokens& special = tokenizer.special_tokens();
  if (special.bos.has_value() && (special.add_bos || ids.empty())) {
    ids.insert(ids.begin(), *special.bos);
  }
  if (ids.empty() && special.eos.has_value()) ids.push_back(*special.eos);
  if (ids.empty()) {
    return absl::InvalidArgumentError(
        "the prompt is empty, and the model has no token that a text begins with");
  }
  return ids;
}

std::vector<uint32_t> EncodeInnerParts(const Tokenizer& tokenizer,
                                       absl::Span<const PromptPart> parts) {
  // At once, because a SentencePiece model treats the beginning of a text in its own way, and the
  // beginning of a part is none.
  std::string whole;
  std::vector<uint32_t> wanted;  // Control tokens that the markup stands for.
  for (const PromptPart& part : parts) {
    whole += part.text;
    if (part.control == ControlText::kAsText) continue;
    Append(ControlsOf(tokenizer, EncodeText(tokenizer, part.text, part.control)), &wanted);
  }
  std::vector<uint32_t> ids = EncodeText(tokenizer, whole, ControlText::kAsTokens);
  if (ControlsOf(tokenizer, ids) != wanted) {
    // Some text spells a control token. Part by part, it stays text.
    ids.clear();
    for (const PromptPart& part : parts) {
      Append(EncodeText(tokenizer, part.text, part.control), &ids);
    }
  }
  return ids;
}

std::vector<uint32_t> EncodeParts(const Tokenizer& tokenizer, absl::Span<const PromptPart> parts,
                                  bool begin) {
  std::vector<uint32_t> ids = EncodeInnerParts(tokenizer, parts);
  const SpecialTokens& special = tokenizer.special_tokens();
  if (special.bos.has_value() && (begin || special.add_bos)) {
    ids.insert(ids.begin(), *special.bos);
  }
  return ids;
}

}  // namespace cairn::engine
