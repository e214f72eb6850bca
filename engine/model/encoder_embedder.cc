#include "engine/model/encoder_embedder.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/model/text_pooling.h"

namespace cairn::engine {
namespace {

// Tokens whose states are kept at once.
constexpr size_t kMostPassTokens = 4096;

class EncoderEmbedder : public Embedder {
 public:
  EncoderEmbedder(std::unique_ptr<EncoderCheckpoint> checkpoint, std::unique_ptr<Encoder> encoder)
      : checkpoint_(std::move(checkpoint)),
        encoder_(std::move(encoder)),
        query_prompt_(PromptFor(TextKind::kQuery, checkpoint_->sentences())),
        passage_prompt_(PromptFor(TextKind::kPassage, checkpoint_->sentences())),
        fusion_(checkpoint_->fusion()) {
    if (!fusion_.given) fusion_.alpha = kEncoderAlpha;
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
    const std::string& prompt = PromptOf(kind);
    return EmbedAll(texts.size(), out.data(), [&](size_t i) {
      return TokensFor(tokenizer(), prompt, texts[i], max_tokens());
    });
  }

  absl::Status EmbedTokens(TextKind kind, absl::Span<const absl::Span<const uint32_t>> texts,
                           absl::Span<float> out) const override {
    if (out.size() != texts.size() * dim()) {
      return absl::InvalidArgumentError("the room for vectors is not what the texts want");
    }
    for (const absl::Span<const uint32_t> ids : texts) {
      for (const uint32_t id : ids) {
        if (id >= encoder_->config().vocabulary_size) {
          return absl::InvalidArgumentError(absl::StrCat("there is no token ", id));
        }
      }
    }
    const std::string& prompt = PromptOf(kind);
    return EmbedAll(texts.size(), out.data(), [&](size_t i) {
      return TokensAround(tokenizer(), prompt, texts[i], max_tokens());
    });
  }

 private:
  const std::string& PromptOf(TextKind kind) const {
    return kind == TextKind::kQuery ? query_prompt_ : passage_prompt_;
  }

  // Of `count` texts, whose tokens `tokens_of` gives, so many at a time as fit in a pass.
  absl::Status EmbedAll(size_t count, float* to,
                        absl::FunctionRef<std::vector<uint32_t>(size_t)> tokens_of) const {
    std::vector<std::vector<uint32_t>> tokens;
    std::vector<float> states;
    for (size_t i = 0; i < count;) {
      tokens.clear();
      size_t total = 0;
      while (i < count && (tokens.empty() || total < kMostPassTokens)) {
        tokens.push_back(tokens_of(i++));
        total += tokens.back().size();
      }
      if (absl::Status s = EmbedPass(tokens, &states, to); !s.ok()) return s;
      to += tokens.size() * dim();
    }
    return absl::OkStatus();
  }

  absl::Status EmbedPass(const std::vector<std::vector<uint32_t>>& tokens,
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
      status = PoolStates(checkpoint_->sentences().pooling, from, count, dim(), out);
      if (!status.ok()) return status;
      from += count * dim();
      out += dim();
    }
    return absl::OkStatus();
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
