// What embedding models share, whatever computes their states: prompts, limits, pooling.
#ifndef CAIRN_ENGINE_MODEL_TEXT_POOLING_H_
#define CAIRN_ENGINE_MODEL_TEXT_POOLING_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "chunking/text/tokenizer.h"
#include "engine/model/embedder.h"
#include "engine/model/sentence_transformers.h"

namespace cairn::engine {

// Weight of the vector score beside BM25's where the model's maker gives none: Bruch et al. (arXiv
// 2210.11934) found 0.6 to 0.8 best for encoders of all kinds.
inline constexpr float kEncoderAlpha = 0.7f;

// What stands before a text of this kind: for a query the prompt called "query", for a passage that
// called "document" or "passage"; without one of these the default prompt, or nothing.
std::string PromptFor(TextKind kind, const SentenceTransformer& sentences);

// The tokens that a model reads for `text`, at most `max_tokens` of them; none where there is
// nothing in it that the model knows. Where the tokenizer ends every text with a token, so does one
// that is cut.
std::vector<uint32_t> TokensFor(const chunking::Tokenizer& tokenizer, const std::string& prompt,
                                std::string_view text, size_t max_tokens);

// The same for the tokenizer's ids of a text, whatever they are.
std::vector<uint32_t> TokensAround(const chunking::Tokenizer& tokenizer, const std::string& prompt,
                                   absl::Span<const uint32_t> ids, size_t max_tokens);

// out [dim] = the pooled states [count][dim], scaled to unit length; zeros of none. InvalidArgument
// where they are no finite numbers, as damaged weights make them.
absl::Status PoolStates(Pooling pooling, const float* states, size_t count, size_t dim, float* out);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_TEXT_POOLING_H_
