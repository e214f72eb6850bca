// Text embedding models.
#ifndef CAIRN_ENGINE_MODEL_EMBEDDER_H_
#define CAIRN_ENGINE_MODEL_EMBEDDER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "chunking/text/tokenizer.h"

namespace cairn::engine {

// What a text is to the search. Models that were trained so put something before it ("query: "), or
// cut it elsewhere.
enum class TextKind : uint8_t { kPassage, kQuery };

// How a model's vectors are best fused with BM25 scores ("cairn" object of config.json, where the
// model's maker measured it).
struct FusionAdvice {
  float alpha = 0.5f;    // Weight of the vector score in convex fusion.
  bool min_max = false;  // Min-max normalisation instead of the theoretical minimum.
  bool given = false;    // False: config.json says nothing, the values are defaults.
};

// Turns text into vectors of unit length. Thread-safe: all methods are const and may be called
// concurrently.
class Embedder {
 public:
  virtual ~Embedder() = default;

  virtual size_t dim() const = 0;

  // Fills out [texts.size()][dim] with unit vectors. A text without any known token gets all zeros.
  // Callers with many texts call from several threads: a call uses one (static models, encoders),
  // or waits for the others (decoders, which have threads of their own).
  virtual absl::Status Embed(TextKind kind, absl::Span<const std::string_view> texts,
                             absl::Span<float> out) const = 0;

  // As Embed, of texts given as the tokenizer's ids: the prompt and the special tokens are put
  // around them. Unimplemented, unless a model's vectors of single tokens are of use: encoders have
  // them.
  virtual absl::Status EmbedTokens(TextKind, absl::Span<const absl::Span<const uint32_t>>,
                                   absl::Span<float>) const {
    return absl::UnimplementedError("this kind of model embeds no tokens");
  }

  // Tokens of a text that count towards its vector: longer texts are cut. 0: all count.
  virtual size_t max_tokens() const = 0;

  virtual const FusionAdvice& fusion() const = 0;

  // The tokenizer whose tokens the model reads; chunk sizes are counted in them.
  virtual const chunking::Tokenizer& tokenizer() const = 0;

  // Hex digest of everything that decides the vectors (weights, tokenizer, settings). A collection
  // keeps it: vectors of different fingerprints are never compared.
  virtual const std::string& fingerprint() const = 0;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_EMBEDDER_H_
