#include "engine/kv/blended_prompt.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace cairn::engine {
namespace {

constexpr double kMicroseconds = 1e6;

// A chunk without its first tokens: they are in a cached prefix.
class ChunkKvTail final : public ChunkKv {
 public:
  ChunkKvTail(std::shared_ptr<const ChunkKv> whole, size_t skipped)
      : whole_(std::move(whole)), skipped_(skipped) {}

  const KvShape& shape() const override { return whole_->shape(); }
  size_t tokens() const override { return whole_->tokens() - skipped_; }
  const ChunkAttention* attention() const override { return nullptr; }
  uint32_t first_position() const override {
    return whole_->first_position() + static_cast<uint32_t>(skipped_);
  }
  uint64_t bytes() const override {
    return whole_->bytes() * tokens() / std::max<size_t>(1, whole_->tokens());
  }
  absl::Status Read(size_t layer, size_t first, size_t count, float* keys,
                    float* values) const override {
    return whole_->Read(layer, skipped_ + first, count, keys, values);
  }

 private:
  const std::shared_ptr<const ChunkKv> whole_;
  const size_t skipped_;
};

}  // namespace

BlendedPrompt::BlendedPrompt(Decoder* decoder, ReuseController* controller,
                             std::vector<BlendPart> parts, BlendedPromptOptions options)
    : decoder_(decoder),
      controller_(controller),
      options_(std::move(options)),
      parts_(std::move(parts)) {}

std::vector<uint32_t> BlendedPrompt::tokens() const {
  std::vector<uint32_t> tokens;
  for (const BlendPart& part : parts_) {
    tokens.insert(tokens.end(), part.tokens.begin(), part.tokens.end());
  }
  return tokens;
}

size_t BlendedPrompt::exact_tokens() const {
  size_t tokens = 0;
  for (const BlendPart& part : parts_) {
    if (part.kv != nullptr && !all_computed_) break;
    tokens += part.tokens.size();
  }
  return tokens;
}

std::vector<BlendPart> BlendedPrompt::Rest(size_t known,
                                           std::vector<KnownPassage>* passages) const {
  std::vector<BlendPart> rest;
  uint32_t slot = 0;
  for (const BlendPart& part : parts_) {
    const size_t skipped = std::min(known, part.tokens.size());
    const uint32_t begin = slot;
    slot += static_cast<uint32_t>(part.tokens.size());
    known -= skipped;
    const bool passage = part.kv != nullptr || part.passage;
    if (rest.empty() && skipped == part.tokens.size()) {
      if (passage) passages->push_back({HashTokens(part.tokens), begin, slot});
      continue;
    }
    rest.push_back(part);
    if (skipped == 0) continue;
    BlendPart& tail = rest.back();
    tail.tokens.erase(tail.tokens.begin(), tail.tokens.begin() + static_cast<ptrdiff_t>(skipped));
    if (part.kv != nullptr) tail.kv = std::make_shared<ChunkKvTail>(part.kv, skipped);
    tail.fix_rows = std::min(part.fix_rows, tail.tokens.size());
    tail.known_tokens = skipped;
    tail.whole_hash = HashTokens(part.tokens);
  }
  return rest;
}

ReuseDecision BlendedPrompt::Decide(absl::Span<const BlendPart> parts) const {
  ReusePrompt prompt;
  prompt.layers = decoder_->config().layers;
  prompt.quality = options_.quality;
  prompt.source = options_.source;
  prompt.gates = options_.gates;
  for (const BlendPart& part : parts) {
    prompt.rows += part.tokens.size();
    prompt.missing_chunks += part.kv == nullptr && part.passage;
    if (part.kv == nullptr) continue;
    prompt.cached_rows += part.tokens.size();
    prompt.fix_rows += part.fix_rows;
    prompt.cached_bytes += part.kv->bytes();
  }
  return controller_->Decide(prompt);
}

absl::Status BlendedPrompt::Read(KvSequence* sequence, absl::Span<float> logits,
                                 const std::function<bool()>& is_cancelled) {
  BlendOptions blending;
  blending.is_cancelled = is_cancelled;
  blending.kept_encoding = options_.kept_encoding;
  blending.kept_attention_layers = options_.kept_attention_layers;
  const size_t known = sequence->length();
  while (true) {
    blending.known.clear();
    const std::vector<BlendPart> rest = Rest(known, &blending.known);
    const ReuseDecision decision = Decide(rest);
    std::vector<std::pair<size_t, std::shared_ptr<const ChunkKvBuffer>>> kept;
    const ReuseMethod method = decision.options.method;
    blending.on_kept = nullptr;
    if (options_.on_kept && (method == ReuseMethod::kFull || method == ReuseMethod::kCacheCraft)) {
      blending.on_kept = [&](size_t part, std::shared_ptr<const ChunkKvBuffer> kv) {
        kept.emplace_back(parts_.size() - rest.size() + part, std::move(kv));
      };
    }
    absl::StatusOr<std::unique_ptr<ReusePolicy>> policy = MakeReusePolicy(decision.options);
    if (!policy.ok()) return policy.status();
    size_t bad = rest.size();
    absl::StatusOr<ReuseUsage> usage =
        decision.options.method == ReuseMethod::kFull
            ? Blender(decoder_).RunFull(rest, sequence, logits.data(), blending)
            : Blender(decoder_).Run(rest, policy->get(), sequence, logits.data(), blending, &bad);
    if (!usage.ok() && bad < rest.size()) {
      // What cannot be read is computed; what was read of it is overwritten.
      if (options_.on_bad_chunk) options_.on_bad_chunk(usage.status());
      BlendPart& part = parts_[parts_.size() - rest.size() + bad];
      part.kv = nullptr;
      part.passage = true;
      continue;
    }
    if (!usage.ok()) return usage.status();
    all_computed_ = decision.options.method == ReuseMethod::kFull;
    const size_t rows = usage->reused_tokens + usage->recomputed_tokens + usage->fresh_tokens;
    controller_->Learn(*usage, rows);
    for (auto& [part, kv] : kept) {
      const double share = static_cast<double>(kv->tokens()) /
                           std::max(1.0, usage->charged * static_cast<double>(rows));
      const double seconds = usage->compute_seconds * share;
      options_.on_kept(part, std::move(kv), seconds);
    }
    ReuseReport report;
    report.exact_tokens = usage->exact_tokens;
    report.reused_tokens = usage->reused_tokens;
    report.recomputed_tokens = usage->recomputed_tokens;
    report.fresh_tokens = usage->fresh_tokens;
    report.loaded_bytes = usage->loaded_bytes;
    report.method = std::string(ReuseMethodName(decision.options.method));
    report.reason = decision.reason;
    report.share = decision.share;
    report.load = usage->load_seconds * kMicroseconds;
    report.select = usage->select_seconds * kMicroseconds;
    report.compute = usage->compute_seconds * kMicroseconds;
    absl::MutexLock lock(&mutex_);
    report_ = std::move(report);
    return absl::OkStatus();
  }
}

ReuseReport BlendedPrompt::report() const {
  absl::MutexLock lock(&mutex_);
  return report_;
}

}  // namespace cairn::engine
