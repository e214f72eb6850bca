// Embedders and rerankers that need no weights, for tests of what is built on them.
#ifndef CAIRN_TESTS_SUPPORT_FAKE_MODELS_H_
#define CAIRN_TESTS_SUPPORT_FAKE_MODELS_H_

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "engine/model/embedder.h"
#include "engine/model/reranker.h"
#include "tests/support/fake_tokenizer.h"

namespace cairn::testing {

inline uint64_t HashWord(std::string_view word, uint64_t seed) {
  uint64_t hash = 14695981039346656037u ^ (seed * 0x9E3779B97F4A7C15u);
  for (const char c : word) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return hash ^ (hash >> 29);
}

// A text's vector is the sum of its words', which depend on the word and the seed alone. Counts
// its calls; fails on texts that contain `poison`; takes `delay` for each text.
class FakeEmbedder final : public engine::Embedder {
 public:
  explicit FakeEmbedder(size_t dim = 16, uint64_t seed = 1)
      : dim_(dim), seed_(seed), fingerprint_("fake-" + std::to_string(seed)) {}

  std::string poison;
  std::chrono::microseconds delay{0};

  size_t calls() const { return calls_; }
  size_t texts() const { return texts_; }
  size_t largest_call() const { return largest_; }

  size_t dim() const override { return dim_; }
  size_t max_tokens() const override { return 0; }
  const engine::FusionAdvice& fusion() const override { return fusion_; }
  const chunking::Tokenizer& tokenizer() const override { return tokenizer_; }
  const std::string& fingerprint() const override { return fingerprint_; }

  absl::Status Embed(engine::TextKind, absl::Span<const std::string_view> texts,
                     absl::Span<float> out) const override {
    ++calls_;
    texts_ += texts.size();
    size_t largest = largest_;
    while (texts.size() > largest && !largest_.compare_exchange_weak(largest, texts.size())) {
    }
    if (delay.count() > 0) std::this_thread::sleep_for(delay * texts.size());
    for (size_t i = 0; i < texts.size(); ++i) {
      if (!poison.empty() && absl::StrContains(std::string(texts[i]), poison)) {
        return absl::InternalError("poisoned");
      }
      EmbedOne(texts[i], out.subspan(i * dim_, dim_));
    }
    return absl::OkStatus();
  }

 private:
  void EmbedOne(std::string_view text, absl::Span<float> out) const {
    for (float& x : out) x = 0;
    std::istringstream words{std::string(text)};
    for (std::string word; words >> word;) {
      for (size_t d = 0; d < dim_; ++d) {
        out[d] += static_cast<float>(HashWord(word, seed_ * 1000 + d) % 2001) / 1000.0f - 1.0f;
      }
    }
    double norm = 0;
    for (const float x : out) norm += static_cast<double>(x) * x;
    if (norm == 0) return;
    for (float& x : out) x = static_cast<float>(x / std::sqrt(norm));
  }

  const size_t dim_;
  const uint64_t seed_;
  const std::string fingerprint_;
  const FakeTokenizer tokenizer_ = FakeTokenizer::Words();
  engine::FusionAdvice fusion_;
  mutable std::atomic<size_t> calls_{0};
  mutable std::atomic<size_t> texts_{0};
  mutable std::atomic<size_t> largest_{0};
};

// Scores a passage by the number of its words that the query has, less 5: most scores are negative,
// as a cross-encoder's are.
class FakeReranker final : public engine::Reranker {
 public:
  size_t calls() const { return calls_; }
  size_t passages() const { return passages_; }

  const std::string& fingerprint() const override { return fingerprint_; }

  using Reranker::Score;
  absl::Status Score(std::string_view query, absl::Span<const std::string_view> passages,
                     absl::Span<float> scores,
                     const std::function<bool()>& is_cancelled) const override {
    ++calls_;
    passages_ += passages.size();
    const std::set<std::string> wanted = Words(query);
    for (size_t i = 0; i < passages.size(); ++i) {
      if (is_cancelled && is_cancelled()) return absl::CancelledError("cancelled");
      scores[i] = -5;
      for (const std::string& word : Words(passages[i])) {
        scores[i] += wanted.count(word) > 0 ? 1.0f : 0.0f;
      }
      if (absl::StrContains(std::string(passages[i]), "not-a-number")) scores[i] = std::nanf("");
    }
    return absl::OkStatus();
  }

 private:
  static std::set<std::string> Words(std::string_view text) {
    std::set<std::string> words;
    std::istringstream in{std::string(text)};
    for (std::string word; in >> word;) words.insert(std::move(word));
    return words;
  }

  const std::string fingerprint_ = "fake-reranker";
  mutable std::atomic<size_t> calls_{0};
  mutable std::atomic<size_t> passages_{0};
};

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_SUPPORT_FAKE_MODELS_H_
