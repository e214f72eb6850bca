// A teacher whose text vectors are the means of token vectors.
#ifndef CAIRN_TESTS_SUPPORT_FAKE_TEACHER_H_
#define CAIRN_TESTS_SUPPORT_FAKE_TEACHER_H_

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "chunking/text/tokenizer.h"
#include "engine/model/embedder.h"
#include "tests/engine/model/model_builder.h"

namespace cairn::testing {

// "[UNK]", then "w1", "w2" and so on; token vectors are random, the same for the same seed.
class FakeTeacher final : public engine::Embedder {
 public:
  FakeTeacher(size_t words, size_t dim, uint32_t seed = 1) : dim_(dim), vectors_(words + 1) {
    std::vector<std::string> pieces = {"[UNK]"};
    for (size_t i = 1; i <= words; ++i) pieces.push_back("w" + std::to_string(i));
    tokenizer_json_ = engine::testing::TokenizerJson(pieces);
    auto tokenizer = chunking::LoadTokenizerJson(tokenizer_json_);
    if (!tokenizer.ok()) std::abort();
    tokenizer_ = *std::move(tokenizer);
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (std::vector<float>& vector : vectors_) {
      for (size_t d = 0; d < dim; ++d) vector.push_back(normal(random));
    }
  }

  size_t dim() const override { return dim_; }
  size_t max_tokens() const override { return 0; }
  const engine::FusionAdvice& fusion() const override { return fusion_; }
  const chunking::Tokenizer& tokenizer() const override { return *tokenizer_; }
  const std::string& fingerprint() const override { return fingerprint_; }
  void set_fingerprint(std::string fingerprint) { fingerprint_ = std::move(fingerprint); }

  // Never used: a distillation hands over tokens.
  absl::Status Embed(engine::TextKind, absl::Span<const std::string_view>,
                     absl::Span<float>) const override {
    return absl::InternalError("not by tokens");
  }

  absl::Status EmbedTokens(engine::TextKind, absl::Span<const absl::Span<const uint32_t>> texts,
                           absl::Span<float> out) const override {
    if (embedded_ + texts.size() > fails_at_) return absl::UnavailableError("the teacher is ill");
    embedded_ += texts.size();
    for (size_t i = 0; i < texts.size(); ++i) {
      const absl::Span<float> vector = out.subspan(i * dim_, dim_);
      std::fill(vector.begin(), vector.end(), 0.0f);
      for (const uint32_t id : texts[i]) {
        for (size_t d = 0; d < dim_; ++d) {
          vector[d] += vectors_[id][d] / static_cast<float>(texts[i].size());
        }
      }
    }
    return absl::OkStatus();
  }

  // Texts embedded so far; more than `fails_at` are an error.
  size_t embedded() const { return embedded_; }
  void set_fails_at(size_t texts) { fails_at_ = texts; }
  const std::string& tokenizer_json() const { return tokenizer_json_; }

 private:
  const size_t dim_;
  std::vector<std::vector<float>> vectors_;
  std::string tokenizer_json_;
  std::unique_ptr<chunking::Tokenizer> tokenizer_;
  engine::FusionAdvice fusion_;
  std::string fingerprint_ = "fake";
  mutable std::atomic<size_t> embedded_ = 0;
  size_t fails_at_ = SIZE_MAX;
};

// `count` texts of 3 to 12 random words of w1 to w`words`.
inline std::vector<std::string> RandomTexts(size_t count, size_t words, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<std::string> texts(count);
  for (std::string& text : texts) {
    for (size_t n = 3 + random() % 10; n > 0; --n) {
      text += "w" + std::to_string(1 + random() % words) + " ";
    }
  }
  return texts;
}

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_SUPPORT_FAKE_TEACHER_H_
