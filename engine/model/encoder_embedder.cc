#include "engine/model/encoder_embedder.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace cairn::engine {
namespace {

// Tokens whose states are kept at once.
constexpr size_t kMostTokens = 4096;

// Weight of the vector score beside BM25's where the model's maker gives none: Bruch et al. (arXiv
// 2210.11934) found 0.6 to 0.8 best for encoders of all kinds.
constexpr float kAlpha = 0.7f;

std::string PromptOf(const SentenceTransformer& sentences,
                     std::initializer_list<std::string_view> names) {
  for (std::string_view name : names) {
    const auto found = sentences.prompts.find(name);
    if (found != sentences.prompts.end()) return found->second;
  }
  const auto otherwise = sentences.prompts.find(sentences.default_prompt);
  return otherwise != sentences.prompts.end() ? otherwise->second : "";
}

class EncoderEmbedder : public Embedder {
 public:
  EncoderEmbedder(std::unique_ptr<EncoderCheckpoint> checkpoint, std::unique_ptr<Encoder> encoder)
      : checkpoint_(std::move(checkpoint)),
        encoder_(std::move(encoder)),
        query_prompt_(PromptOf(checkpoint_->sentences(), {"query"})),
        passage_prompt_(PromptOf(checkpoint_->sentences(), {"document", "passage"})),
        fusion_(checkpoint_->fusion()) {
    if (!fusion_.given) fusion_.alpha = kAlpha;
  }

  size_t dim() const override { return encoder_->config().hidden_size; }
  size_t max_tokens() const override { return checkpoint_->max_tokens(); }
  const FusionAdvice& fusion() const override { return fusion_; }
  const chunking::Tokenizer& tokenizer() const override { return checkpoint_->tokenizer(); }
  const std::string& fingerprint() const override { return checkpoint_->fingerprint(); }

  absl::Status Embed(TextKind kind, absl::Span<const std::string_view> texts,
                     absl::Span<float> out) const override {
    if (out.size() != texts.size() * dim()) {
      return absl::InvalidArgumentError("the room for vectors is not what the texts want");
    }
    std::vector<std::vector<uint32_t>> tokens;
    std::vector<float> states;
    float* to = out.data();
    for (size_t i = 0; i < texts.size();) {
      tokens.clear();
      size_t total = 0;
      while (i < texts.size() && (tokens.empty() || total < kMostTokens)) {
        tokens.push_back(Encode(kind, texts[i++]));
        total += tokens.back().size();
      }
      if (absl::Status s = EmbedTokens(tokens, &states, to); !s.ok()) return s;
      to += tokens.size() * dim();
    }
    return absl::OkStatus();
  }

 private:
  // The tokens of a text within the model's limit; none where it has nothing that the model knows.
  std::vector<uint32_t> Encode(TextKind kind, std::string_view text) const {
    const std::string& prompt = kind == TextKind::kQuery ? query_prompt_ : passage_prompt_;
    std::vector<uint32_t> ids = tokenizer().EncodePrompt(absl::StrCat(prompt, std::string(text)),
                                                         chunking::ControlText::kAsText);
    if (ids.size() > max_tokens()) {
      const uint32_t last = ids.back();
      ids.resize(max_tokens());
      ids.back() = last;
    }
    const std::optional<uint32_t> unknown = tokenizer().unknown_id();
    const bool known =
        std::any_of(ids.begin() + 1, ids.end() - 1, [&](uint32_t id) { return id != unknown; });
    if (!known) ids.clear();
    return ids;
  }

  absl::Status EmbedTokens(const std::vector<std::vector<uint32_t>>& tokens,
                           std::vector<float>* states, float* out) const {
    const bool first_only = checkpoint_->sentences().pooling == Pooling::kCls;
    std::vector<EncoderText> texts;
    size_t rows = 0;
    for (const std::vector<uint32_t>& ids : tokens) {
      if (ids.empty()) continue;
      texts.push_back({.tokens = ids});
      rows += first_only ? 1 : ids.size();
    }
    states->resize(rows * dim());
    absl::Status status =
        encoder_->Run(texts, first_only ? EncoderRows::kFirst : EncoderRows::kAll, states->data());
    if (!status.ok()) return status;
    const float* from = states->data();
    for (const std::vector<uint32_t>& ids : tokens) {
      const size_t count = first_only ? std::min<size_t>(1, ids.size()) : ids.size();
      Pool(from, count, out);
      from += count * dim();
      out += dim();
    }
    return absl::OkStatus();
  }

  // Of `count` states; zeros of none.
  void Pool(const float* states, size_t count, float* out) const {
    std::vector<double> sum(dim());
    const bool last = checkpoint_->sentences().pooling == Pooling::kLast;
    for (size_t i = last && count > 0 ? count - 1 : 0; i < count; ++i) {
      for (size_t d = 0; d < dim(); ++d) sum[d] += states[i * dim() + d];
    }
    double squares = 0;
    for (double x : sum) squares += x * x;
    const double scale = squares > 0 ? 1 / std::sqrt(squares) : 0;
    for (size_t d = 0; d < dim(); ++d) out[d] = static_cast<float>(sum[d] * scale);
  }

  const std::unique_ptr<EncoderCheckpoint> checkpoint_;
  const std::unique_ptr<Encoder> encoder_;
  const std::string query_prompt_, passage_prompt_;
  FusionAdvice fusion_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Embedder>> OpenEncoderEmbedder(const std::string& directory,
                                                              const EncoderOptions& options) {
  auto checkpoint = EncoderCheckpoint::Open(directory);
  if (!checkpoint.ok()) return checkpoint.status();
  if ((*checkpoint)->config().labels > 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        directory, " is a cross-encoder (it has a classification head), not an embedding model"));
  }
  auto encoder = Encoder::Load(checkpoint->get(), options);
  if (!encoder.ok()) return encoder.status();
  return std::make_unique<EncoderEmbedder>(*std::move(checkpoint), *std::move(encoder));
}

}  // namespace cairn::engine
