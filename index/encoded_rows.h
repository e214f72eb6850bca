// Rows of vectors in a compact encoding, with the error each encoding makes.
#ifndef CAIRN_INDEX_ENCODED_ROWS_H_
#define CAIRN_INDEX_ENCODED_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "index/slot_set.h"
#include "index/vector_encoding.h"

namespace cairn::index {

// InvalidArgument unless `vector` has `dim` finite values and a norm within 1e-3 of 1.
absl::Status CheckUnitVector(absl::Span<const float> vector, size_t dim);

// Bytes of an encoded row.
size_t EncodedRowBytes(size_t dim, VectorEncoding encoding);

// What is kept of a row beside its code.
struct RowMeasures {
  float scale = 1;  // Of int8, else 1.
  float norm = 0;   // Of the encoded row, rounded up.
  float error = 0;  // Norm of the vector less the encoded row, rounded up.
};

// Encodes a finite vector into `out` [EncodedRowBytes]. If `rest` is not null it receives the
// vector less the encoded row.
RowMeasures EncodeRow(absl::Span<const float> vector, VectorEncoding encoding, std::byte* out,
                      float* rest = nullptr);

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

// Where encoded rows lie; all outlives the views of it.
struct RowStorage {
  const std::byte* rows = nullptr;          // [slots] rows in one piece; or null, then
  const std::byte* const* pages = nullptr;  // pages of kPageRows rows each.
  const float* scales = nullptr;            // [slots]; null but for int8.
  // [slots]; null for float32, whose rows are exact.
  const float* norms = nullptr;
  const float* errors = nullptr;
};

// Slots [0, size()) of [dim] encoded values each, in memory or in a mapped file. Cheap to copy;
// thread-safe as long as nobody writes to the storage.
class EncodedRowsView {
 public:
  static constexpr size_t kPageRows = 256;

  EncodedRowsView(size_t size, size_t dim, VectorEncoding encoding, const RowStorage& storage);

  size_t size() const { return size_; }
  size_t dim() const { return dim_; }
  VectorEncoding encoding() const { return encoding_; }

  EncodedQuery Encode(absl::Span<const float> query) const;
  // Without the rest, which only ScoreFine reads.
  EncodedQuery EncodeCoarse(absl::Span<const float> query) const;

  // scores and errors [kPageRows]: the intervals of the rows from page * kPageRows on, from the
  // query's coarse part. Scores beyond the last row are -infinity.
  void ScanPage(const EncodedQuery& query, size_t page, float* scores, float* errors) const;
  // Coarse scores [count] of the page's rows page * kPageRows + offsets[i]; count <= kPageRows.
  void ScoreInPage(const EncodedQuery& query, size_t page, const uint32_t* offsets, size_t count,
                   float* scores) const;
  // Coarse scores [count] of slots anywhere; only of rows in one piece. count <= kPageRows.
  void ScoreSlots(const std::byte* code, float scale, const Slot* slots, size_t count,
                  float* scores) const {
    Gather(code, scale, storage_.rows, 0, slots, count, scores);
  }
  // A narrower interval, from both parts.
  ScoreInterval ScoreFine(const EncodedQuery& query, Slot slot) const;
  // Of the coarse part.
  float Error(const EncodedQuery& query, Slot slot) const {
    return Error(query, query.coarse_error, slot);
  }

  const std::byte* Row(Slot slot) const {
    return Page(slot / kPageRows) + slot % kPageRows * row_bytes_;
  }
  float Scale(Slot slot) const { return storage_.scales == nullptr ? 1.0f : storage_.scales[slot]; }
  // The row itself; only with kFloat32.
  const float* Float32Row(Slot slot) const { return reinterpret_cast<const float*>(Row(slot)); }

 private:
  const std::byte* Page(size_t page) const {
    return storage_.rows != nullptr ? storage_.rows + page * kPageRows * row_bytes_
                                    : storage_.pages[page];
  }
  // Scores of the rows ids[i] of `base`, whose first row is slot `first`.
  void Gather(const std::byte* code, float scale, const std::byte* base, size_t first,
              const uint32_t* ids, size_t count, float* scores) const;
  float Dot(const std::byte* query, const std::byte* row) const;
  float Error(const EncodedQuery& query, float query_error, size_t slot) const {
    if (storage_.errors == nullptr) return rounding_;
    return query.norm * storage_.errors[slot] + query_error * storage_.norms[slot] + rounding_;
  }

  size_t size_;
  size_t dim_;
  VectorEncoding encoding_;
  size_t row_bytes_;
  float rounding_;  // Bounds the float rounding of an inner product of unit vectors, twice.
  RowStorage storage_;
};

// Rows in memory, in pages that never move. Thread-compatible: const methods and reads through
// views may run concurrently.
class EncodedRows {
 public:
  EncodedRows(size_t dim, VectorEncoding encoding);

  // `vector` [dim] is finite. A missing row has unspecified values; do not read its results.
  void Append(absl::Span<const float> vector);
  void AppendMissing();

  size_t size() const { return size_; }
  size_t dim() const { return dim_; }
  VectorEncoding encoding() const { return encoding_; }
  size_t MemoryBytes() const;

  // Of the rows so far; until the next append.
  EncodedRowsView view() const;

 private:
  static constexpr size_t kAlignment = 64;
  struct Deleter {
    void operator()(std::byte* p) const { ::operator delete[](p, std::align_val_t{kAlignment}); }
  };
  using Page = std::unique_ptr<std::byte[], Deleter>;

  std::byte* AddRow();
  void AddMeasures(const RowMeasures& measures);

  size_t dim_;
  VectorEncoding encoding_;
  size_t row_bytes_;
  size_t size_ = 0;
  std::vector<Page> pages_;
  std::vector<const std::byte*> page_starts_;
  // By slot; empty where RowStorage has null.
  std::vector<float> scales_;
  std::vector<float> norms_;
  std::vector<float> errors_;
};

}  // namespace cairn::index

#endif  // CAIRN_INDEX_ENCODED_ROWS_H_
