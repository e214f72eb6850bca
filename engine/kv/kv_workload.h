// Measures whether reuse stays fast over many prompts.
#ifndef CAIRN_ENGINE_KV_KV_WORKLOAD_H_
#define CAIRN_ENGINE_KV_KV_WORKLOAD_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/kv/document_reader.h"
#include "engine/kv/kv_encoding.h"
#include "engine/model/checkpoint.h"
#include "engine/model/decoder.h"

namespace cairn::engine {

// Prompts of chunks that are drawn from a set of documents: a document by Zipf's law, a chunk of
// it at random, in whatever order. All chunks' keys and values are on disk, and some in memory.
struct KvWorkloadOptions {
  DecoderOptions decoder;
  KvSource source = KvSource::kDocument;
  KvEncoding encoding = KvEncoding::kF16;
  size_t queries = 200;
  size_t documents = 24;
  size_t chunks_of_document = 3;
  size_t preface_tokens = 16;
  size_t chunks = 4;  // In a prompt.
  size_t chunk_tokens = 128;
  size_t question_tokens = 32;
  double share = 0.15;           // Computed again, by CacheBlend.
  double zipf = 1;               // A document of rank r is drawn in proportion to r^-zipf.
  double memory_share = 1 / 3.;  // Of all chunks' bytes fit in memory.
  uint64_t seed = 1;
};

// Prompts that follow each other.
struct KvWorkloadWindow {
  size_t first = 0;
  size_t queries = 0;
  double median_seconds = 0;  // To the first token.
  double slowest_seconds = 0;
  double memory_hits = 0;  // Of the chunks wanted, those found in memory,
  double disk_hits = 0;    // and on disk; the others were computed.
};

struct KvWorkloadResult {
  size_t threads = 0;
  size_t prompt_tokens = 0;
  uint64_t stored_bytes = 0;
  double full_seconds = 0;                // Of a prompt computed at once; the median of three.
  std::vector<KvWorkloadWindow> windows;  // Quarters.

  // The last quarter's median by the first's: above 1, reuse has become slower.
  double slowdown() const;
};

// InvalidArgument for numbers that make no workload.
absl::StatusOr<KvWorkloadResult> RunKvWorkload(const Checkpoint& checkpoint,
                                               const KvWorkloadOptions& options);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_KV_WORKLOAD_H_
