// A language model whose answers can be known beforehand, and which believes its pages alone.
#ifndef CAIRN_TESTS_SUPPORT_FAKE_LANGUAGE_MODEL_H_
#define CAIRN_TESTS_SUPPORT_FAKE_LANGUAGE_MODEL_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/model/language_model.h"

namespace cairn::testing {

// Writes the token ids into the pages, and computes logits from the ids that it finds there: where
// pages are shared or copied wrongly, other tokens come out. Counts what it is asked to compute.
class FakeLanguageModel final : public engine::LanguageModel {
 public:
  using Tokens = std::vector<uint32_t>;
  struct Pass {
    std::vector<size_t> inputs;  // Tokens of each.
    size_t rows = 0;
    size_t tokens() const {
      size_t sum = 0;
      for (const size_t n : inputs) sum += n;
      return sum;
    }
  };

  explicit FakeLanguageModel(size_t vocabulary, size_t context = 4096)
      : vocabulary_(vocabulary), context_(context) {}

  size_t vocabulary_size() const override { return vocabulary_; }
  size_t context_length() const override { return context_; }
  engine::KvLayout kv_layout() const override { return {kernels::KvType::kF32, 2, 1, 4}; }

  absl::Status Forward(absl::Span<const engine::SequenceInput> inputs,
                       absl::Span<float> logits) override {
    if (before_pass) {
      absl::Status status = before_pass();
      if (!status.ok()) return status;
    }
    Pass pass;
    for (const engine::SequenceInput& input : inputs) {
      const absl::Status status = Check(input);
      if (!status.ok()) return status;
      pass.inputs.push_back(input.tokens.size());
      pass.rows += input.logits;
    }
    EXPECT_EQ(logits.size(), pass.rows * vocabulary_);
    for (const engine::SequenceInput& input : inputs) {
      const absl::Status status = input.sequence->Reserve(input.tokens.size());
      if (!status.ok()) return status;
    }
    for (const engine::SequenceInput& input : inputs) {
      for (size_t i = 0; i < input.tokens.size(); ++i) {
        Append(input.sequence, input.tokens[i]);
        if (i + input.logits < input.tokens.size()) continue;
        Fill(History(*input.sequence), logits.first(vocabulary_));
        logits.remove_prefix(vocabulary_);
      }
    }
    passes.push_back(std::move(pass));
    return absl::OkStatus();
  }

  // The logits after `history`.
  void Fill(absl::Span<const uint32_t> history, absl::Span<float> logits) const {
    uint64_t hash = 0xcbf29ce484222325;
    for (const uint32_t token : history) hash = Mix(hash ^ (token + 1));
    for (size_t i = 0; i < logits.size(); ++i) {
      logits[i] = static_cast<float>(Mix(hash + i) >> 40) * 0x1p-21f - 4;
    }
    if (adjust) adjust(history, logits);
  }

  // The most likely token after `history`.
  uint32_t Next(absl::Span<const uint32_t> history) const {
    std::vector<float> logits(vocabulary_);
    Fill(history, absl::MakeSpan(logits));
    return static_cast<uint32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  }
  // The `count` tokens that greedy sampling gives after `prompt`.
  Tokens Continue(Tokens prompt, size_t count) const {
    Tokens answer;
    for (; count > 0; --count) {
      answer.push_back(Next(prompt));
      prompt.push_back(answer.back());
    }
    return answer;
  }

  size_t computed_tokens() const {
    size_t sum = 0;
    for (const Pass& pass : passes) sum += pass.tokens();
    return sum;
  }

  std::vector<Pass> passes;
  // Called before every pass; its fault is the pass's.
  std::function<absl::Status()> before_pass;
  // May change the logits after a history.
  std::function<void(absl::Span<const uint32_t> history, absl::Span<float> logits)> adjust;

 private:
  static uint64_t Mix(uint64_t x) {
    x = (x ^ x >> 31) * 0x7fb5d329728ea185;
    x = (x ^ x >> 27) * 0x81dadef4bc2dd44d;
    return x ^ x >> 33;
  }

  absl::Status Check(const engine::SequenceInput& input) const {
    EXPECT_FALSE(input.tokens.empty());
    EXPECT_LE(input.logits, input.tokens.size());
    for (const uint32_t token : input.tokens) {
      if (token >= vocabulary_) return absl::InvalidArgumentError("unknown token");
    }
    if (input.sequence->length() + input.tokens.size() > context_) {
      return absl::InvalidArgumentError("beyond the context");
    }
    return absl::OkStatus();
  }

  static void Append(engine::KvSequence* sequence, uint32_t token) {
    const size_t at = sequence->length();
    const engine::KvPageRef& page = sequence->pages()[at / engine::kKvPageTokens];
    EXPECT_EQ(page.use_count(), 1) << "writes to a shared page";
    std::memcpy(page->tile(1, 0) + at % engine::kKvPageTokens * sizeof(token), &token,
                sizeof(token));
    sequence->Extend(1);
  }

  static Tokens History(const engine::KvSequence& sequence) {
    Tokens history(sequence.length());
    for (size_t i = 0; i < history.size(); ++i) {
      const engine::KvPage& page = *sequence.pages()[i / engine::kKvPageTokens];
      std::memcpy(&history[i], page.tile(1, 0) + i % engine::kKvPageTokens * sizeof(uint32_t),
                  sizeof(uint32_t));
    }
    return history;
  }

  const size_t vocabulary_;
  const size_t context_;
};

}  // namespace cairn::testing

#endif  // CAIRN_TESTS_SUPPORT_FAKE_LANGUAGE_MODEL_H_
