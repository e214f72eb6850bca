// Attention over keys and values that lie in tiles of 64 tokens.
//
// Online softmax (Milakov and Gimelshein 2018; FlashAttention, arXiv 2205.14135): every run of
// tiles gives a partial result (maximum, sum, weighted values), and partial results merge exactly,
// in any grouping. So a long context is split between threads, and sequences that share a beginning
// are taken through it together, as the rows of one product (Hydragen, arXiv 2402.05099).
#ifndef CAIRN_KERNELS_ATTENTION_H_
#define CAIRN_KERNELS_ATTENTION_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "kernels/aligned_vector.h"
#include "kernels/distance.h"
#include "kernels/isa.h"

namespace cairn::kernels {

// How keys and values are stored. kI8 keeps a float32 scale for each token's key and value.
enum class KvType : uint8_t { kF32, kF16, kBF16, kI8 };

// "f32", "f16", "bf16", "int8".
std::string_view KvTypeName(KvType type);
std::optional<KvType> ParseKvType(std::string_view name);

// The type that is fastest on this CPU without losing more than half precision does: kBF16 with the
// instructions for it, else kF16.
KvType DefaultKvType();

inline constexpr size_t kKvTileTokens = 64;

// The most dimensions that a head may have.
inline constexpr size_t kMaxHeadDim = 1024;

// A head's dimensions as tiles have them: padded to whole panels, with zeros.
constexpr size_t PaddedHeadDim(size_t head_dim) { return (head_dim + 31) / 32 * 32; }

// Bytes of a tile: 64 tokens' keys and values of one head, each in the operand order of the
// products they go into, with D = PaddedHeadDim(head_dim):
//   kF32, kF16   keys [D][64], values [64][D]
//   kBF16        keys [D / 2][64][2], values [32][D][2] (pairs of tokens)
//   kI8          keys [D][64], values [64][D], key scales float [64], value scales float [64]
// A multiple of 64.
size_t KvTileBytes(KvType type, size_t head_dim);

// Puts one token's key and value [head_dim] into place `token` of a tile whose memory was zeros at
// first. Values beyond the type's range become its largest, and NaN too: a page outlives its
// sequence, and masked tokens must not spoil the products of the next.
void StoreKv(KvType type, std::byte* tile, size_t head_dim, size_t token, const float* key,
             const float* value);

// Reads what StoreKv wrote, rounded as it was; either may be null.
void LoadKv(KvType type, const std::byte* tile, size_t head_dim, size_t token, float* key,
            float* value);

// The most query rows that are taken through a tile together.
inline constexpr size_t kAttentionRows = 64;

// Query rows of one KV head (any tokens', any of its query heads) on their way through tiles.
// Reused for any number of jobs by one thread.
class AttentionRows {
 public:
  // Begins with `rows` (at most kAttentionRows) rows that have seen nothing.
  void Begin(KvType type, size_t head_dim, size_t rows);
  // Row r's query [head_dim], rotated, and the tokens it sees: [first, limit).
  void SetRow(size_t r, const float* query, uint32_t first, uint32_t limit);

  // Takes all rows through tiles [begin, end) of a sequence; `tiles[t] + offset` is where tile t
  // of the head lies, and its first token is number 64 t.
  void Attend(const std::byte* const* tiles, size_t offset, size_t begin, size_t end);

  // out [head_dim] = the values that row r saw, weighted by softmax; zeros where it saw nothing.
  void Finish(size_t r, float* out) const;
  // The partial result: its weight's logarithm (base 2) of row r, and what Finish gives.
  float FinishPartial(size_t r, float* out) const;

  // For tests: kernels of `isa` from the next Begin on.
  void UseIsa(Isa isa) { isa_ = isa; }

 private:
  Isa isa_ = ActiveIsa();
  KvType type_ = KvType::kF32;
  bool narrow_ = false;  // Products in bfloat16.
  size_t head_dim_ = 0;
  size_t padded_ = 0;
  size_t rows_ = 0;
  float scale_ = 0;
  uint32_t first_[kAttentionRows] = {};
  uint32_t limit_[kAttentionRows] = {};
  AlignedVector<float> queries_;  // [rows][padded], times log2(e) / sqrt(head_dim); or bfloat16.
  AlignedVector<float> out_;      // [rows][padded]
  AlignedVector<float> maximum_;  // [rows]
  AlignedVector<float> sum_;      // [rows]
  AlignedVector<float> scores_;   // [rows][64]
  AlignedVector<float> weights_;  // [rows][64], or bfloat16.
  AlignedVector<float> keys_;     // A tile's, where it has to be converted.
  AlignedVector<float> values_;
};

// Merges partial results: out [dim] = sum_i w_i * parts[i] with w_i = 2^(logs[i] - log of the sum).
// parts [count][dim].
void MergeAttention(const float* logs, const float* parts, size_t count, size_t dim, float* out);

}  // namespace cairn::kernels

#endif  // CAIRN_KERNELS_ATTENTION_H_
