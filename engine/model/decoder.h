// Decoder-only transformers (Llama, Qwen2, Qwen3 families) on the CPU.
//
// Two ways in. LanguageModel::Forward continues sequences. Beneath it, a pass is planned once
// (which rows go where, who attends to what) and then run over any range of layers, for any subset
// of a sequence's tokens, against keys and values that lie in the sequence's pages wherever they
// came from: what selective recomputation of cached chunks needs.
#ifndef CAIRN_ENGINE_MODEL_DECODER_H_
#define CAIRN_ENGINE_MODEL_DECODER_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/model/attention_plan.h"
#include "engine/model/checkpoint.h"
#include "engine/model/decoder_weights.h"
#include "engine/model/language_model.h"
#include "engine/model/rope.h"
#include "kernels/aligned_vector.h"
#include "kernels/attention.h"
#include "kernels/matmul.h"
#include "kernels/thread_team.h"

namespace cairn::engine {

struct DecoderOptions {
  size_t threads = 0;                      // 0: one for each core.
  std::optional<kernels::KvType> kv_type;  // Nothing: kernels::DefaultKvType().
  // Arithmetic of products with weights. Nothing: float32 for float32 weights, bfloat16 for 16-bit
  // weights (float32 where the CPU lacks it), int8 for quantised ones.
  std::optional<kernels::ComputeType> compute;
  size_t context_length = 0;  // Most tokens of a sequence; 0: the model's own.
  size_t max_rows = 512;  // Tokens computed together, fewer in very wide models; the rest follow.
};

// A sequence's part in a planned pass. Slots are positions in the sequence's order of keys and
// values: row i's key and value go to slots[i] (overwriting what is there), and it attends to slots
// [0, slots[i]]. All slots lie in reserved pages that the sequence does not share, and every slot
// that a row sees holds keys and values or is written by an earlier layer's pass over this plan.
struct PassSequence {
  KvSequence* sequence = nullptr;
  absl::Span<const uint32_t> slots;           // Ascending.
  absl::Span<const uint32_t> positions = {};  // For RoPE; empty: the slots.
  // Tokens that the sequence has in the end, which dynamic NTK scaling goes by (alone): the base of
  // one prompt's rotation is the same in all its passes. 0: the last position, plus one.
  size_t length = 0;
};

// Where a pass leaves what it computed; null: nowhere. Keys [layers of the run][rows]
// [kv_heads * head_dim] are those before their rotation, values have the same shape; queries
// [layers of the run][rows][heads * head_dim] are rotated, as attention takes them.
struct PassCapture {
  float* keys = nullptr;
  float* values = nullptr;
  float* queries = nullptr;
};

// A planned pass: valid for the decoder that planned it, as long as the sequences' pages stay.
struct PassPlan {
  PassPlan() = default;
  PassPlan(PassPlan&&) = default;  // Not copied: parts of it point into others.
  PassPlan& operator=(PassPlan&&) = default;

  size_t rows = 0;
  std::vector<std::vector<const std::byte*>> pages;  // By sequence: where each page begins.
  std::vector<std::byte*> row_page;                  // By row: the page it writes to.
  std::vector<uint32_t> row_token;                   // By row: its place in that page.
  kernels::AlignedVector<float> cos;                 // [rows][Rope::pairs()]
  kernels::AlignedVector<float> sin;
  AttentionPlan full;      // Of layers whose queries see everything,
  AttentionPlan windowed;  // and of those with a sliding window.
};

// Not thread-safe: one call at a time; its own threads share the work of each.
class Decoder final : public LanguageModel {
 public:
  // Loads all weights; the checkpoint must outlive the decoder, which reads embeddings from it.
  static absl::StatusOr<std::unique_ptr<Decoder>> Create(const Checkpoint& checkpoint,
                                                         const DecoderOptions& options);

  const ModelConfig& config() const { return config_; }
  size_t weight_bytes() const { return weights_.bytes(); }
  size_t threads() const { return team_.size(); }
  // The most rows that it computes together: more than these make passes slower, not faster.
  size_t max_rows() const { return max_rows_; }
  // For work between passes.
  kernels::ThreadTeam& team() { return team_; }

  // Reads all weights once, as the threads share them in decoding, and nothing else: what bounds a
  // decoding step.
  void ReadWeights();

  size_t vocabulary_size() const override { return config_.vocabulary_size; }
  size_t context_length() const override { return context_length_; }
  KvLayout kv_layout() const override;
  absl::Status Forward(absl::Span<const SequenceInput> inputs, absl::Span<float> logits) override;

  // --- Layer by layer --------------------------------------------------------------------------

  PassPlan Plan(absl::Span<const PassSequence> sequences) const;
  // The same for WriteKv alone: nothing is planned of attention.
  PassPlan PlanPlaces(absl::Span<const PassSequence> sequences) const;

  // hidden [tokens.size()][hidden_size] = the tokens' embeddings.
  void Embed(absl::Span<const uint32_t> tokens, float* hidden) const;

  // Runs layers [first, last) on hidden [plan.rows][hidden_size], the residual stream, in place.
  void RunLayers(const PassPlan& plan, size_t first, size_t last, float* hidden,
                 const PassCapture& capture = {});

