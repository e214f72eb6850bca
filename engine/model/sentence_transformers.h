// How a sentence-transformers directory says that token states become a text's vector.
#ifndef CAIRN_ENGINE_MODEL_SENTENCE_TRANSFORMERS_H_
#define CAIRN_ENGINE_MODEL_SENTENCE_TRANSFORMERS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace cairn::engine {

enum class Pooling : uint8_t {
  kMean,  // Of all tokens' states.
  kCls,   // The first token's.
  kLast,  // The last token's.
};

struct SentenceTransformer {
  Pooling pooling = Pooling::kMean;
  bool normalize = false;              // To unit length.
  std::optional<uint32_t> max_tokens;  // Longer texts are cut; absent: the model's own limit.
  // Texts put before the input, by the kind of input: "query", "document", ...
  std::map<std::string, std::string, std::less<>> prompts;
  std::string default_prompt;  // Name of the one for inputs of no kind; may be empty.
};

// Reads modules.json, the pooling module's config.json, sentence_bert_config.json and
// config_sentence_transformers.json; the last two may lack. NotFound where `directory` has no
// modules.json; InvalidArgument, beginning with the file, for what is malformed, for modules other
// than Transformer, Pooling and Normalize in that order, and for modes of pooling that there are
// none of here.
absl::StatusOr<SentenceTransformer> ReadSentenceTransformer(const std::string& directory);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_SENTENCE_TRANSFORMERS_H_
