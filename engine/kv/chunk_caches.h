// A store's chunk KV caches and the generator that makes and reads them.
#ifndef CAIRN_ENGINE_KV_CHUNK_CACHES_H_
#define CAIRN_ENGINE_KV_CHUNK_CACHES_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "engine/answer/answer_prompt.h"
#include "engine/generation/shared_generator.h"
#include "engine/kv/blended_prompt.h"
#include "engine/kv/kv_identity.h"
#include "engine/kv/kv_source.h"
#include "engine/kv/kv_store.h"
#include "engine/kv/reuse_controller.h"
#include "engine/kv/reuse_gates.h"
#include "engine/kv_reuse.h"
#include "index/store.h"

namespace cairn::engine {

// What the engine does with chunks' keys and values: makes them, finds them for prompts, knows
// whether the model's gates hold. Thread-safe.
class ChunkCaches {
 public:
  // `store` outlives this, and so does `generator`, which may be null: nothing is made or read
  // then. InvalidArgument for options that name nothing known.
  static absl::StatusOr<std::unique_ptr<ChunkCaches>> Open(index::Store* store,
                                                           SharedGenerator* generator,
                                                           const KvReuseOptions& options);

  // As Engine's of these names; `collection` exists.
  absl::StatusOr<KvBuildReport> Build(const index::Collection& collection,
                                      const KvBuildOptions& options);
  absl::StatusOr<ReuseGateReport> Gates();
  KvInfo Describe(uint32_t collection) const;
  absl::StatusOr<KvVerifyResult> Verify();
  absl::StatusOr<uint64_t> Evict(uint64_t bytes) { return kv_->Evict(bytes); }

  // Whether answers can reuse anything: there is a generator that has layers.
  bool can_reuse() const { return generator_ != nullptr && generator_->decoder() != nullptr; }
  // Begins to load what the chunks have; they may come to be in a prompt.
  void Prefetch(uint32_t collection, absl::Span<const uint64_t> chunks);
  // The reader of a prompt made of stretches, with what is known of the chunks that its passages
  // are.
  absl::StatusOr<std::shared_ptr<BlendedPrompt>> Read(uint32_t collection,
                                                      const AnswerPrompt& prompt,
                                                      absl::Span<const SearchHit> passages,
                                                      ReuseQuality quality);

 private:
  ChunkCaches(index::Store* store, SharedGenerator* generator, KvEncoding encoding, KvSource source,
              const KvReuseOptions& options);

  // What the model's blobs of a collection are named by, and are named.
  struct Names {
    KvIdentity identity;
    KvConfigurationId configuration;
  };
  absl::StatusOr<Names> NamesOf(uint32_t collection);
  absl::StatusOr<ReuseGateReport> RunGates() const;
  // Keys of the chunk's blobs, the best first.
  absl::StatusOr<std::vector<KvKey>> KeysOf(uint32_t collection, uint64_t chunk);

  index::Store* const store_;
  SharedGenerator* const generator_;
  const KvEncoding encoding_;
  const KvSource source_;
  const uint64_t disk_bytes_;
  std::unique_ptr<KvStore> kv_;
  std::string model_;  // Fingerprint.
  std::vector<uint32_t> preface_;
  ReuseController controller_;
  absl::Mutex gates_mutex_;
  std::optional<ReuseGateReport> gates_ ABSL_GUARDED_BY(gates_mutex_);
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_CHUNK_CACHES_H_
