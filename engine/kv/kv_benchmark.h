// Measures the time to the first token of prompts that are put together from cached chunks.
#ifndef CAIRN_ENGINE_KV_KV_BENCHMARK_H_
#define CAIRN_ENGINE_KV_KV_BENCHMARK_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/kv/blender.h"
#include "engine/kv/chunk_kv.h"
#include "engine/kv/document_reader.h"
#include "engine/kv/kv_encoding.h"
#include "engine/model/checkpoint.h"
#include "engine/model/decoder.h"

namespace cairn::engine {

// A chunk as a document's reading left it.
struct BenchmarkChunk {
  std::vector<uint32_t> tokens;
  std::shared_ptr<const ChunkKv> kv;
};

// Where chunks come from when a prompt wants them.
class ChunkTier {
 public:
  virtual ~ChunkTier() = default;
  // Before the clock starts: what was read before is to be as if it had not been.
  virtual absl::Status Prepare() { return absl::OkStatus(); }
  // All of them, in order, while the clock runs. They may still be being loaded.
  virtual absl::StatusOr<std::vector<std::shared_ptr<const ChunkKv>>> Get() = 0;
};

// A tier beside memory, with the chunks in it.
struct ChunkTierMaker {
  std::string name;
  std::function<absl::StatusOr<std::unique_ptr<ChunkTier>>(const std::vector<BenchmarkChunk>&)>
      make;
};

struct KvBenchmarkOptions {
  DecoderOptions decoder;
  KvSource source = KvSource::kDocument;
  KvEncoding encoding = KvEncoding::kF16;
  // A prompt is the preface, the chunks and the question. The tokens are made up.
  size_t preface_tokens = 16;
  size_t chunks = 6;  // Each of another document, and behind another chunk of it.
  size_t chunk_tokens = 512;
  size_t question_tokens = 32;
  size_t repeat = 3;  // Rounds; in each, every arm has one turn. The median counts.
  uint64_t seed = 1;
  std::vector<double> shares = {0.05, 0.10, 0.15, 0.20, 0.30, 0.50};  // Of CacheBlend's arms.
  // Beside memory; only reposition and CacheBlend's 15 % are measured from them.
  std::vector<ChunkTierMaker> tiers;
};

// A way to the first token.
struct KvArmResult {
  std::string name;    // "cacheblend 15%"
  std::string method;  // "prefill" (the decoder alone, in one go), or ReuseMethodName's.
  std::string tier;    // "memory", or a ChunkTierMaker's; empty where no chunk is loaded.
  double share = 0;    // Of the chunks' tokens, as asked for.
  bool offset = false;
  double seconds = 0;  // The median.
  std::vector<double> all_seconds;
  double speedup = 0;  // The median of the prefill by this.
  ReuseUsage usage;    // Of the turn that the median is of.
};

struct KvBenchmarkResult {
  size_t threads = 0;
  kernels::KvType kv_type = kernels::KvType::kF16;
  size_t layers = 0;
  size_t prompt_tokens = 0;
  double read_seconds = 0;   // For all chunks' documents.
  uint64_t chunk_bytes = 0;  // Of all chunks together.
  // The largest between the prefill's logits and those of everything computed by the blender.
  double largest_difference = 0;
  std::vector<KvArmResult> arms;  // The prefill first.
  uint64_t peak_memory = 0;       // The process's largest resident size, in bytes.

  // Null where there is none.
  const KvArmResult* Find(const std::string& name, const std::string& tier) const;
};

// InvalidArgument where a number is 0 that must not be, and where the prompt does not fit the
// model's context.
absl::StatusOr<KvBenchmarkResult> BenchmarkKv(const Checkpoint& checkpoint,
                                              const KvBenchmarkOptions& options);

// A model of random weights with the shape of a published one (model_synthesis.h), whose file is
// gone from the directory for temporary files when this returns. NotFound for an unknown shape, as
// SynthesizeModel otherwise.
absl::StatusOr<std::unique_ptr<Checkpoint>> OpenSynthetic(const std::string& shape,
                                                          kernels::BlockFormat format,
                                                          size_t threads);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_KV_BENCHMARK_H_
