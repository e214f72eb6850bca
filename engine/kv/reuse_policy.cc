#include "engine/kv/reuse_policy.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <unordered_map>
#include <utility>

#include "absl/status/status.h"
#include "engine/kv/cache_craft.h"
#include "engine/kv/selection.h"

namespace cairn::engine {
namespace {

constexpr std::array<std::pair<ReuseMethod, std::string_view>, 8> kMethodNames = {{
    {ReuseMethod::kFull, "full"},
    {ReuseMethod::kReposition, "reposition"},
    {ReuseMethod::kCacheBlend, "cacheblend"},
    {ReuseMethod::kFirstTokens, "first-tokens"},
    {ReuseMethod::kCacheCraft, "cache-craft"},
    {ReuseMethod::kQuestionAttention, "question-attention"},
    {ReuseMethod::kRandom, "random"},
    {ReuseMethod::kGiven, "given"},
}};

// The share that a row which deviates like the mean of the computed ones is moved by is 1.
class OffsetShares {
 public:
  void Set(absl::Span<const uint32_t> rows, absl::Span<const float> deviations,
           absl::Span<const uint32_t> computed) {
    std::unordered_map<uint32_t, float> by_row;
    for (size_t i = 0; i < rows.size(); ++i) by_row[rows[i]] = deviations[i];
    double mean = 0;
    for (uint32_t row : computed) mean += by_row[row] / static_cast<double>(computed.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      shares_[rows[i]] =
          mean > 0 ? std::min(1.f, std::sqrt(deviations[i] / static_cast<float>(mean))) : 0;
    }
  }
  float Of(uint32_t row) const {
    const auto found = shares_.find(row);
    return found == shares_.end() ? 0 : found->second;
  }

 private:
  std::unordered_map<uint32_t, float> shares_;
};

class FullPolicy final : public ReusePolicy {
 public:
  std::vector<uint32_t> Begin(const BlendShape& shape) override { return AllRows(shape.chunks); }
};

class RepositionPolicy final : public ReusePolicy {
 public:
  std::vector<uint32_t> Begin(const BlendShape&) override { return {}; }
};

class CacheBlendPolicy final : public ReusePolicy {
 public:
  explicit CacheBlendPolicy(const ReuseOptions& options) : options_(options) {}

  std::vector<uint32_t> Begin(const BlendShape& shape) override {
    std::vector<uint32_t> rows = AllRows(shape.chunks);
    all_ = rows.size();
    return rows;
  }
  bool WantsKeysAndValues(size_t layer) const override {
    return layer >= options_.check_layer && layer <= options_.check_layer + options_.gradual_layers;
  }
  std::vector<uint32_t> Narrow(const LayerView& view) override {
    const std::vector<float> deviations = Deviations(view, options_.by_keys, options_.by_values);
    // From one and a half times the share down to the share, in equal steps.
    const double left =
        options_.gradual_layers == 0
            ? 0
            : 1 - static_cast<double>(view.layer - options_.check_layer) / options_.gradual_layers;
    const double share = std::min(1.0, options_.share * (1 + 0.5 * left));
    std::vector<uint32_t> kept = HighestRows(view.rows, deviations, CountOf(share, all_));
    if (options_.offset && view.layer == options_.check_layer) {
      offsets_.Set(view.rows, deviations, kept);
    }
    return kept;
  }
  bool corrects_offset() const override { return options_.offset; }
  float OffsetShare(uint32_t row) const override { return offsets_.Of(row); }

 private:
  const ReuseOptions options_;
  size_t all_ = 0;
  OffsetShares offsets_;
};

// Rows by scores that are known beforehand.
class ScoredPolicy : public ReusePolicy {
 public:
  explicit ScoredPolicy(const ReuseOptions& options) : options_(options) {}

  std::vector<uint32_t> Begin(const BlendShape& shape) override {
    const std::vector<uint32_t> rows = AllRows(shape.chunks);
    std::vector<float> scores = Scores(shape, rows);
    std::vector<uint32_t> kept = HighestRows(rows, scores, CountOf(options_.share, rows.size()));
    return kept;
  }
  bool corrects_offset() const override {
    return options_.offset && options_.method == ReuseMethod::kGiven;
  }
  float OffsetShare(uint32_t) const override { return 1; }

 protected:
  virtual std::vector<float> Scores(const BlendShape& shape, absl::Span<const uint32_t> rows) = 0;
  const ReuseOptions options_;
};

class RandomPolicy final : public ScoredPolicy {
 public:
  using ScoredPolicy::ScoredPolicy;

 protected:
  std::vector<float> Scores(const BlendShape&, absl::Span<const uint32_t> rows) override {
    std::mt19937_64 random(options_.seed);
    std::vector<float> scores(rows.size());
    for (float& score : scores) score = static_cast<float>(random() >> 40);
    return scores;
  }
};

class GivenPolicy final : public ScoredPolicy {
 public:
  using ScoredPolicy::ScoredPolicy;

 protected:
  std::vector<float> Scores(const BlendShape&, absl::Span<const uint32_t> rows) override {
    std::vector<float> scores(rows.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      if (rows[i] < options_.scores.size()) scores[i] = options_.scores[rows[i]];
    }
    return scores;
  }
};

class QuestionAttentionPolicy final : public ScoredPolicy {
 public:
  using ScoredPolicy::ScoredPolicy;

