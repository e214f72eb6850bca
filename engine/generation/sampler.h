// Chooses the next token from a model's logits.
#ifndef CAIRN_ENGINE_GENERATION_SAMPLER_H_
#define CAIRN_ENGINE_GENERATION_SAMPLER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace cairn::engine {

// The steps apply in the order of the fields, as llama.cpp's default chain has it: penalty, top-k,
// top-p, min-p, temperature, draw. So top-p and min-p see the model's own distribution (after the
// penalty), whatever the temperature; Hugging Face's generate() applies the temperature before
// top-k.
struct SamplingOptions {
  // Each distinct token among the last `penalty_window` ones, prompt included, has its logit
  // divided by this where positive and multiplied where negative (CTRL, arXiv 1909.05858). 1: off.
  float repetition_penalty = 1;
  size_t penalty_window = 64;
  uint32_t top_k = 0;  // Only the k most likely tokens; 0: all.
  float top_p = 1;     // Only the fewest most likely tokens that hold this probability together.
  float min_p = 0;     // Only tokens at least this share as likely as the most likely one.
  // Logits are divided by this before the draw. 0: the most likely token, the smallest id among
  // equals; nothing is drawn, and no step but the penalty matters.
  float temperature = 0;
  uint64_t seed = 0;
};

// InvalidArgument naming the field that is out of its range.
absl::Status CheckSamplingOptions(const SamplingOptions& options);

struct TokenLogprob {
  uint32_t id = 0;
  float logprob = 0;  // Natural logarithm of the model's own probability: no step applied.
};

struct SampledToken {
  uint32_t id = 0;
  // Where log probabilities were asked for: this token's, and the most likely ones, best first.
  std::optional<float> logprob;
  std::vector<TokenLogprob> top;
};

// ln(sum(exp(logits))), summed in double: a token's log probability is its logit minus this. Same
// bits everywhere but for the final logarithm. `logits` hold no NaN, and something finite.
double LogSumExp(absl::Span<const float> logits);

// The index of the largest, the first among equals. Internal where one is NaN or none is finite,
// or the largest is infinite: a damaged model, not a fault of the caller's.
absl::StatusOr<uint32_t> LargestLogit(absl::Span<const float> logits);

// One sequence's sampler: the same options, logits and history give the same tokens on every
// machine. The draw uses a generator of its own (xoshiro256**) and exponentials made of exactly
// rounded operations only. Not thread-safe.
class Sampler {
 public:
  // `options` have passed CheckSamplingOptions.
  explicit Sampler(const SamplingOptions& options);

  // `logits` [vocabulary], not empty; `history`: the tokens so far. `logprobs`: whether log
  // probabilities are wanted, and of how many tokens beside the chosen one.
  absl::StatusOr<SampledToken> Sample(absl::Span<const float> logits,
                                      absl::Span<const uint32_t> history,
                                      std::optional<size_t> logprobs = std::nullopt);

 private:
  struct Candidate {
    uint32_t id = 0;
    float logit = 0;
    double weight = 0;
    static bool Better(const Candidate& a, const Candidate& b) {
      return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
    }
  };

  absl::Span<const float> Penalised(absl::Span<const float> logits,
                                    absl::Span<const uint32_t> history);
  void SelectLargest(absl::Span<const float> logits, size_t count);
  void CutToTopP(float largest);
  void SelectTopP(absl::Span<const float> logits, float largest);
  void ApplyMinP(absl::Span<const float> logits, float largest, bool chosen);
  uint32_t Draw(float largest);
  uint32_t DrawFromAll(absl::Span<const float> logits, float largest);
  // weights_[i] = e^((logits[i] - largest) / temperature)
  void WeighAll(absl::Span<const float> logits, float largest, double temperature);
  double Uniform();

  const SamplingOptions options_;
  std::array<uint64_t, 4> state_;  // Of the generator.
  // Scratch, kept for its memory.
  std::vector<float> penalised_;
  std::vector<double> weights_;
  std::vector<Candidate> candidates_;
  std::vector<Candidate> boundary_;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_GENERATION_SAMPLER_H_
