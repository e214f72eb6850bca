#include "engine/model_calls.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "chunking/readers/text_checks.h"

namespace cairn::engine {
namespace {

constexpr size_t kMaxTextBytes = size_t{1} << 20;

absl::Status CheckText(const std::string& text, const std::string& what) {
  if (text.size() > kMaxTextBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " has ", text.size(), " bytes; at most ", kMaxTextBytes));
  }
  if (chunking::IsUtf8(text)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(what, " is not valid UTF-8"));
}

absl::Status CheckTexts(absl::Span<const std::string> texts, const std::string& what) {
  for (size_t i = 0; i < texts.size(); ++i) {
    if (absl::Status s = CheckText(texts[i], absl::StrCat(what, " ", i)); !s.ok()) return s;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<std::vector<float>>> EmbedTexts(const Embedder& embedder,
                                                           absl::Span<const std::string> texts,
                                                           TextUse use) {
  if (absl::Status s = CheckTexts(texts, "text"); !s.ok()) return s;
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  const size_t dim = embedder.dim();
  std::vector<float> all(texts.size() * dim);
  const TextKind kind = use == TextUse::kQuery ? TextKind::kQuery : TextKind::kPassage;
  if (absl::Status s = embedder.Embed(kind, views, absl::MakeSpan(all)); !s.ok()) return s;
  std::vector<std::vector<float>> vectors;
  vectors.reserve(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto first = all.begin() + static_cast<std::ptrdiff_t>(i * dim);
    vectors.emplace_back(first, first + static_cast<std::ptrdiff_t>(dim));
  }
  return vectors;
}

absl::StatusOr<std::vector<float>> ScorePassages(const Reranker& reranker, const std::string& query,
                                                 absl::Span<const std::string> passages,
                                                 const std::function<bool()>& is_cancelled) {
  if (absl::Status s = CheckText(query, "the query"); !s.ok()) return s;
  if (absl::Status s = CheckTexts(passages, "passage"); !s.ok()) return s;
  const std::vector<std::string_view> views(passages.begin(), passages.end());
  std::vector<float> scores(passages.size());
  absl::Status s = reranker.Score(query, views, absl::MakeSpan(scores), is_cancelled);
  if (!s.ok()) return s;
  if (!std::all_of(scores.begin(), scores.end(), [](float x) { return std::isfinite(x); })) {
    return absl::InternalError("the reranker gave a score that is not a finite number");
  }
  return scores;
}

}  // namespace cairn::engine