  // Computes and stores the keys and values of `layer` for hidden [plan.rows][hidden_size] as the
  // layer before leaves it, and nothing else: all that the last layer has to do for tokens whose
  // logits nobody wants.
  void RunKeysAndValues(const PassPlan& plan, size_t layer, const float* hidden,
                        const PassCapture& capture = {});

  // states [rows][hidden_size] = hidden as the last layer leaves it, normed: what Logits
  // multiplies. In place where both are one.
  void NormStates(const float* hidden, size_t rows, float* states) const;

  // logits [rows][vocabulary_size] of hidden [rows][hidden_size] as the last layer leaves it.
  void Logits(const float* hidden, size_t rows, float* logits);

  // Puts keys (before their rotation) and values [plan.rows][kv_heads * head_dim] of one layer into
  // the places that the plan gives its rows, the keys turned to the rows' positions.
  void WriteKv(const PassPlan& plan, size_t layer, const float* keys, const float* values);

 private:
  // What one thread works with.
  struct Member {
    kernels::Activations activations;
    kernels::MatmulScratch matmul;
    kernels::AttentionRows attention;
  };

  // One layer's run: what all its stages read.
  struct LayerRun {
    const PassPlan& plan;
    const AttentionPlan& attention;
    const LayerWeights& weights;
    size_t layer;
    float* hidden;        // Only read by ProjectHeads.
    PassCapture capture;  // Of this layer.
  };

  // Tokens of one sequence that are computed in one pass.
  struct Piece {
    KvSequence* sequence;
    absl::Span<const uint32_t> tokens;
    size_t logits;  // Wanted for so many of the last tokens.
    size_t length;  // Of the sequence when all its pieces are done.
  };
  // The pieces' rows, one sequence after the other; `only_wanted`: just those whose logits are.
  struct Rows {
    std::vector<uint32_t> slots;
    std::vector<PassSequence> sequences;
  };
  static Rows RowsOf(absl::Span<const Piece> pieces, bool only_wanted);

  Decoder(const Checkpoint& checkpoint, const DecoderOptions& options);
  // Plans the rows' places; `planned`: what attention is planned from.
  PassPlan PlanRows(absl::Span<const PassSequence> sequences,
                    std::vector<PlannedSequence>* planned) const;
  static absl::StatusOr<std::unique_ptr<Decoder>> Load(const Checkpoint& checkpoint,
                                                       const DecoderOptions& options);

  kernels::ComputeType ComputeFor(const kernels::PackedMatrix& matrix) const;
  size_t qkv_width() const {
    return (config_.heads + 2 * size_t{config_.kv_heads}) * config_.head_dim;
  }
  void ReserveScratch(size_t rows);
  // Appends the pieces to their sequences; returns where the next logits go.
  float* ForwardPieces(absl::Span<const Piece> pieces, float* logits);

  // Stages, called by every member of the team together.
  const kernels::Activations& Encode(size_t member, const float* x, size_t rows, size_t columns,
                                     const std::vector<float>* norm, kernels::ComputeType compute);
  void RunLayer(size_t member, const LayerRun& run);
  void ProjectHeads(size_t member, const LayerRun& run, bool queries);
  void GateAndUp(size_t member, const LayerRun& run);
  template <class Compute>
  void SharePieces(size_t member, std::initializer_list<const kernels::PackedMatrix*> matrices,
                   size_t rows, Compute compute);
  void Product(size_t member, const kernels::PackedMatrix& matrix,
               const kernels::Activations& activations, float* out, size_t ld, bool accumulate);
  void RotateAndStore(size_t member, const LayerRun& run, bool queries);
  void PrepareHead(const LayerRun& run, size_t row, float* head,
                   const std::vector<float>& norm) const;
  void Attend(size_t member, const LayerRun& run);
  void AttendJob(Member* own, const LayerRun& run, const AttentionJob& job, size_t kv_head);
  void Merge(size_t member, const AttentionPlan& plan);

  const ModelConfig config_;
  const std::optional<kernels::ComputeType> compute_;
  const kernels::KvType kv_type_;
  const size_t context_length_;
  const size_t max_rows_;
  const Rope rope_;
  kernels::ThreadTeam team_;
  TensorView embeddings_;  // In the checkpoint's mapping.
  DecoderWeights weights_;

  std::vector<Member> members_;
  kernels::Activations shared_;             // Large passes: encoded by all, for all.
  kernels::AlignedVector<float> normed_;    // [members][hidden or head width]: a row being encoded.
  kernels::AlignedVector<float> qkv_;       // [rows][qkv_width()]
  kernels::AlignedVector<float> attended_;  // [rows][heads * head_dim]
  kernels::AlignedVector<float> gate_;      // [rows][intermediate]
  kernels::AlignedVector<float> up_;        // [rows][intermediate]
  kernels::AlignedVector<float> hidden_;    // [rows][hidden]
  kernels::AlignedVector<float> partials_;  // Partial attention results, [count][head_dim],
  kernels::AlignedVector<float> partial_logs_;  // and their weights.
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_DECODER_H_
