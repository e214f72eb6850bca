// Compiled without contraction of products and sums (sources.cmake), so that every machine computes
// the same.
#include "engine/generation/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"

namespace cairn::engine {
namespace {

// Top-p sorts logits into buckets of 1/64 by their distance from the largest; the last one holds
// everything from 32 on.
constexpr size_t kBuckets = 2048;

size_t BucketOf(float distance) {
  const float scaled = distance * 64;
  return scaled < static_cast<float>(kBuckets - 1) ? static_cast<size_t>(scaled) : kBuckets - 1;
}

// e^x for x <= 0, to about 1e-15 relative: 2^n times a Taylor series on [-ln 2 / 2, ln 2 / 2].
// Additions and multiplications only, no library call whose rounding may differ, and no branch, so
// that loops over it vectorise. Below e^-708: 0.
inline double ExpOfNonPositive(double x) {
  constexpr double kLeast = -708;
  constexpr double kLog2E = 1.4426950408889634;
  constexpr double kLn2High = 6.93147180369123816490e-01;  // 21 trailing zero bits.
  constexpr double kLn2Low = 1.90821492927058770002e-10;
  constexpr double kRound = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to an integer.
  const double clamped = x > kLeast ? x : kLeast;
  const double shifted = clamped * kLog2E + kRound;
  const double n = shifted - kRound;
  const double r = clamped - n * kLn2High - n * kLn2Low;
  double p = 1.0 / 6227020800;
  p = p * r + 1.0 / 479001600;
  p = p * r + 1.0 / 39916800;
  p = p * r + 1.0 / 3628800;
  p = p * r + 1.0 / 362880;
  p = p * r + 1.0 / 40320;
  p = p * r + 1.0 / 5040;
  p = p * r + 1.0 / 720;
  p = p * r + 1.0 / 120;
  p = p * r + 1.0 / 24;
  p = p * r + 1.0 / 6;
  p = p * r + 0.5;
  p = p * r + 1;
  p = p * r + 1;
  // The low bits of `shifted` are n; moved to the exponent's place they multiply by 2^n.
  const uint64_t bits = std::bit_cast<uint64_t>(p) + (std::bit_cast<uint64_t>(shifted) << 52);
  return x > kLeast ? std::bit_cast<double>(bits) : 0.0;
}

// Sum of e^(logits[i] - largest), in an order that does not depend on the machine.
double SumOfWeights(absl::Span<const float> logits, double largest) {
  constexpr size_t kLanes = 8;
  std::array<double, kLanes> sums{};
  size_t i = 0;
  for (; i + kLanes <= logits.size(); i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) {
      sums[j] += ExpOfNonPositive(static_cast<double>(logits[i + j]) - largest);
    }
  }
  for (; i < logits.size(); ++i) {
    sums[0] += ExpOfNonPositive(static_cast<double>(logits[i]) - largest);
  }
  double sum = 0;
  for (const double s : sums) sum += s;
  return sum;
}

// The largest of logits[0, n); NaNs are noted, and otherwise ignored. Lanes that the compiler keeps
// in one register.
float LargestOf(const float* logits, size_t n, bool* nan) {
  constexpr size_t kLanes = 16;
  std::array<float, kLanes> best;
  best.fill(-std::numeric_limits<float>::infinity());
  std::array<int32_t, kLanes> unordered{};
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) {
      const float v = logits[i + j];
      best[j] = v > best[j] ? v : best[j];
      unordered[j] |= v != v;
    }
  }
  for (; i < n; ++i) {
    best[0] = logits[i] > best[0] ? logits[i] : best[0];
    unordered[0] |= logits[i] != logits[i];
  }
  for (const int32_t u : unordered) *nan |= u != 0;
  return *std::max_element(best.begin(), best.end());
}

// Weyl sequence with a finaliser (SplitMix64): spreads a seed over the generator's state.
uint64_t SplitMix(uint64_t* state) {
  uint64_t z = *state += 0x9E3779B97F4A7C15;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
  z = (z ^ z >> 27) * 0x94D049BB133111EB;
  return z ^ z >> 31;
}

// The most likely tokens with their log probabilities, best first.
std::vector<TokenLogprob> TopLogprobs(absl::Span<const float> logits, double log_sum,
                                      size_t count) {
  std::vector<TokenLogprob> top;
  const auto better = [](const TokenLogprob& a, const TokenLogprob& b) {
    return a.logprob != b.logprob ? a.logprob > b.logprob : a.id < b.id;
  };
  count = std::min(count, logits.size());
  // A heap whose front is the worst; holds logits until it is complete.
  for (uint32_t id = 0; count > 0 && id < logits.size(); ++id) {
    if (top.size() == count) {
      if (!(logits[id] > top.front().logprob)) continue;
      std::pop_heap(top.begin(), top.end(), better);
      top.pop_back();
    }
    top.push_back({id, logits[id]});
    std::push_heap(top.begin(), top.end(), better);
  }
  std::sort_heap(top.begin(), top.end(), better);
  for (TokenLogprob& t : top) {
    t.logprob = static_cast<float>(static_cast<double>(t.logprob) - log_sum);
  }
  return top;
}

}  // namespace

