// Rows of vectors in a compact encoding, with the error each encoding makes.
#ifndef CAIRN_INDEX_ENCODED_ROWS_H_
#define CAIRN_INDEX_ENCODED_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include "absl/types/span.h"
#include "index/slot_set.h"
#include "index/vector_tail.h"

namespace cairn::index {

// A query in an encoding, as two parts: `coarse` encodes the query, `rest` what `coarse` leaves.
// Their sum is close enough that almost only the rows' own error remains.
struct EncodedQuery {
  std::vector<std::byte> coarse;  // [dim] elements of the encoding.
  std::vector<std::byte> rest;
  float coarse_scale = 1;  // Of int8, else 1.
  float rest_scale = 1;
  // Norms, rounded up: of the query, and of what the coarse part, and both parts, leave of it.
  float norm = 0;
  float coarse_error = 0;
  float fine_error = 0;
};

// What is known of an exact inner product: it lies within [score - error, score + error].
struct ScoreInterval {
  float score = 0;
  float error = 0;
};

// Slots [0, size()) of [dim] values each, in pages of kPageRows that never move. Thread-compatible:
// const methods may run concurrently.
class EncodedRows {
 public:
  static constexpr size_t kPageRows = 256;

  EncodedRows(size_t dim, VectorEncoding encoding);

  // `vector` [dim] is finite. A missing row has unspecified values; do not read its results.
  void Append(absl::Span<const float> vector);
  void AppendMissing();

  size_t size() const { return size_; }
  size_t dim() const { return dim_; }
  VectorEncoding encoding() const { return encoding_; }
  size_t MemoryBytes() const;

  EncodedQuery Encode(absl::Span<const float> query) const;
  // scores and errors [kPageRows]: the intervals of the rows from page * kPageRows on, from the
  // query's coarse part. Scores beyond the last row are -infinity.
  void ScanPage(const EncodedQuery& query, size_t page, float* scores, float* errors) const;
  ScoreInterval ScoreCoarse(const EncodedQuery& query, Slot slot) const;
  // A narrower interval, from both parts.
  ScoreInterval ScoreFine(const EncodedQuery& query, Slot slot) const;
  // The row itself; only with kFloat32.
  const float* Float32Row(Slot slot) const;

 private:
  static constexpr size_t kAlignment = 64;
  struct Deleter {
    void operator()(std::byte* p) const { ::operator delete[](p, std::align_val_t{kAlignment}); }
  };
  using Page = std::unique_ptr<std::byte[], Deleter>;

  std::byte* AddRow();
  const std::byte* Row(Slot slot) const {
    return pages_[slot / kPageRows].get() + slot % kPageRows * row_bytes_;
  }
  float EncodeInto(absl::Span<const float> vector, std::byte* out) const;
  void Decode(const std::byte* row, float scale, float* out) const;
  float Dot(const std::byte* query, const std::byte* row) const;
  float Error(const EncodedQuery& query, float query_error, size_t slot) const {
    return query.norm * errors_[slot] + query_error * norms_[slot] + rounding_;
  }

  size_t dim_;
  VectorEncoding encoding_;
  size_t row_bytes_;
  float rounding_;  // Bounds the float rounding of an inner product of unit vectors, twice.
  size_t size_ = 0;
  std::vector<Page> pages_;
  // By slot.
  std::vector<float> scales_;  // Of int8, else 1.
  std::vector<float> norms_;   // Of the encoded row, rounded up.
  std::vector<float> errors_;  // Norm of the vector less the encoded row, rounded up.
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_ENCODED_ROWS_H_
