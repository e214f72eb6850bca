// A teacher's vectors of many texts, computed by several threads.
#ifndef CAIRN_ENGINE_MODEL_TEACHER_VECTORS_H_
#define CAIRN_ENGINE_MODEL_TEACHER_VECTORS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/model/embedder.h"

namespace cairn::engine {

struct TeacherOptions {
  size_t threads = 2;
  std::string cache;  // Path of a TeacherCache; empty: the vectors are not kept.
};

// [texts.size()][teacher.dim()], the same for any number of threads. `texts` are ids of the
// teacher's tokenizer. Calls keep_on(texts done) from time to time, from any thread but never
// twice at once; Cancelled where it says no. Errors as Embedder::EmbedTokens' and TeacherCache's,
// and ResourceExhausted without memory for the vectors.
absl::StatusOr<std::vector<float>> EmbedByTeacher(
    const Embedder& teacher, absl::Span<const absl::Span<const uint32_t>> texts,
    const TeacherOptions& options, absl::FunctionRef<bool(uint64_t)> keep_on);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_TEACHER_VECTORS_H_
