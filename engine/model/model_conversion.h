// Models from one file format or number format to another.
#ifndef CAIRN_ENGINE_MODEL_MODEL_CONVERSION_H_
#define CAIRN_ENGINE_MODEL_MODEL_CONVERSION_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/checkpoint.h"

namespace cairn::engine {

struct ConversionOptions {
  // Of the matrices; those whose rows are no whole blocks get another, as FormatFor says. Vectors
  // are F32. What is in this format already is copied as it is.
  kernels::BlockFormat format = kernels::BlockFormat::kQ8_0;
  size_t threads = 2;
};

struct ConversionReport {
  uint64_t tensors = 0;
  uint64_t bytes_before = 0;  // Of all tensors.
  uint64_t bytes_after = 0;
  std::vector<std::string> notes;  // What is not as asked for, in words.
};

// Writes the model at `from`, a GGUF file or a Hugging Face directory, as a GGUF file that cairn
// and other readers of the format understand: with its settings, tokenizer and chat template, and
// for the llama architecture with the rows of q and k in the order that GGUF wants. A GGUF file's
// metadata stays as it is, but for the format. `to` may be `from`. Holds a few rows in memory,
// the vocabulary aside. As Checkpoint::Open and GgufWriter; InvalidArgument, naming the tensor,
// also for weights that are not finite or beyond the range of F16 or BF16, and for tokenizers that
// GGUF has no word for. In blocks, weights beyond what a scale of half precision can say become the
// largest that it can.
absl::StatusOr<ConversionReport> ConvertModel(const std::string& from, const std::string& to,
                                              const ConversionOptions& options);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_MODEL_CONVERSION_H_
