// A store's chunk KV caches and the generator that makes and reads them.
#ifndef CAIRN_ENGINE_KV_CHUNK_CACHES_H_
#define CAIRN_ENGINE_KV_CHUNK_CACHES_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/answer/answer_prompt.h"
#include "engine/generation/shared_generator.h"
#include "engine/kv/blended_prompt.h"
#include "engine/kv/cache_craft.h"
#include "engine/kv/kv_identity.h"
#include "engine/kv/kv_source.h"
#include "engine/kv/kv_store.h"
#include "engine/kv/kv_writer.h"
#include "engine/kv/model_gates.h"
#include "engine/kv/reuse_controller.h"
#include "engine/kv_reuse.h"
#include "index/store.h"

namespace cairn::engine {

// What the engine does with chunks' keys and values: makes them, finds them for prompts, knows
// whether the model's gates hold. Thread-safe.
class ChunkCaches {
 public:
  // `store` outlives this. `generator` may be null: nothing is made or read then. It ends before
  // this, whose blobs its thread reads, but after StopGates. InvalidArgument for options that name
  // nothing known.
  static absl::StatusOr<std::unique_ptr<ChunkCaches>> Open(index::Store* store,
                                                           SharedGenerator* generator,
                                                           const KvReuseOptions& options);

  // As Engine's of these names; `collection` exists.
  absl::StatusOr<KvBuildReport> Build(const index::Collection& collection,
                                      const KvBuildOptions& options);
  // Waits for nothing but the end of what runs of the generator's model; Gates gives Cancelled
  // then.
  void StopGates();
  absl::StatusOr<ReuseGateReport> Gates(const std::function<bool()>& is_cancelled = {});
  KvInfo Describe(uint32_t collection) const;
  absl::StatusOr<KvVerifyResult> Verify();
  absl::StatusOr<uint64_t> Evict(uint64_t bytes) { return kv_->Evict(bytes); }

  // Whether answers can reuse anything: there is a generator that has layers.
  bool can_reuse() const { return generator_ != nullptr && generator_->decoder() != nullptr; }
  // Begins to load what the chunks have; they may come to be in a prompt of the scope.
  void Prefetch(uint32_t collection, std::string_view scope, absl::Span<const uint64_t> chunks);
  // The reader of a prompt made of stretches, with what is known of the chunks that its passages
  // are; `request` is what it answers. Cancelled while the model's gates are run.
  absl::StatusOr<std::shared_ptr<BlendedPrompt>> Read(uint32_t collection,
                                                      const AnswerPrompt& prompt,
                                                      absl::Span<const SearchHit> passages,
                                                      const AskRequest& request);

 private:
  ChunkCaches(index::Store* store, SharedGenerator* generator, KvEncoding encoding, KvSource source,
              const KvReuseOptions& options);

  // What the model's blobs of a collection are named by, and are named.
  struct Names {
    KvIdentity identity;
    KvConfigurationId configuration;
  };
  absl::StatusOr<Names> NamesOf(uint32_t collection, std::string_view scope = "");
  // Which of a chunk's blobs, of which there is one, is the best where `before`, hashes of
  // passages, stand before it.
  VariantChoice Choose(absl::Span<const KvKey> keys, size_t tokens,
                       absl::Span<const uint64_t> before) const;
  // What stands before a part of a prompt.
  struct Before {
    std::vector<uint32_t> tokens;
    std::vector<uint64_t> passages;  // Hashes.
    std::vector<uint64_t> chunks;    // Ids.
  };
  // Makes a part of a prompt, whose tokens are there, the passage that `item->owner.chunk` is: with
  // what is kept of it, or to be kept as *item.
  void Fill(const Names& names, const Before& before, ReuseQuality quality, BlendPart* part,
            KvWriter::Item* item);
  // Whether what is computed of a chunk that has `known` blobs is to be kept as *item.
  bool Keeps(const BlendPart& part, size_t known, const KvWriter::Item& item) const;
  KvShape shape() const;

  index::Store* const store_;
  SharedGenerator* const generator_;
  const KvEncoding encoding_;
  const KvSource source_;
  const uint64_t disk_bytes_;
  const size_t variants_;
  std::unique_ptr<KvStore> kv_;
  std::unique_ptr<KvWriter> writer_;  // Of KvSource::kPrompt, where that can be written.
  std::string model_;                 // Fingerprint.
  std::vector<uint32_t> preface_;
  ReuseController controller_;
  std::unique_ptr<ModelGates> gates_;  // Null: nothing can be reused.
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_CHUNK_CACHES_H_
