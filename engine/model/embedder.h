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

// Turns text into vectors of unit length. Thread-safe: all methods are const and may be called
// concurrently.
class Embedder {
 public:
  virtual ~Embedder() = default;

  virtual size_t dim() const = 0;

  // Fills out [texts.size()][dim] with unit vectors. A text without any known token gets all zeros.
  virtual absl::Status Embed(absl::Span<const std::string_view> texts,
                             absl::Span<float> out) const = 0;

  // The tokenizer whose tokens the model reads; chunk sizes are counted in them.
  virtual const chunking::Tokenizer& tokenizer() const = 0;

  // Hex digest of everything that decides the vectors (weights, tokenizer, settings). A collection
  // keeps it: vectors of different fingerprints are never compared.
  virtual const std::string& fingerprint() const = 0;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_EMBEDDER_H_
