// A model that continues sequences of tokens.
#ifndef CAIRN_ENGINE_MODEL_LANGUAGE_MODEL_H_
#define CAIRN_ENGINE_MODEL_LANGUAGE_MODEL_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/model/kv_cache.h"

namespace cairn::engine {

// One sequence's part in a pass: its next tokens.
struct SequenceInput {
  KvSequence* sequence = nullptr;          // What came before; the pass appends to it.
  absl::Span<const uint32_t> tokens = {};  // At least one, each below the vocabulary's size.
  size_t logits = 1;  // For how many of the last tokens logits are wanted; at most their number.
};

// Not thread-safe: one pass at a time.
class LanguageModel {
 public:
  virtual ~LanguageModel() = default;

  virtual size_t vocabulary_size() const = 0;
  // The most tokens a sequence may have.
  virtual size_t context_length() const = 0;
  // The shape of the keys and values that this model writes; sequences come from a pool of it.
  virtual KvLayout kv_layout() const = 0;

  // Computes all inputs in one pass and appends their tokens to their sequences, each of which
  // stands in `inputs` once. Fills logits [sum of inputs' logits][vocabulary_size], in order.
  // ResourceExhausted, all sequences unchanged, where the pool has no pages left; InvalidArgument
  // for an unknown token or a sequence beyond context_length().
  virtual absl::Status Forward(absl::Span<const SequenceInput> inputs,
                               absl::Span<float> logits) = 0;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_MODEL_LANGUAGE_MODEL_H_
