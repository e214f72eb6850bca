// What callers of the engine say and learn of chunks' kept keys and values (docs/kv-reuse.md).
#ifndef CAIRN_ENGINE_KV_REUSE_H_
#define CAIRN_ENGINE_KV_REUSE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace cairn {

// Keeping the generator's keys and values of chunks, so that answers need not read them anew.
struct KvReuseOptions {
  bool enabled = false;
  uint64_t memory_bytes = uint64_t{1} << 30;  // For copies in memory.
  uint64_t disk_bytes = uint64_t{16} << 30;   // In the store.
  std::string encoding = "f16";               // "f16", "int8" (half of it), "f32"
  // What a chunk has seen: "document" (what stands before it in its document), "preface" (what
  // every prompt begins with), "isolated" (nothing); "prompt": what stood before it in a prompt
  // that it was read in. Those are not built but kept by answers, of which a store opened read-only
  // keeps nothing. They carry traces of the passages that stood before them, also to answers that
  // do not have these (because of a filter, say).
  std::string source = "document";
  // Of "prompt": so many of a chunk at most, from different prompts. Of those the one is used that
  // has seen most of what stands before it.
  size_t variants = 3;
  // Makes them after each ingestion, in the background. Needs a generator.
  bool build_on_ingest = false;
  // Told, in a sentence, of what is damaged, cannot be written, or could not be made in the
  // background: answers do without it. Called on any thread; must not call the engine. Empty:
  // nobody is told.
  std::function<void(const std::string& problem)> on_problem;
};

// How much of cached chunks an answer computes again. Whatever is chosen, an answer computes
// everything where a model's gates do not hold, nothing is cached, or it would not be faster.
enum class ReuseQuality : uint8_t {
  kExact,  // All of it: nothing is reused but prefixes.
  // What differs most, 15% by default; nothing of chunks that have seen their documents: computed
  // again behind others' they would forget them; of those that have seen a prompt what depended on
  // passages that do not stand before them now.
  kBalanced,
  kFast,  // None of it.
};

// What became of a prompt's tokens: exact + reused + recomputed + fresh are all of them.
struct ReuseReport {
  size_t exact_tokens = 0;       // Keys and values were there, computed behind this very beginning.
  size_t reused_tokens = 0;      // Of chunks, served from their caches.
  size_t recomputed_tokens = 0;  // Of cached chunks, computed again.
  size_t fresh_tokens = 0;       // Of nothing that was cached.
  uint64_t loaded_bytes = 0;     // Of caches.
  std::string method;  // "full", "reposition", "cacheblend", ...; empty: nothing generated.
  std::string reason;  // Why that.
  double share = 0;    // Of the cached tokens, to be computed again.
  // Wall-clock microseconds of the time to the first token.
  double load = 0;     // Waiting for caches, and putting them in place.
  double select = 0;   // Computing what to recompute.
  double compute = 0;  // Computing rows that were chosen, and fresh ones.
};

struct KvBuildProgress {
  uint64_t documents = 0;  // Done, those that were done before too.
  uint64_t chunks = 0;     // Made now.
  uint64_t total_documents = 0;
};

struct KvBuildOptions {
  std::string collection = "default";
  std::function<void(const KvBuildProgress&)> on_progress;  // Called on the caller's thread.
  std::function<bool()> is_cancelled;                       // Asked many times a second.
};

struct KvBuildReport {
  uint64_t documents = 0;  // With all their chunks' keys and values, at the end.
  uint64_t chunks = 0;     // Made now.
  uint64_t known = 0;      // That there were before.
  uint64_t tokens = 0;     // Computed.
  uint64_t bytes = 0;      // Written.
  uint64_t skipped = 0;    // Chunks that do not fit the model's context, or the disk's budget.
  double seconds = 0;
};

// Whether the generator's keys and values may be moved: each gate with the largest difference
// between what should be one number.
struct ReuseGateResult {
  std::string name;
  double difference = 0;
  bool holds = false;
};

struct KvInfo {
  uint64_t memory_blobs = 0;  // Of all collections.
  uint64_t memory_bytes = 0;
  uint64_t memory_evictions = 0;
  uint64_t disk_blobs = 0;
  uint64_t disk_bytes = 0;
  uint64_t disk_evictions = 0;
  // Of the collection that was asked for, since the store was opened.
  uint64_t memory_hits = 0;
  uint64_t disk_hits = 0;
  uint64_t misses = 0;
  uint64_t loaded_bytes = 0;
  uint64_t bad_blobs = 0;
};

struct KvVerifyResult {
  uint64_t blobs = 0;
  uint64_t bytes = 0;
  uint64_t bad = 0;
  std::vector<std::string> problems;  // At most 1,000.
};

}  // namespace cairn

#endif  // CAIRN_ENGINE_KV_REUSE_H_
