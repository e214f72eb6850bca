// A prompt that the scheduler has read by blending.
#ifndef CAIRN_ENGINE_KV_BLENDED_PROMPT_H_
#define CAIRN_ENGINE_KV_BLENDED_PROMPT_H_

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "engine/generation/prompt_reader.h"
#include "engine/kv/blender.h"
#include "engine/kv/reuse_controller.h"
#include "engine/kv_reuse.h"

namespace cairn::engine {

struct BlendedPromptOptions {
  ReuseQuality quality = ReuseQuality::kBalanced;
  KvSource source = KvSource::kIsolated;  // Of the chunks' keys and values.
  std::string gates = "ok";               // ReuseGateReport::Summary
  // Told of a chunk whose cache turned out to be bad; what was asked for is computed then.
  // Optional.
  std::function<void(const absl::Status&)> on_bad_chunk = {};
  // Given what was computed of each part that is to be kept, and how long that took, where what
  // stands before it has been computed too, or mended by Cache-Craft's rules. Called on the thread
  // that reads. Optional.
  std::function<void(size_t part, std::shared_ptr<const ChunkKvBuffer> kv, double seconds)>
      on_kept = {};
  KvEncoding kept_encoding = KvEncoding::kF16;
  size_t kept_attention_layers = 2;
};

// Reads one prompt. The decoder, whose thread calls Read, and the controller outlive it.
class BlendedPrompt final : public PromptReader {
 public:
  // The prompt is the parts' tokens, and ends with text.
  BlendedPrompt(Decoder* decoder, ReuseController* controller, std::vector<BlendPart> parts,
                BlendedPromptOptions options);

  std::vector<uint32_t> tokens() const;
  size_t exact_tokens() const override;
  absl::Status Read(KvSequence* sequence, absl::Span<float> logits,
                    const std::function<bool()>& is_cancelled) override;

  // What the last Read did; of no method before. Any thread.
  ReuseReport report() const;

 private:
  // What is not in the sequence's first `known` tokens; passages that are, as a whole, join
  // *passages.
  std::vector<BlendPart> Rest(size_t known, std::vector<KnownPassage>* passages) const;
  ReuseDecision Decide(absl::Span<const BlendPart> parts) const;

  Decoder* const decoder_;
  ReuseController* const controller_;
  BlendedPromptOptions options_;
  // Of the thread that reads:
  std::vector<BlendPart> parts_;
  bool all_computed_ = false;
  mutable absl::Mutex mutex_;
  ReuseReport report_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_BLENDED_PROMPT_H_
