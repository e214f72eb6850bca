#include "engine/model/text_pooling.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "absl/types/span.h"

namespace cairn::engine {

std::string PromptFor(TextKind kind, const SentenceTransformer& sentences) {
  constexpr const char* kQueryNames[] = {"query"};
  constexpr const char* kPassageNames[] = {"document", "passage"};
  const auto names = kind == TextKind::kQuery ? absl::MakeConstSpan(kQueryNames)
                                              : absl::MakeConstSpan(kPassageNames);
  for (const char* name : names) {
    const auto found = sentences.prompts.find(name);
    if (found != sentences.prompts.end()) return found->second;
  }
  const auto otherwise = sentences.prompts.find(sentences.default_prompt);
  return otherwise != sentences.prompts.end() ? otherwise->second : "";
}

std::vector<uint32_t> TokensFor(const chunking::Tokenizer& tokenizer, const std::string& prompt,
                                std::string_view text, size_t max_tokens) {
  std::string whole = prompt;
  whole.append(text);
  std::vector<uint32_t> ids = tokenizer.EncodePrompt(whole, chunking::ControlText::kAsText);
  const chunking::SpecialTokens& special = tokenizer.special_tokens();
  const size_t begin = special.add_bos && special.bos.has_value() ? 1 : 0;
  const size_t behind = special.add_eos && special.eos.has_value() ? 1 : 0;
  const std::optional<uint32_t> unknown = tokenizer.unknown_id();
  const bool known =
      ids.size() > begin + behind && std::any_of(ids.begin() + static_cast<ptrdiff_t>(begin),
                                                 ids.end() - static_cast<ptrdiff_t>(behind),
                                                 [&](uint32_t id) { return id != unknown; });
  if (!known) return {};
  if (ids.size() > max_tokens) {
    const uint32_t last = ids.back();
    ids.resize(max_tokens);
    if (behind > 0) ids.back() = last;
  }
  return ids;
}

std::vector<uint32_t> TokensAround(const chunking::Tokenizer& tokenizer, const std::string& prompt,
                                   absl::Span<const uint32_t> ids, size_t max_tokens) {
  if (ids.empty()) return {};
  std::vector<uint32_t> all = tokenizer.EncodePrompt(prompt, chunking::ControlText::kAsText);
  const chunking::SpecialTokens& special = tokenizer.special_tokens();
  const bool ends = special.add_eos && special.eos.has_value();
  if (ends && !all.empty()) all.pop_back();
  const size_t room = max_tokens - std::min(max_tokens, all.size() + (ends ? 1 : 0));
  ids = ids.subspan(0, std::min(ids.size(), room));
  all.insert(all.end(), ids.begin(), ids.end());
  if (ends) all.push_back(*special.eos);
  if (all.size() > max_tokens) all.resize(max_tokens);
  return all;
}

absl::Status PoolStates(Pooling pooling, const float* states, size_t count, size_t dim,
                        float* out) {
  size_t begin = 0, end = count;
  if (pooling == Pooling::kCls) end = std::min<size_t>(count, 1);
  if (pooling == Pooling::kLast && count > 0) begin = count - 1;
  std::vector<double> sum(dim);
  for (size_t i = begin; i < end; ++i) {
    for (size_t d = 0; d < dim; ++d) sum[d] += states[i * dim + d];
  }
  double squares = 0;
  for (double x : sum) squares += x * x;
  if (!std::isfinite(squares)) {
    return absl::InvalidArgumentError("the model's states are no finite numbers: damaged weights?");
  }
  const double scale = squares > 0 ? 1 / std::sqrt(squares) : 0;
  for (size_t d = 0; d < dim; ++d) out[d] = static_cast<float>(sum[d] * scale);
  return absl::OkStatus();
}

}  // namespace cairn::engine
