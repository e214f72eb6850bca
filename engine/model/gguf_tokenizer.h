// The tokenizer inside a GGUF file.
#ifndef CAIRN_ENGINE_MODEL_GGUF_TOKENIZER_H_
#define CAIRN_ENGINE_MODEL_GGUF_TOKENIZER_H_

#include "absl/status/statusor.h"
#include "chunking/text/vocabulary_description.h"
#include "engine/model/gguf.h"

namespace cairn::engine {

// What tokenizer.ggml.* says. NotFound where the file has no tokenizer; InvalidArgument naming the
// metadata that is of another type, or ids and types that there are none of.
absl::StatusOr<chunking::VocabularyDescription> DescribeGgufVocabulary(const Gguf& gguf);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_GGUF_TOKENIZER_H_
