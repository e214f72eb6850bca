#include "tests/support/float64_decoder.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "absl/strings/str_cat.h"
#include "kernels/block_format.h"

namespace cairn::testing {
namespace {

using engine::Checkpoint;
using engine::ModelConfig;
using engine::RopePairing;
using engine::RopeScaling;
using engine::TensorView;

absl::StatusOr<std::vector<double>> LoadValues(const Checkpoint& checkpoint,
                                               const std::string& name) {
  const absl::StatusOr<TensorView> view = checkpoint.Find(name);
  if (!view.ok()) return view.status();
  size_t count = 1;
  for (const uint64_t extent : view->shape) count *= extent;
  std::vector<float> values(count);
  kernels::Dequantize(view->format, view->bytes.data(), count, values.data());
  return std::vector<double>(values.begin(), values.end());
}

double Dot(absl::Span<const double> a, absl::Span<const double> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// out[i] = row i of `matrix` [][columns] . x + bias[i].
std::vector<double> Multiply(const std::vector<double>& matrix, absl::Span<const double> x,
                             const std::vector<double>& bias = {}) {
  std::vector<double> out(matrix.size() / x.size());
  for (size_t row = 0; row < out.size(); ++row) {
    out[row] = Dot(absl::MakeConstSpan(matrix).subspan(row * x.size(), x.size()), x);
    if (!bias.empty()) out[row] += bias[row];
  }
  return out;
}

void AddTo(absl::Span<double> x, const std::vector<double>& y) {
  for (size_t i = 0; i < x.size(); ++i) x[i] += y[i];
}

// The first key that the query at `position` sees in `layer`.
size_t FirstKey(const ModelConfig& config, size_t layer, size_t position) {
  const size_t window = config.WindowOf(static_cast<uint32_t>(layer));
  return window == 0 || position < window ? 0 : position - window + 1;
}

// YaRN's dimensions below `low` turn `beta_fast` times or more within the original context and keep
// their frequency; those from `high` on turn at most `beta_slow` times and are interpolated.
std::vector<double> YarnFrequencies(const ModelConfig& config, std::vector<double> frequencies) {
  const RopeScaling& scaling = config.rope_scaling;
  const double dims = config.rope_dims;
  const auto dimension_of = [&](double rotations) {
    return dims * std::log(scaling.original_context / (rotations * 2 * std::numbers::pi)) /
           (2 * std::log(double{config.rope_theta}));
  };
  const double low = std::max(std::floor(dimension_of(scaling.beta_fast)), 0.0);
  double high = std::min(std::ceil(dimension_of(scaling.beta_slow)), dims - 1);
  if (low == high) high += 0.001;
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    frequencies[i] *= (1 - ramp) + ramp / scaling.factor;
  }
  return frequencies;
}

std::vector<double> Llama3Frequencies(const RopeScaling& scaling, std::vector<double> frequencies) {
  for (double& frequency : frequencies) {
    // Full turns within the original context.
    const double turns = scaling.original_context * frequency / (2 * std::numbers::pi);
    const double smooth = std::clamp(
        (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor),
        0.0, 1.0);
    frequency *= smooth + (1 - smooth) / scaling.factor;
  }
  return frequencies;
}

}  // namespace

std::vector<double> RopeFrequencies(const ModelConfig& config, size_t length) {
  const RopeScaling& scaling = config.rope_scaling;
  const double dims = config.rope_dims;
  double base = config.rope_theta;
  if (scaling.kind == RopeScaling::Kind::kDynamicNtk && length > scaling.original_context) {
    const double stretch = static_cast<double>(length) / scaling.original_context;
    base *= std::pow(scaling.factor * stretch - (scaling.factor - 1), dims / (dims - 2));
  }
  std::vector<double> frequencies(config.rope_dims / 2);
  for (size_t i = 0; i < frequencies.size(); ++i) {
    frequencies[i] = std::pow(base, -2.0 * static_cast<double>(i) / dims);
    if (!config.rope_divisors.empty()) frequencies[i] /= config.rope_divisors[i];
    if (scaling.kind == RopeScaling::Kind::kLinear) frequencies[i] /= scaling.factor;
  }
  if (scaling.kind == RopeScaling::Kind::kYarn) return YarnFrequencies(config, frequencies);
  if (scaling.kind == RopeScaling::Kind::kLlama3) return Llama3Frequencies(scaling, frequencies);
  return frequencies;
}

double RopeMagnitude(const ModelConfig& config) {
  const RopeScaling& scaling = config.rope_scaling;
  if (scaling.kind != RopeScaling::Kind::kYarn) return 1;
  if (scaling.attention_factor != 0) return scaling.attention_factor;
  return scaling.factor <= 1 ? 1 : 0.1 * std::log(double{scaling.factor}) + 1;
}

absl::Status Float64Decoder::LoadLayer(const Checkpoint& checkpoint, size_t layer) {
  Layer& out = layers_[layer];
  const std::string prefix = absl::StrCat("blk.", layer, ".");
  const bool biases = config_.architecture == engine::Architecture::kQwen2;
  const bool head_norms = config_.architecture == engine::Architecture::kQwen3;
  struct Part {
    const char* name;
    std::vector<double>* values;
    bool wanted;
  };
  const Part parts[] = {
      {"attn_norm.weight", &out.attn_norm, true},
      {"attn_q.weight", &out.q, true},
      {"attn_k.weight", &out.k, true},
      {"attn_v.weight", &out.v, true},
      {"attn_q.bias", &out.q_bias, biases},
      {"attn_k.bias", &out.k_bias, biases},
      {"attn_v.bias", &out.v_bias, biases},
      {"attn_q_norm.weight", &out.q_norm, head_norms},
      {"attn_k_norm.weight", &out.k_norm, head_norms},
      {"attn_output.weight", &out.output, true},
      {"ffn_norm.weight", &out.ffn_norm, true},
      {"ffn_gate.weight", &out.gate, true},
      {"ffn_up.weight", &out.up, true},
      {"ffn_down.weight", &out.down, true},
  };
  for (const Part& part : parts) {
    if (!part.wanted) continue;
    absl::StatusOr<std::vector<double>> values = LoadValues(checkpoint, prefix + part.name);
    if (!values.ok()) return values.status();
    *part.values = *std::move(values);
  }
  return absl::OkStatus();
}

absl::StatusOr<Float64Decoder> Float64Decoder::Load(const Checkpoint& checkpoint) {
  Float64Decoder decoder;
  decoder.config_ = checkpoint.config();
  absl::StatusOr<std::vector<double>> embeddings = LoadValues(checkpoint, "token_embd.weight");
  if (!embeddings.ok()) return embeddings.status();
  decoder.embeddings_ = *std::move(embeddings);
  absl::StatusOr<std::vector<double>> norm = LoadValues(checkpoint, "output_norm.weight");
  if (!norm.ok()) return norm.status();
  decoder.output_norm_ = *std::move(norm);
  if (!decoder.config_.tied_embeddings) {
    absl::StatusOr<std::vector<double>> output = LoadValues(checkpoint, "output.weight");
    if (!output.ok()) return output.status();
    decoder.output_ = *std::move(output);
  }
  decoder.layers_.resize(decoder.config_.layers);
  for (size_t layer = 0; layer < decoder.layers_.size(); ++layer) {
    if (absl::Status status = decoder.LoadLayer(checkpoint, layer); !status.ok()) return status;
  }
  return decoder;
}

std::vector<double> Float64Decoder::Norm(absl::Span<const double> x,
                                         const std::vector<double>& weight) const {
  const double mean_square = Dot(x, x) / static_cast<double>(x.size());
  std::vector<double> out(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    out[i] = x[i] / std::sqrt(mean_square + config_.norm_epsilon) * weight[i];
  }
  return out;
}

void Float64Decoder::Rotate(absl::Span<double> head, const std::vector<double>& frequencies,
                            size_t position) const {
  const double magnitude = RopeMagnitude(config_);
  const size_t pairs = frequencies.size();
  for (size_t i = 0; i < pairs; ++i) {
    const bool interleaved = config_.rope_pairing == RopePairing::kInterleaved;
    double& first = head[interleaved ? 2 * i : i];
    double& second = head[interleaved ? 2 * i + 1 : i + pairs];
    const double angle = static_cast<double>(position) * frequencies[i];
    const double cosine = std::cos(angle) * magnitude;
    const double sine = std::sin(angle) * magnitude;
    const double turned = first * cosine - second * sine;
    second = second * cosine + first * sine;
    first = turned;
  }
}

std::vector<double> Float64Decoder::Heads(absl::Span<const double> x,
                                          const std::vector<double>& weight,
                                          const std::vector<double>& bias,
                                          const std::vector<double>& norm,
                                          const std::vector<double>& frequencies,
                                          size_t position) const {
  std::vector<double> out = Multiply(weight, x, bias);
  for (size_t begin = 0; begin < out.size(); begin += config_.head_dim) {
    const absl::Span<double> head = absl::MakeSpan(out).subspan(begin, config_.head_dim);
    if (!norm.empty()) {
      const std::vector<double> normed = Norm(head, norm);
      std::copy(normed.begin(), normed.end(), head.begin());
    }
    Rotate(head, frequencies, position);
  }
  return out;
}

std::vector<double> Float64Decoder::Attend(size_t layer, size_t position,
                                           const std::vector<double>& query,
                                           const std::vector<std::vector<double>>& keys,
                                           const std::vector<std::vector<double>>& values) const {
  const size_t dim = config_.head_dim;
  const size_t first = FirstKey(config_, layer, position);
  std::vector<double> out(query.size());
  for (size_t head = 0; head < config_.heads; ++head) {
    const size_t kv_begin = head / (config_.heads / config_.kv_heads) * dim;
    const auto query_head = absl::MakeConstSpan(query).subspan(head * dim, dim);
    std::vector<double> weights(position + 1 - first);
    for (size_t i = 0; i < weights.size(); ++i) {
      const auto key_head = absl::MakeConstSpan(keys[first + i]).subspan(kv_begin, dim);
      weights[i] = Dot(query_head, key_head) / std::sqrt(static_cast<double>(dim));
    }
    const double largest = *std::max_element(weights.begin(), weights.end());
    double total = 0;
    for (double& weight : weights) total += weight = std::exp(weight - largest);
    for (size_t i = 0; i < weights.size(); ++i) {
      for (size_t d = 0; d < dim; ++d) {
        out[head * dim + d] += weights[i] / total * values[first + i][kv_begin + d];
      }
    }
  }
  return out;
}

void Float64Decoder::RunLayer(size_t layer, const std::vector<double>& frequencies,
                              std::vector<double>* x) const {
  const Layer& weights = layers_[layer];
  const size_t hidden = config_.hidden_size;
  const size_t tokens = x->size() / hidden;
  std::vector<std::vector<double>> queries(tokens), keys(tokens), values(tokens);
  for (size_t t = 0; t < tokens; ++t) {
    const std::vector<double> normed =
        Norm(absl::MakeConstSpan(*x).subspan(t * hidden, hidden), weights.attn_norm);
    queries[t] = Heads(normed, weights.q, weights.q_bias, weights.q_norm, frequencies, t);
    keys[t] = Heads(normed, weights.k, weights.k_bias, weights.k_norm, frequencies, t);
    values[t] = Multiply(weights.v, normed, weights.v_bias);
  }
  for (size_t t = 0; t < tokens; ++t) {
    const absl::Span<double> residual = absl::MakeSpan(*x).subspan(t * hidden, hidden);
    AddTo(residual, Multiply(weights.output, Attend(layer, t, queries[t], keys, values)));
    const std::vector<double> normed = Norm(residual, weights.ffn_norm);
    std::vector<double> inner = Multiply(weights.gate, normed);
    const std::vector<double> up = Multiply(weights.up, normed);
    for (size_t i = 0; i < inner.size(); ++i) inner[i] *= up[i] / (1 + std::exp(-inner[i]));
    AddTo(residual, Multiply(weights.down, inner));
  }
}

Float64Result Float64Decoder::Forward(absl::Span<const uint32_t> tokens) const {
  const size_t hidden = config_.hidden_size;
  const std::vector<double> frequencies = RopeFrequencies(config_, tokens.size());
  std::vector<double> x;
  for (const uint32_t token : tokens) {
    const auto row = embeddings_.begin() + static_cast<ptrdiff_t>(token * hidden);
    x.insert(x.end(), row, row + static_cast<ptrdiff_t>(hidden));
  }
  Float64Result result;
  for (size_t layer = 0; layer < layers_.size(); ++layer) {
    RunLayer(layer, frequencies, &x);
    result.layers.push_back(x);
  }
  const std::vector<double>& output = config_.tied_embeddings ? embeddings_ : output_;
  for (size_t t = 0; t < tokens.size(); ++t) {
    const std::vector<double> logits =
        Multiply(output, Norm(absl::MakeConstSpan(x).subspan(t * hidden, hidden), output_norm_));
    result.logits.insert(result.logits.end(), logits.begin(), logits.end());
  }
  return result;
}

}  // namespace cairn::testing