absl::Status CheckSamplingOptions(const SamplingOptions& options) {
  const auto fault = [](const char* what, float value) {
    return absl::InvalidArgumentError(absl::StrCat(what, ", not ", value));
  };
  // Written so that NaN fails.
  if (!(options.repetition_penalty > 0 && std::isfinite(options.repetition_penalty))) {
    return fault("repetition penalty must be positive", options.repetition_penalty);
  }
  if (!(options.top_p > 0 && options.top_p <= 1)) {
    return fault("top-p must be above 0 and at most 1", options.top_p);
  }
  if (!(options.min_p >= 0 && options.min_p <= 1)) {
    return fault("min-p must be from 0 to 1", options.min_p);
  }
  if (!(options.temperature >= 0 && std::isfinite(options.temperature))) {
    return fault("temperature must be 0 or more", options.temperature);
  }
  return absl::OkStatus();
}

double LogSumExp(absl::Span<const float> logits) {
  bool nan = false;
  const double largest = LargestOf(logits.data(), logits.size(), &nan);
  return largest + std::log(SumOfWeights(logits, largest));
}

absl::StatusOr<uint32_t> LargestLogit(absl::Span<const float> logits) {
  // One pass over the memory: only the block that held the largest is looked at again.
  constexpr size_t kBlock = 1024;
  float largest = -std::numeric_limits<float>::infinity();
  size_t where = 0;
  bool nan = false;
  for (size_t i = 0; i < logits.size(); i += kBlock) {
    const float best = LargestOf(&logits[i], std::min(kBlock, logits.size() - i), &nan);
    if (best > largest) {
      largest = best;
      where = i;
    }
  }
  if (nan) return absl::InternalError("the model computed logits that are not numbers");
  if (!std::isfinite(largest)) {
    return absl::InternalError("the model computed logits of which the largest is infinite");
  }
  while (logits[where] != largest) ++where;
  return static_cast<uint32_t>(where);
}

Sampler::Sampler(const SamplingOptions& options) : options_(options) {
  uint64_t seed = options.seed;
  for (uint64_t& s : state_) s = SplitMix(&seed);
}

absl::StatusOr<SampledToken> Sampler::Sample(absl::Span<const float> logits,
                                             absl::Span<const uint32_t> history,
                                             std::optional<size_t> logprobs) {
  const absl::Span<const float> penalised = Penalised(logits, history);
  const absl::StatusOr<uint32_t> best = LargestLogit(penalised);
  if (!best.ok()) return best.status();
  SampledToken token{*best, std::nullopt, {}};
  const float largest = penalised[*best];
  if (options_.temperature > 0 && options_.top_k != 1) {
    const bool choose_k = options_.top_k > 0 && options_.top_k < penalised.size();
    const bool choose_p = options_.top_p < 1;
    if (choose_k) SelectLargest(penalised, options_.top_k);
    if (choose_k && choose_p) CutToTopP(largest);
    if (!choose_k && choose_p) SelectTopP(penalised, largest);
    if (options_.min_p > 0) ApplyMinP(penalised, largest, choose_k || choose_p);
    token.id = choose_k || choose_p || options_.min_p > 0 ? Draw(largest)
                                                          : DrawFromAll(penalised, largest);
  }
  if (logprobs.has_value()) {
    const double log_sum = LogSumExp(logits);
    token.logprob = static_cast<float>(static_cast<double>(logits[token.id]) - log_sum);
    token.top = TopLogprobs(logits, log_sum, *logprobs);
  }
  return token;
}

absl::Span<const float> Sampler::Penalised(absl::Span<const float> logits,
                                           absl::Span<const uint32_t> history) {
  if (options_.repetition_penalty == 1 || options_.penalty_window == 0) return logits;
  penalised_.assign(logits.begin(), logits.end());
  if (history.size() > options_.penalty_window) {
    history.remove_prefix(history.size() - options_.penalty_window);
  }
  for (const uint32_t id : history) {
    if (id >= logits.size()) continue;
    // From the original, so that a token that came twice is not punished twice.
    penalised_[id] = logits[id] > 0 ? logits[id] / options_.repetition_penalty
                                    : logits[id] * options_.repetition_penalty;
  }
  return penalised_;
}

