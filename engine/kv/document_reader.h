// Reads documents once, and keeps the keys and values of every piece.
#ifndef CAIRN_ENGINE_KV_DOCUMENT_READER_H_
#define CAIRN_ENGINE_KV_DOCUMENT_READER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/kv/chunk_kv_buffer.h"
#include "engine/kv/kv_encoding.h"
#include "engine/kv/kv_source.h"
#include "engine/model/decoder.h"
#include "engine/model/kv_cache.h"
#include "kernels/aligned_vector.h"

namespace cairn::engine {

struct DocumentReaderOptions {
  KvSource source = KvSource::kDocument;
  KvEncoding encoding = KvEncoding::kF16;
  // Tokens that are seen together, the preface included: of a longer document, a piece sees the
  // preface and at least the last half window. 0: 4,096; at most the model's context.
  size_t window = 0;
  // Also computes ChunkAttention, in this many layers, evenly spaced. 0: none.
  size_t attention_layers = 0;
  std::function<bool()> is_cancelled;  // Asked at each layer of each pass. Optional.
};

// A pass over one document after the other, piece by piece: a piece is a chunk, or a sentence where
// chunks are yet to be found. Where the window is full it slides: the older half leaves, and the
// pieces of the other half move to the front, their keys turned anew; nothing is computed twice.
// Not thread-safe; uses the decoder.
class DocumentReader {
 public:
  // The decoder and the pool, of its layout, outlive this. InvalidArgument for an unknown token in
  // the preface, or a window that leaves no room beside it.
  static absl::StatusOr<std::unique_ptr<DocumentReader>> Create(
      Decoder* decoder, KvPool* pool, absl::Span<const uint32_t> preface,
      const DocumentReaderOptions& options);

  // Forgets the document: what is read next is the beginning of another.
  void Begin();

  // The most tokens that a piece may have.
  size_t room() const { return window_ - preface_.length(); }

  // Reads on. The keys and values of each piece, in order; those of an empty piece have no tokens.
  // InvalidArgument for a piece that does not fit the window, ResourceExhausted (no pages),
  // Cancelled: the document has to be begun anew then.
  absl::StatusOr<std::vector<std::shared_ptr<const ChunkKvBuffer>>> Read(
      absl::Span<const absl::Span<const uint32_t>> pieces);

 private:
  struct Piece {
    std::shared_ptr<ChunkKvBuffer> kv;
    uint64_t hash = 0;
    uint32_t slot = 0;
  };

  DocumentReader(Decoder* decoder, KvPool* pool, const DocumentReaderOptions& options);
  absl::Status ReadPreface(absl::Span<const uint32_t> preface);
  // Whether pieces of `tokens` tokens together may be computed at once: where the window slides for
  // them, half of it stays.
  bool Joins(size_t tokens) const;
  // So that `tokens` more fit.
  absl::Status Slide(size_t tokens);
  absl::Status Place(Piece* piece);
  // Computes tokens of pieces [first, pieces_.size()), which stand at the sequence's end.
  absl::Status Compute(absl::Span<const uint32_t> tokens, size_t first);
  absl::Status ComputePass(absl::Span<const uint32_t> tokens, size_t first);
  bool LooksAt(size_t layer) const;
  void AddAttention(size_t layer, absl::Span<const uint32_t> slots, size_t first);

  Decoder* const decoder_;
  const DocumentReaderOptions options_;
  const KvShape shape_;
  size_t window_ = 0;
  KvSequence preface_;
  KvSequence sequence_;
  std::deque<Piece> pieces_;                // In the window, in order.
  std::vector<ChunkAttention> attentions_;  // Of those being computed.
  kernels::AlignedVector<float> hidden_, keys_, values_, queries_;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_DOCUMENT_READER_H_
