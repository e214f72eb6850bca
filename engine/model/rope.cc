#include "engine/model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/elementwise.h"

namespace cairn::engine {
namespace {

// Where, among the pairs, a frequency makes `rotations` turns within the original context (YaRN,
// arXiv 2309.00071, section 3.2).
double CorrectionDim(double rotations, double dims, double theta, double context) {
  return dims * std::log(context / (rotations * 2 * std::numbers::pi)) / (2 * std::log(theta));
}

void ScaleYarn(const RopeScaling& scaling, double dims, double theta,
               std::vector<double>* frequencies) {
  const double context = scaling.original_context;
  const double low =
      std::max(std::floor(CorrectionDim(scaling.beta_fast, dims, theta, context)), 0.0);
  const double high =
      std::min(std::ceil(CorrectionDim(scaling.beta_slow, dims, theta, context)), dims - 1);
  for (size_t i = 0; i < frequencies->size(); ++i) {
    double& frequency = (*frequencies)[i];
    // 0: a high frequency, kept; 1: a low one, divided by the factor.
    const double width = std::max(high - low, 0.001);
    const double ramp = std::clamp((static_cast<double>(i) - low) / width, 0.0, 1.0);
    frequency = frequency / scaling.factor * ramp + frequency * (1 - ramp);
  }
}

void ScaleLlama3(const RopeScaling& scaling, std::vector<double>* frequencies) {
  const double context = scaling.original_context;
  for (double& frequency : *frequencies) {
    const double wavelength = 2 * std::numbers::pi / frequency;
    if (wavelength < context / scaling.high_freq_factor) continue;
    if (wavelength > context / scaling.low_freq_factor) {
      frequency /= scaling.factor;
      continue;
    }
    const double smooth = (context / wavelength - scaling.low_freq_factor) /
                          (scaling.high_freq_factor - scaling.low_freq_factor);
    frequency = (1 - smooth) * frequency / scaling.factor + smooth * frequency;
  }
}

}  // namespace

Rope::Rope(const ModelConfig& config) : pairing_(config.rope_pairing), theta_(config.rope_theta) {
  const RopeScaling& scaling = config.rope_scaling;
  const double dims = config.rope_dims;
  for (size_t i = 0; i < config.rope_dims / 2; ++i) {
    const double divisor = config.rope_divisors.empty() ? 1.0 : config.rope_divisors[i];
    frequencies_.push_back(std::pow(theta_, -2.0 * static_cast<double>(i) / dims) / divisor);
  }
  switch (scaling.kind) {
    case RopeScaling::Kind::kNone:
      break;
    case RopeScaling::Kind::kLinear:
      for (double& frequency : frequencies_) frequency /= scaling.factor;
      break;
    case RopeScaling::Kind::kDynamicNtk:
      dynamic_ = true;
      factor_ = scaling.factor;
      original_context_ = scaling.original_context;
      break;
    case RopeScaling::Kind::kYarn:
      ScaleYarn(scaling, dims, theta_, &frequencies_);
      attention_factor_ = scaling.attention_factor > 0
                              ? scaling.attention_factor
                              : (scaling.factor > 1 ? 0.1 * std::log(scaling.factor) + 1 : 1.0);
      break;
    case RopeScaling::Kind::kLlama3:
      ScaleLlama3(scaling, &frequencies_);
      break;
  }
}

void Rope::Angles(uint32_t position, size_t length, float* cos, float* sin) const {
  // Dynamic NTK raises the base with the length: frequency i shrinks by growth^(-2i / dims).
  double growth = 1;
  if (dynamic_ && static_cast<double>(length) > original_context_) {
    const double dims = 2 * static_cast<double>(frequencies_.size());
    const double stretch = factor_ * static_cast<double>(length) / original_context_ - factor_ + 1;
    growth = dims > 2 ? std::pow(stretch, dims / (dims - 2)) : 1;
  }
  for (size_t i = 0; i < frequencies_.size(); ++i) {
    double frequency = frequencies_[i];
    if (growth != 1) {
      frequency *= std::pow(growth, -static_cast<double>(i) / static_cast<double>(pairs()));
    }
    const double angle = frequency * position;
    cos[i] = static_cast<float>(std::cos(angle) * attention_factor_);
    sin[i] = static_cast<float>(std::sin(angle) * attention_factor_);
  }
}

void Rope::Rotate(const float* cos, const float* sin, float* head) const {
  const kernels::ElementwiseKernels& kernels = kernels::GetElementwiseKernels();
  if (pairing_ == RopePairing::kHalves) {
    kernels.rotate_halves(head, cos, sin, pairs());
  } else {
    kernels.rotate_pairs(head, cos, sin, pairs());
  }
}

void Rope::Unrotate(const float* cos, const float* sin, float* head) const {
  // The other way round; both ways multiply by the attention factor.
  std::vector<float> back(pairs());
  std::transform(sin, sin + pairs(), back.begin(), [](float s) { return -s; });
  Rotate(cos, back.data(), head);
  if (attention_factor_ == 1) return;
  const auto scale = static_cast<float>(1 / (attention_factor_ * attention_factor_));
  for (size_t i = 0; i < 2 * pairs(); ++i) head[i] *= scale;
}

}  // namespace cairn::engine
