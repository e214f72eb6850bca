// The numbers of a static embedding model: one weighted vector per token.
#ifndef CAIRN_ENGINE_MODEL_TOKEN_VECTORS_H_
#define CAIRN_ENGINE_MODEL_TOKEN_VECTORS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/model/safetensors.h"
#include "kernels/accumulate.h"

namespace cairn::engine {

// vector(t) = weight(t) * embeddings[row(t)]. The rows stay in the type they are stored in, because
// converting some million values would cost more than a program's whole start. Immutable.
class TokenVectors {
 public:
  static constexpr uint64_t kMaxDim = 65'536;

  // From the tensors `embeddings` [rows][dim] (float32, float16, int8) and, where they exist,
  // `weights` [tokens] (float32, float64; 1 without) and `mapping` [tokens] (int32, int64; identity
  // without). Keeps the embeddings where they are if `bytes_stay`, which promises that the parsed
  // bytes outlive this object, and copies them otherwise. InvalidArgument naming tensor and fault.
  static absl::StatusOr<TokenVectors> Create(const SafeTensors& tensors, bool bytes_stay);

  size_t dim() const { return dim_; }
  size_t tokens() const { return tokens_.size(); }

  struct Token {
    uint32_t row;
    float weight;
  };
  const Token& token(uint32_t id) const { return tokens_[id]; }

  // sum[d] += sum_i weights[i] * embeddings[rows[i]][d], the same bits on every machine.
  void Accumulate(const uint32_t* rows, const float* weights, size_t count, float* sum) const {
    accumulate_(embeddings_, rows, weights, count, dim_, sum);
  }

 private:
  TokenVectors() = default;

  absl::Status SetEmbeddings(const Tensor& tensor, bool bytes_stay);
  absl::Status SetMapping(const Tensor& tensor);
  absl::Status SetWeights(const Tensor& tensor);

  decltype(kernels::AccumulateKernels::rows_f32) accumulate_ = nullptr;
  const void* embeddings_ = nullptr;  // [rows_][dim_], maybe unaligned.
  std::unique_ptr<char[]> copy_;      // Where they are a copy.
  size_t rows_ = 0;
  size_t dim_ = 0;
  std::vector<Token> tokens_;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_TOKEN_VECTORS_H_
