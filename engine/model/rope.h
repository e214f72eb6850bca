// Rotary position embedding: the angles of a model's positions.
#ifndef CAIRN_ENGINE_MODEL_ROPE_H_
#define CAIRN_ENGINE_MODEL_ROPE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "engine/model/checkpoint.h"

namespace cairn::engine {

// The frequencies that a model turns its heads' dimensions with. Immutable.
class Rope {
 public:
  explicit Rope(const ModelConfig& config);

  size_t pairs() const { return frequencies_.size(); }

  // Cosines and sines [pairs()] of one position in a sequence of `length` tokens (which counts for
  // dynamic NTK scaling alone), times the scaling's attention factor. Angles are computed in
  // float64: float32 would drift at large positions.
  void Angles(uint32_t position, size_t length, float* cos, float* sin) const;

  // Turns the leading dimensions of one head's query or key in place.
  void Rotate(const float* cos, const float* sin, float* head) const;
  // Takes Rotate back, up to rounding: the key before its rotation.
  void Unrotate(const float* cos, const float* sin, float* head) const;

 private:
  std::vector<double> frequencies_;  // Radians per position.
  RopePairing pairing_;
  double attention_factor_ = 1;
  // Dynamic NTK only: what the base grows from.
  bool dynamic_ = false;
  double theta_ = 0;
  double factor_ = 1;
  double original_context_ = 0;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_ROPE_H_
