// Token vectors learned from a teacher: the arithmetic of making a static embedding model.
#ifndef CAIRN_ENGINE_MODEL_STATIC_DISTILLATION_H_
#define CAIRN_ENGINE_MODEL_STATIC_DISTILLATION_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/model/embedder.h"

namespace cairn::engine {

// docs/default-model.md has what the defaults were chosen by.
struct DistillationOptions {
  size_t dims = 256;
  // Longer texts are cut, and those beyond what the teacher reads.
  size_t max_text_tokens = 126;
  // Components are scaled by variance^-whitening: 0.5 makes them all count the same, 0 none.
  double whitening = 0.5;
  // Pull towards the vectors of bare tokens, against about 1/length^2 from each text with the
  // token.
  float ridge = 0.15f;
  int iterations = 15;  // Of conjugate gradients.
  // a of the weights a / (a + p) (Arora et al., "A simple but tough-to-beat baseline for sentence
  // embeddings", 2017), where p is a token's frequency by Zipf's law: vocabularies are in the order
  // of frequency.
  double sif = 1e-5;
  // Further factor of tokens that are only digits, or one punctuation mark.
  double quiet_weight = 0.05;
  size_t threads = 2;
  std::string cache;  // TeacherOptions::cache
};

// vector(token) = weights[token] * rows[token].
struct DistilledModel {
  size_t dims = 0;
  std::vector<int8_t> rows;    // [vocabulary][dims]
  std::vector<float> weights;  // [vocabulary]

  uint64_t texts = 0;    // That were of use.
  uint64_t tokens = 0;   // Of these.
  double explained = 0;  // Share of the targets' variance that the means explain, before weights.
};

// Learns from `texts`:
//   1. The teacher embeds each text, and each token of the vocabulary by itself.
//   2. The texts' principal components, whitened, are the target space.
//   3. Ridge regression finds the token vectors whose means come closest to the texts' vectors,
//      pulled towards the vectors of bare tokens.
//   4. Weights, and rows of int8.
// Calls keep_on(texts done, of all) as EmbedByTeacher does; Cancelled where it says no. The same
// bits for any number of threads. InvalidArgument for dims above the teacher's, for too few texts,
// or too much alike, and for a teacher that is no encoder or whose vectors are not finite; else
// errors as EmbedByTeacher's.
absl::StatusOr<DistilledModel> Distill(const Embedder& teacher, absl::Span<const std::string> texts,
                                       const DistillationOptions& options,
                                       absl::FunctionRef<bool(uint64_t, uint64_t)> keep_on);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_STATIC_DISTILLATION_H_
