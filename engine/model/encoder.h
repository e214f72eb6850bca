// Encoders of the BERT family (arXiv 1810.04805): every token sees every other of its text.
#ifndef CAIRN_ENGINE_MODEL_ENCODER_H_
#define CAIRN_ENGINE_MODEL_ENCODER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "engine/model/encoder_checkpoint.h"
#include "kernels/attention.h"
#include "kernels/matmul.h"
#include "kernels/packed_matrix.h"

namespace cairn::engine {

struct EncoderOptions {
  // Arithmetic of the products with weights; those of other types are converted when they are
  // loaded. Absent: bfloat16 where the CPU multiplies it, else float32.
  std::optional<kernels::ComputeType> compute;
};

struct EncoderText {
  // With the special tokens; at least one, at most EncoderConfig::max_tokens(), all below the
  // vocabulary's size.
  absl::Span<const uint32_t> tokens;
  size_t second = SIZE_MAX;  // Tokens from here on are a second text's (token type 1).
};

// Whose states are wanted.
enum class EncoderRows : uint8_t { kAll, kFirst };

// Texts lie behind one another without padding (ByteTransformer, arXiv 2210.03052), so that a
// batch costs what its tokens cost. Thread-safe: each call works on its own thread, in memory that
// later calls use again.
class Encoder {
 public:
  // The checkpoint must outlive the encoder, which reads its embeddings where they are mapped.
  // ResourceExhausted without memory for the weights.
  static absl::StatusOr<std::unique_ptr<Encoder>> Load(const EncoderCheckpoint* checkpoint,
                                                       const EncoderOptions& options);
  ~Encoder();

  const EncoderConfig& config() const { return config_; }

  // Fills `states`: the last layer's, of all tokens [sum of tokens][hidden] or of each text's first
  // [texts][hidden]. A text's states do not depend on the other texts. ResourceExhausted without
  // memory for the texts. `is_cancelled` (may be null) is asked before each layer; true ends the
  // call with Cancelled.
  absl::Status Run(absl::Span<const EncoderText> texts, EncoderRows rows, float* states,
                   const std::function<bool()>& is_cancelled = nullptr) const;

  // logits [labels] of a classification head from a first token's state [hidden]. The model has
  // one.
  void Classify(const float* state, float* logits) const;

 private:
  struct Dense {
    kernels::PackedMatrix weight;
    std::vector<float> bias;
  };
  struct Norm {
    std::vector<float> weight, bias;
  };
  struct Layer {
    Dense query, key_value, attended, up, down;
    Norm attention_norm, output_norm;
  };
  class Loader;
  struct Pass;  // One call's memory.

  Encoder(const EncoderCheckpoint* checkpoint, kernels::ComputeType compute);

  absl::Status RunPass(absl::Span<const EncoderText> texts, EncoderRows rows,
                       const std::function<bool()>& is_cancelled, Pass* pass) const;
  void Embed(absl::Span<const EncoderText> texts, Pass* pass) const;
  void RunLayer(const Layer& layer, absl::Span<const EncoderText> texts, bool first_only,
                Pass* pass) const;
  void Attend(absl::Span<const EncoderText> texts, bool first_only, Pass* pass) const;
  void AddRow(const TensorView& table, size_t row, Pass* pass, float* to) const;
  void Apply(const Dense& dense, const float* in, size_t rows, size_t columns, bool accumulate,
             Pass* pass, float* out) const;
  void Activate(const Layer& layer, size_t rows, Pass* pass) const;
  void NormRows(const Dense& dense, const Norm& norm, size_t rows, float* hidden) const;
  std::unique_ptr<Pass> TakePass() const;

  const EncoderCheckpoint* const checkpoint_;
  const EncoderConfig config_;
  const kernels::ComputeType compute_;
  const kernels::KvType kv_type_;
  Norm embedding_norm_;
  std::vector<Layer> layers_;
  std::vector<float> pooler_weight_, pooler_bias_;  // [hidden][hidden], [hidden]
  std::vector<float> classifier_weight_, classifier_bias_;

  mutable absl::Mutex mutex_;
  mutable std::vector<std::unique_ptr<Pass>> idle_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_ENCODER_H_
