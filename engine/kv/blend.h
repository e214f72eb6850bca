// One prompt on its way through the layers (engine/kv/blender.h).
#ifndef CAIRN_ENGINE_KV_BLEND_H_
#define CAIRN_ENGINE_KV_BLEND_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/kv/blender.h"
#include "engine/kv/chunk_capture.h"
#include "engine/kv/reuse_policy.h"
#include "engine/model/decoder.h"
#include "engine/model/kv_cache.h"
#include "kernels/aligned_vector.h"

namespace cairn::engine {

// In each layer: what the policy wants to see is computed, it chooses, cached rows are put in
// place, the others are computed. Not thread-safe.
class Blend {
 public:
  // All outlive it; `parts` are sound, and the sequence has room for them.
  Blend(Decoder* decoder, absl::Span<const BlendPart> parts, KvSequence* sequence,
        const BlendOptions& options);

  // As Blender::Run, once.
  absl::Status Run(ReusePolicy* policy, float* logits, size_t* bad_part);
  const ReuseUsage& usage() const { return usage_; }
  // After a Run that succeeded: tells BlendOptions::on_kept.
  void TellKept();

 private:
  // Rows that are computed together.
  struct Piece {
    size_t first = 0;  // In rows_.
    size_t count = 0;
    PassPlan plan;
  };

  size_t layers() const { return decoder_->config().layers; }
  BlendShape Shape(absl::Span<const float> question_attention) const {
    return {.layers = layers(),
            .rows = tokens_.size(),
            .kv_width = kv_width_,
            .chunks = chunks_,
            .passages = passages_,
            .known = known_,
            .question_attention = question_attention};
  }

  absl::Status RunLayers(ReusePolicy* policy, const BlendShape& shape, size_t end, float* logits);
  // Rows of chunks that go on; others are dropped from the residual stream.
  void Keep(absl::Span<const uint32_t> chunk_rows);
  void PlanPieces();
  void PlanCached();
  PassPlan PlanOf(absl::Span<const uint32_t> rows) const;
  absl::Status Compare(ReusePolicy* policy, size_t layer);
  absl::Status PlaceCached(const ReusePolicy& policy, size_t layer);
  void CorrectOffsets(const ReusePolicy& policy);
  absl::Span<const uint32_t> RowsOf(const Piece& piece) const {
    return absl::MakeConstSpan(rows_).subspan(piece.first, piece.count);
  }
  PassCapture CaptureOf(const Piece& piece);
  void Compute(size_t layer, bool capture_question);
  void ComputeLast(float* logits);
  std::vector<float> QuestionAttention(size_t layer);
  // Cached keys and values of `rows` of chunks, ascending.
  absl::Status Read(size_t layer, absl::Span<const uint32_t> rows, float* keys, float* values);

  Decoder* const decoder_;
  KvSequence* const sequence_;
  const BlendOptions& options_;
  const size_t start_;
  size_t width_ = 0;
  size_t kv_width_ = 0;
  std::vector<uint32_t> tokens_;
  std::vector<uint32_t> text_;   // Rows of no cached chunk.
  uint32_t question_begin_ = 0;  // Row: behind the last passage.
  std::vector<BlendChunk> chunks_;
  std::vector<uint64_t> known_;  // Hashes of BlendOptions::known.
  std::vector<BlendPassage> passages_;
  std::vector<size_t> part_of_chunk_;
  std::optional<ChunkCapture> capture_;  // None: nothing is to be kept.
  bool scouting_ = false;                // The layers are run once more.
  std::optional<size_t> bad_chunk_;      // That could not be read.

  std::vector<uint32_t> rows_;        // That are being computed, ascending.
  std::vector<uint32_t> chunk_rows_;  // Those of chunks.
  std::vector<Piece> pieces_;
  kernels::AlignedVector<float> hidden_;  // [rows_][width_]
  std::vector<uint32_t> cached_rows_;     // Of chunks, those that are not computed.
  PassPlan cached_plan_;
  size_t placed_layers_ = 0;  // In so many layers all chunks' rows hold what is cached.

  // Of the layer at hand.
  kernels::AlignedVector<float> keys_, values_;              // [rows_][kv_width_], computed.
  kernels::AlignedVector<float> chunk_keys_, chunk_values_;  // [chunk_rows_][kv_width_], of those.
  kernels::AlignedVector<float> known_keys_, known_values_;  // [chunk_rows_][kv_width_], cached.
  kernels::AlignedVector<float> cached_keys_, cached_values_;  // [cached_rows_][kv_width_]
  bool compared_ = false;                  // The first of them are this layer's.
  kernels::AlignedVector<float> queries_;  // [question rows][heads * head_dim]
  ReuseUsage usage_;
  uint64_t computed_rows_ = 0;  // Summed over layers.
  double loaded_bytes_ = 0;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_BLEND_H_
