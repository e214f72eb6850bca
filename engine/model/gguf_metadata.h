// Settings and vocabularies as GGUF's metadata: what gguf_config.h and gguf_tokenizer.h read.
#ifndef CAIRN_ENGINE_MODEL_GGUF_METADATA_H_
#define CAIRN_ENGINE_MODEL_GGUF_METADATA_H_

#include "absl/status/status.h"
#include "chunking/text/vocabulary_description.h"
#include "engine/model/checkpoint.h"
#include "engine/model/gguf_writer.h"

namespace cairn::engine {

// What general.file_type calls a file whose matrices are of `format`, and the keys that go with it.
void AddFileType(kernels::BlockFormat format, GgufWriter* writer);

// InvalidArgument for dynamic NTK scaling of RoPE, which the format has no word for. Llama 3's
// scaling is left to the tensor rope_freqs.weight (RopeDivisors).
absl::Status AddConfig(const ModelConfig& config, GgufWriter* writer);

void AddVocabulary(const chunking::VocabularyDescription& vocabulary, GgufWriter* writer);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_GGUF_METADATA_H_
