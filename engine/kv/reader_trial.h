// Has a model answer a question in many ways.
#ifndef CAIRN_ENGINE_KV_READER_TRIAL_H_
#define CAIRN_ENGINE_KV_READER_TRIAL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/kv/blender.h"
#include "engine/kv/reader_arms.h"
#include "engine/kv/reader_questions.h"
#include "engine/model/decoder.h"
#include "engine/model/kv_cache.h"

namespace cairn::engine {

// What an arm said to a question, in its first token.
struct ReaderOutcome {
  bool right = false;     // The likeliest token is the answer.
  bool agrees = false;    // It is the one that the first arm gives.
  float divergence = 0;   // KL(first arm || this), in nats.
  float answer_loss = 0;  // -log of the answer's probability.
  float charged = 0;      // ReuseUsage::charged; 1 where all is computed.
};

struct ReaderTrialOptions {
  KvEncoding encoding = KvEncoding::kF16;  // Of caches.
  uint64_t seed = 1;                       // Of what is random: rows, and orders of chunks.
};

// Not thread-safe; uses the decoder, which outlives it.
class ReaderTrial {
 public:
  // ResourceExhausted where there is no room for keys and values of `most_tokens` twice.
  static absl::StatusOr<std::unique_ptr<ReaderTrial>> Create(Decoder* decoder, size_t most_tokens,
                                                             const ReaderTrialOptions& options);

  // One outcome for each arm, of which the first computes the whole prompt. What is random goes by
  // the seed and `number` alone.
  absl::StatusOr<std::vector<ReaderOutcome>> Run(const ReaderQuestion& question, uint64_t number,
                                                 absl::Span<const ReaderArm> arms);

 private:
  using Kvs = std::vector<std::shared_ptr<const ChunkKv>>;
  // What the arms of a question share.
  struct Prepared;

  ReaderTrial(Decoder* decoder, std::unique_ptr<KvPool> pool, const ReaderTrialOptions& options);
  // Fills logits_.
  absl::Status Compute(const Prepared& prepared, const ReaderArm& arm);
  absl::StatusOr<ReuseUsage> Blend(Prepared* prepared, const ReaderArm& arm);
  // By place in the context; computed at the first call.
  absl::StatusOr<const Kvs*> CachesOf(Prepared* prepared, const ReaderArm& arm);
  absl::StatusOr<Kvs> ReadDocument(const ReaderQuestion& question, size_t document,
                                   KvSource source);
  absl::StatusOr<Kvs> ReadPrompt(const ReaderQuestion& question);
  // For each place of the context the best of `count` variants.
  absl::StatusOr<Kvs> BestVariants(const Prepared& prepared, size_t count);
  absl::StatusOr<Kvs> Stored(const Kvs& kvs, KvEncoding encoding) const;
  // By row of the prompt, how much the cached keys and values differ from its own.
  absl::StatusOr<std::vector<float>> Deviations(Prepared* prepared, const Kvs& cached);

  Decoder* const decoder_;
  const std::unique_ptr<KvPool> pool_;
  const ReaderTrialOptions options_;
  std::vector<float> logits_;
  // Documents that were read, for the questions to come: by source and tokens.
  std::unordered_map<uint64_t, Kvs> documents_;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_READER_TRIAL_H_