// Candidates: the `count` largest logits, best first, the smaller id among equals.
void Sampler::SelectLargest(absl::Span<const float> logits, size_t count) {
  const auto better = Candidate::Better;
  candidates_.clear();
  if (count >= logits.size() / 8) {  // A heap would be slower than this.
    for (uint32_t id = 0; id < logits.size(); ++id) candidates_.push_back({id, logits[id], 0});
    count = std::min(count, candidates_.size());
    const auto end = candidates_.begin() + static_cast<ptrdiff_t>(count);
    std::nth_element(candidates_.begin(), end, candidates_.end(), better);
    candidates_.erase(end, candidates_.end());
    std::sort(candidates_.begin(), candidates_.end(), better);
    return;
  }
  // A heap whose front is the worst candidate: nearly every logit fails the first comparison.
  for (uint32_t id = 0; id < logits.size(); ++id) {
    if (candidates_.size() == count) {
      if (!(logits[id] > candidates_.front().logit)) continue;
      std::pop_heap(candidates_.begin(), candidates_.end(), better);
      candidates_.pop_back();
    }
    candidates_.push_back({id, logits[id], 0});
    std::push_heap(candidates_.begin(), candidates_.end(), better);
  }
  std::sort_heap(candidates_.begin(), candidates_.end(), better);
}

// Of the candidates, best first, keeps the fewest that hold top_p of their probability.
void Sampler::CutToTopP(float largest) {
  double total = 0;
  for (Candidate& c : candidates_) {
    c.weight = ExpOfNonPositive(static_cast<double>(c.logit) - largest);
    total += c.weight;
  }
  double left = options_.top_p * total;
  size_t keep = 0;
  while (keep < candidates_.size() && (keep == 0 || left > 0)) left -= candidates_[keep++].weight;
  candidates_.resize(keep);
}

// Candidates: the fewest of all tokens that hold top_p of the probability. Without sorting them
// all: only the bucket in which the probability is reached needs an order.
void Sampler::SelectTopP(absl::Span<const float> logits, float largest) {
  WeighAll(logits, largest, 1);
  std::array<double, kBuckets> masses{};
  for (size_t i = 0; i < logits.size(); ++i) masses[BucketOf(largest - logits[i])] += weights_[i];
  double left = 0;
  for (const double mass : masses) left += mass;
  left *= options_.top_p;
  size_t last = 0;
  for (; last + 1 < kBuckets && masses[last] < left; ++last) left -= masses[last];
  candidates_.clear();
  boundary_.clear();
  for (uint32_t id = 0; id < logits.size(); ++id) {
    const size_t bucket = BucketOf(largest - logits[id]);
    if (bucket < last) candidates_.push_back({id, logits[id], 0});
    if (bucket == last) boundary_.push_back({id, logits[id], weights_[id]});
  }
  std::sort(boundary_.begin(), boundary_.end(), Candidate::Better);
  for (const Candidate& c : boundary_) {
    if (left <= 0 && !candidates_.empty()) break;
    left -= c.weight;
    candidates_.push_back(c);
  }
}

// `chosen`: whether an earlier step has made candidates; otherwise all tokens are meant.
void Sampler::ApplyMinP(absl::Span<const float> logits, float largest, bool chosen) {
  const auto likely = [&](float logit) {
    return ExpOfNonPositive(static_cast<double>(logit) - largest) >= options_.min_p;
  };
  if (chosen) {
    std::erase_if(candidates_, [&](const Candidate& c) { return !likely(c.logit); });
    return;
  }
  candidates_.clear();
  // No more than a filter: what it lets through by mistake, `likely` refuses.
  const float least = largest + std::log(options_.min_p) - 1;
  for (uint32_t id = 0; id < logits.size(); ++id) {
    if (logits[id] >= least && likely(logits[id])) candidates_.push_back({id, logits[id], 0});
  }
}

uint32_t Sampler::Draw(float largest) {
  double total = 0;
  for (Candidate& c : candidates_) {
    c.weight = ExpOfNonPositive((static_cast<double>(c.logit) - largest) / options_.temperature);
    total += c.weight;
  }
  double left = Uniform() * total;
  uint32_t last = candidates_.front().id;
  for (const Candidate& c : candidates_) {
    if (c.weight == 0) continue;
    last = c.id;
    left -= c.weight;
    if (left < 0) break;
  }
  return last;
}

uint32_t Sampler::DrawFromAll(absl::Span<const float> logits, float largest) {
  WeighAll(logits, largest, options_.temperature);
  double left = 0;
  for (const double weight : weights_) left += weight;
  left *= Uniform();
  uint32_t last = 0;
  for (uint32_t id = 0; id < weights_.size(); ++id) {
    if (weights_[id] == 0) continue;
    last = id;
    left -= weights_[id];
    if (left < 0) break;
  }
  return last;
}

void Sampler::WeighAll(absl::Span<const float> logits, float largest, double temperature) {
  weights_.resize(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    weights_[i] = ExpOfNonPositive((static_cast<double>(logits[i]) - largest) / temperature);
  }
}

// xoshiro256** (Blackman and Vigna, 2018); the upper 53 bits as a number in [0, 1).
double Sampler::Uniform() {
  const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = std::rotl(state_[3], 45);
  return static_cast<double>(result >> 11) * 0x1p-53;
}

}  // namespace cairn::engine
