#include "engine/kv/blender.h"

#include <xxhash.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/kv/blend.h"

namespace cairn::engine {
namespace {

absl::Status Check(const Decoder& decoder, absl::Span<const BlendPart> parts, size_t start) {
  const ModelConfig& config = decoder.config();
  size_t tokens = 0;
  for (const BlendPart& part : parts) {
    tokens += part.tokens.size();
    for (uint32_t token : part.tokens) {
      if (token >= config.vocabulary_size) {
        return absl::InvalidArgumentError(absl::StrCat(
            "token ", token, " is outside the vocabulary of ", config.vocabulary_size));
      }
    }
    if (part.kv == nullptr) continue;
    const KvShape shape = {config.layers, config.kv_heads, config.head_dim};
    if (!(part.kv->shape() == shape) || part.kv->tokens() != part.tokens.size()) {
      return absl::InvalidArgumentError("cached keys and values of another model or other tokens");
    }
  }
  if (parts.empty() || parts.back().kv != nullptr || parts.back().tokens.empty()) {
    return absl::InvalidArgumentError("a prompt ends with text");
  }
  if (start + tokens > decoder.context_length()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a prompt of ", start + tokens, " tokens; the context is ", decoder.context_length()));
  }
  return absl::OkStatus();
}

}  // namespace

uint64_t HashTokens(absl::Span<const uint32_t> tokens) {
  return XXH3_64bits(tokens.data(), tokens.size() * sizeof(uint32_t));
}

absl::StatusOr<ReuseUsage> Blender::Run(absl::Span<const BlendPart> parts, ReusePolicy* policy,
                                        KvSequence* sequence, float* logits,
                                        const BlendOptions& options, size_t* bad_part) {
  if (absl::Status status = Check(*decoder_, parts, sequence->length()); !status.ok()) {
    return status;
  }
  size_t tokens = 0;
  for (const BlendPart& part : parts) tokens += part.tokens.size();
  const size_t start = sequence->length();
  absl::Status status = sequence->Reserve(tokens);
  ReuseUsage usage;
  if (status.ok()) {
    Blend blend(decoder_, parts, sequence, options);
    status = blend.Run(policy, logits, bad_part);
    usage = blend.usage();
    if (status.ok()) blend.TellKept();
  }
  if (!status.ok()) {
    sequence->Truncate(start);  // Gives back what was reserved.
    return status;
  }
  sequence->Extend(tokens);
  return usage;
}

absl::StatusOr<ReuseUsage> Blender::RunFull(absl::Span<const BlendPart> parts, KvSequence* sequence,
                                            float* logits, const BlendOptions& options) {
  std::vector<BlendPart> text(parts.begin(), parts.end());
  for (BlendPart& part : text) {
    part.passage = part.passage || part.kv != nullptr;
    part.kv = nullptr;
  }
  absl::StatusOr<std::unique_ptr<ReusePolicy>> nothing =
      MakeReusePolicy({.method = ReuseMethod::kReposition});
  if (!nothing.ok()) return nothing.status();
  return Run(text, nothing->get(), sequence, logits, options);
}

}  // namespace cairn::engine
