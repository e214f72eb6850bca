// A model's first layers as a model of its own.
#ifndef CAIRN_ENGINE_MODEL_FIRST_LAYERS_H_
#define CAIRN_ENGINE_MODEL_FIRST_LAYERS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model/checkpoint.h"

namespace cairn::engine {

// For what is to be proved of the way a model computes, where the whole would be too large. The
// same weights, so not a good model. Refers to `whole`, which outlives it.
class FirstLayers final : public Checkpoint {
 public:
  // As many layers as have at most `max_bytes` of float32 weights, at least two where there are
  // two.
  FirstLayers(const Checkpoint* whole, uint64_t max_bytes);

  const ModelConfig& config() const override { return config_; }
  absl::StatusOr<TensorView> Find(std::string_view name) const override {
    return whole_->Find(name);
  }
  std::vector<std::string> TensorNames() const override { return whole_->TensorNames(); }
  absl::StatusOr<std::unique_ptr<chunking::Tokenizer>> LoadTokenizer() const override {
    return whole_->LoadTokenizer();
  }
  const std::string& chat_template() const override { return whole_->chat_template(); }
  const std::string& fingerprint() const override { return whole_->fingerprint(); }
  void Drop(const TensorView& tensor) const override { whole_->Drop(tensor); }

 private:
  const Checkpoint* const whole_;
  ModelConfig config_;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_FIRST_LAYERS_H_
