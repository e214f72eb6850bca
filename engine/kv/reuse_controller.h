// Chooses, prompt by prompt, how to reuse cached chunks.
#ifndef CAIRN_ENGINE_KV_REUSE_CONTROLLER_H_
#define CAIRN_ENGINE_KV_REUSE_CONTROLLER_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "engine/kv/blender.h"
#include "engine/kv/kv_source.h"
#include "engine/kv/reuse_policy.h"
#include "engine/kv_reuse.h"

namespace cairn::engine {

struct ReuseControllerOptions {
  // Of chunks' rows, to be computed again for ReuseQuality::kBalanced where chunks have seen
  // nothing but themselves; CacheBlend's 15%. Those that have seen a prompt: as many as
  // Cache-Craft's rules say, most_share of all at most.
  double share = 0.15;
  // Where chunks take longer to load than the share to compute, the share rises, up to this: the
  // time passes anyway.
  double most_share = 0.5;
  // Reuse must promise to take at most this part of the time of computing everything.
  double worth = 0.9;
  // Until they have been measured.
  double rows_per_second = 500;
  double bytes_per_second = 5e8;
};

// A prompt, as far as it is not there already.
struct ReusePrompt {
  size_t layers = 0;
  size_t rows = 0;         // All of it.
  size_t cached_rows = 0;  // Of chunks that have keys and values.
  size_t missing_chunks = 0;
  uint64_t cached_bytes = 0;
  ReuseQuality quality = ReuseQuality::kBalanced;
  // What the chunks' keys and values were computed behind. With KvSource::kDocument nothing is
  // computed again unless all is: a row that is computed behind other documents forgets its own,
  // and answers became worse by it, the more so the more rows (docs/kv-reuse.md).
  KvSource source = KvSource::kIsolated;
  // Of cached_rows, those that Cache-Craft's rules compute again; with KvSource::kPrompt.
  size_t fix_rows = 0;
  std::string gates = "ok";  // ReuseGateReport::Summary
};

struct ReuseDecision {
  ReuseOptions options;
  double share = 0;    // Of the chunks' rows, that is expected to be computed again.
  std::string reason;  // Words for whoever asks why.
};

// Learns from each prompt how fast this machine computes and loads. Thread-safe.
class ReuseController {
 public:
  explicit ReuseController(const ReuseControllerOptions& options = {}) : options_(options) {}

  ReuseDecision Decide(const ReusePrompt& prompt) const;
  // `rows`: of the prompt that `usage` is of, as ReusePrompt counts them.
  void Learn(const ReuseUsage& usage, size_t rows);

 private:
  struct Rates {
    double rows = 0;  // A second, through all layers; 0: not known.
    double bytes = 0;
  };

  const ReuseControllerOptions options_;
  mutable absl::Mutex mutex_;
  Rates rates_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_REUSE_CONTROLLER_H_
