// The tokenizer of a Hugging Face directory as plain data, for writing it elsewhere.
#ifndef CAIRN_ENGINE_MODEL_HF_VOCABULARY_H_
#define CAIRN_ENGINE_MODEL_HF_VOCABULARY_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "chunking/text/vocabulary_description.h"
#include "engine/model/checkpoint.h"

namespace cairn::engine {

// From the text of tokenizer.json, a BPE model of bytes (GPT-2, Llama 3, Qwen2) or of characters
// with byte fallback (Llama 2, Mistral), and of tokenizer_config.json (may be empty). Ids without a
// token, up to `tokens`, get names of their own. Scores, which tokenizer.json does not have, are
// such that merging by them is merging by rank. What the settings do not say of bos and eos, the
// post-processor does. InvalidArgument for other models, for rules of splitting, normalising and
// merging that vocabularies as plain data have no name for, and for more than kMaxVocabulary
// tokens.
absl::StatusOr<chunking::VocabularyDescription> DescribeTokenizerJson(
    std::string_view tokenizer_json, std::string_view tokenizer_config_json, uint32_t tokens);

// The same from the files in `directory`, whose model has `config`. NotFound where there is no
// tokenizer.json.
absl::StatusOr<chunking::VocabularyDescription> DescribeHfVocabulary(const std::string& directory,
                                                                     const ModelConfig& config);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_HF_VOCABULARY_H_