  // The middle half: early layers look at neighbours, late ones at what to say next.
  std::vector<size_t> question_layers(size_t layers) const override {
    std::vector<size_t> middle;
    for (size_t l = layers / 4; l < std::max(layers / 4 + 1, layers * 3 / 4); ++l) {
      middle.push_back(l);
    }
    return middle;
  }

 protected:
  std::vector<float> Scores(const BlendShape& shape, absl::Span<const uint32_t> rows) override {
    std::vector<float> scores(rows.size());
    for (size_t i = 0; i < rows.size(); ++i) scores[i] = shape.question_attention[rows[i]];
    return scores;
  }
};

class FirstTokensPolicy final : public ReusePolicy {
 public:
  explicit FirstTokensPolicy(uint32_t tokens) : tokens_(tokens) {}

  std::vector<uint32_t> Begin(const BlendShape& shape) override {
    std::vector<uint32_t> rows;
    for (const BlendChunk& chunk : shape.chunks) {
      for (uint32_t r = chunk.begin; r < std::min(chunk.end, chunk.begin + tokens_); ++r) {
        rows.push_back(r);
      }
    }
    return rows;
  }

 private:
  const uint32_t tokens_;
};

class CacheCraftPolicy final : public ReusePolicy {
 public:
  explicit CacheCraftPolicy(const ReuseOptions& options) : options_(options) {}

  std::vector<uint32_t> Begin(const BlendShape& shape) override {
    chunks_.assign(shape.chunks.begin(), shape.chunks.end());
    middle_ = shape.layers / 2;
    std::vector<uint32_t> rows;
    std::vector<float> scores;
    std::vector<uint64_t> before(shape.known.begin(), shape.known.end());
    auto passage = shape.passages.begin();
    for (const BlendChunk& chunk : shape.chunks) {
      for (; passage != shape.passages.end() && passage->begin < chunk.begin; ++passage) {
        before.push_back(passage->hash);
      }
      const size_t tokens = chunk.end - chunk.begin;
      std::vector<uint32_t> own = AllRows({&chunk, 1});
      // Without statistics the chunk's first tokens stand for those that looked back most.
      std::vector<float> looked_back(tokens);
      double overhead = 1;
      if (const ChunkAttention* attention = chunk.kv->attention(); attention != nullptr) {
        overhead = FixOverhead(*attention, tokens, before, options_.alpha);
        looked_back = attention->token_inter;
        looked_back.resize(tokens);
      }
      for (uint32_t row : HighestRows(own, looked_back, CountOf(overhead, tokens))) {
        rows.push_back(row);
        scores.push_back(looked_back[row - chunk.begin]);
      }
    }
    const size_t most = CountOf(options_.share, AllRows(shape.chunks).size());
    return rows.size() > most ? HighestRows(rows, scores, most) : rows;
  }
  bool WantsQuestion(size_t layer) const override {
    return options_.early_stop > 0 && layer == middle_;
  }
  std::vector<uint32_t> Narrow(const LayerView& view) override {
    float total = 0;
    std::vector<float> of_chunk;
    for (const BlendChunk& chunk : chunks_) {
      float mass = 0;
      for (uint32_t r = chunk.begin; r < chunk.end; ++r) mass += view.question_attention[r];
      of_chunk.push_back(mass);
      total += mass;
    }
    const double least = options_.early_stop * total / static_cast<double>(chunks_.size());
    std::vector<uint32_t> kept;
    size_t c = 0;
    for (uint32_t row : view.rows) {
      while (row >= chunks_[c].end) ++c;
      if (of_chunk[c] >= least) kept.push_back(row);
    }
    return kept;
  }

 private:
  const ReuseOptions options_;
  std::vector<BlendChunk> chunks_;
  size_t middle_ = 0;
};

}  // namespace

std::string_view ReuseMethodName(ReuseMethod method) {
  for (const auto& [known, name] : kMethodNames) {
    if (known == method) return name;
  }
  return "unknown";
}

std::optional<ReuseMethod> ParseReuseMethod(std::string_view name) {
  for (const auto& [method, known] : kMethodNames) {
    if (known == name) return method;
  }
  return std::nullopt;
}

absl::StatusOr<std::unique_ptr<ReusePolicy>> MakeReusePolicy(const ReuseOptions& options) {
  if (!(options.share >= 0 && options.share <= 1)) {
    return absl::InvalidArgumentError("the share to compute again must be between 0 and 1");
  }
  if (!(options.alpha >= 0) || !(options.early_stop >= 0)) {
    return absl::InvalidArgumentError("Cache-Craft's factors must not be negative");
  }
  switch (options.method) {
    case ReuseMethod::kFull:
      return std::make_unique<FullPolicy>();
    case ReuseMethod::kReposition:
      return std::make_unique<RepositionPolicy>();
    case ReuseMethod::kCacheBlend:
      if (!options.by_keys && !options.by_values) {
        return absl::InvalidArgumentError("deviations of keys, of values, or of both");
      }
      return std::make_unique<CacheBlendPolicy>(options);
    case ReuseMethod::kFirstTokens:
      return std::make_unique<FirstTokensPolicy>(options.first_tokens);
    case ReuseMethod::kCacheCraft:
      return std::make_unique<CacheCraftPolicy>(options);
    case ReuseMethod::kQuestionAttention:
      return std::make_unique<QuestionAttentionPolicy>(options);
    case ReuseMethod::kRandom:
      return std::make_unique<RandomPolicy>(options);
    case ReuseMethod::kGiven:
      return std::make_unique<GivenPolicy>(options);
  }
  return absl::InvalidArgumentError("no such way of reusing");
}

}  // namespace cairn::engine
