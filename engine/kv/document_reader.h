// Reads documents once, and keeps the keys and values of every piece.
#ifndef CAIRN_ENGINE_KV_DOCUMENT_READER_H_
#define CAIRN_ENGINE_KV_DOCUMENT_READER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/kv/chunk_attention_tally.h"
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
  using Pieces = absl::Span<const absl::Span<const uint32_t>>;
  using PiecesKv = std::vector<std::shared_ptr<const ChunkKvBuffer>>;

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
  absl::StatusOr<PiecesKv> Read(Pieces pieces);

  // Reads short documents, all of each, beside the one that Read is at: as many rows as there are
  // together make faster passes than a few of one document's. By document. The same errors;
  // besides, InvalidArgument for a document that does not fit the window.
  absl::StatusOr<std::vector<PiecesKv>> ReadTogether(absl::Span<const Pieces> documents);

 private:
  struct Piece {
    std::shared_ptr<ChunkKvBuffer> kv;
    uint64_t hash = 0;
    uint32_t slot = 0;
  };
  // A document, or as much of it as the window has.
  struct Reading {
    explicit Reading(KvSequence kv) : sequence(std::move(kv)) {}

    KvSequence sequence;
    std::deque<Piece> pieces;      // In order.
    size_t first = 0;              // The pieces from here on are being computed,
    std::vector<uint32_t> tokens;  // and these are theirs, one behind the other;
    size_t done = 0;               // of which so many are.
    std::optional<ChunkAttentionTally> tally;
  };
  // A reading's part in a pass: the next `count` of its tokens.
  struct Part {
    Reading* reading = nullptr;
    size_t count = 0;
    size_t row = 0;  // Of the pass: the first of them.
    std::vector<uint32_t> slots;
  };

  DocumentReader(Decoder* decoder, KvPool* pool, const DocumentReaderOptions& options);
  absl::Status ReadPreface(absl::Span<const uint32_t> preface);
  Reading NewReading() { return Reading(preface_.Fork(preface_.length())); }
  absl::Status Check(absl::Span<const uint32_t> piece) const;
  // Whether pieces of `tokens` tokens together may be computed at once: where the window slides for
  // them, half of it stays.
  bool Joins(size_t tokens) const;
  // So that `tokens` more fit.
  absl::Status Slide(size_t tokens);
  absl::Status Place(Piece* piece);
  // Appends pieces that are to be computed.
  void Append(Pieces pieces, Reading* reading) const;
  // Computes what has been appended, and takes it into `*read`.
  absl::Status Compute(absl::Span<Reading* const> readings);
  absl::Status ComputePass(absl::Span<Part> parts);
  static void Take(const Reading& reading, PiecesKv* read);

  Decoder* const decoder_;
  const DocumentReaderOptions options_;
  const KvShape shape_;
  size_t window_ = 0;
  KvSequence preface_;
  Reading reading_;
  kernels::AlignedVector<float> hidden_, keys_, values_, queries_;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_DOCUMENT_READER_H_
