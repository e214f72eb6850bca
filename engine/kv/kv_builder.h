// Makes the keys and values of a collection's chunks.
#ifndef CAIRN_ENGINE_KV_KV_BUILDER_H_
#define CAIRN_ENGINE_KV_KV_BUILDER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/generation/shared_generator.h"
#include "engine/kv/document_reader.h"
#include "engine/kv/kv_identity.h"
#include "engine/kv/kv_store.h"
#include "engine/kv_reuse.h"
#include "index/collection_rows.h"
#include "index/store.h"

namespace cairn::engine {

// What is to be made, and how it is named.
struct KvBuilderContext {
  index::Store* store = nullptr;
  SharedGenerator* generator = nullptr;
  KvStore* kv = nullptr;
  const KvIdentity* identity = nullptr;
  KvConfigurationId configuration{};
  KvEncoding encoding = KvEncoding::kF16;
  KvSource source = KvSource::kDocument;
  std::string model;  // Fingerprint.
  std::vector<uint32_t> preface;
  uint64_t disk_bytes = 0;  // Budget: more is not made, only to be evicted.
};

// Goes through a collection's documents once, in the order of their chunks. The generator's thread
// computes, a few hundred tokens at a time, of several documents where they are short, so that
// answers come in between. For one thread.
class KvBuilder {
 public:
  // What `context` refers to outlives this.
  explicit KvBuilder(const KvBuilderContext& context) : context_(context) {}

  // Makes what is missing. As Engine::BuildKv; documents that change meanwhile are made as they
  // were, and go with the chunks that they had.
  absl::StatusOr<KvBuildReport> Run(index::CollectionId collection, const KvBuildOptions& options);

 private:
  struct Chunk {
    uint64_t id = 0;
    KvKey key;
    std::vector<uint32_t> tokens;
    bool known = false;
  };

  // Chunks that are computed behind each other: of a document, or one that sees no other.
  struct Text {
    std::vector<Chunk> chunks;
    size_t tokens = 0;
    bool ends_document = true;
  };

  absl::Status Prepare(const KvBuildOptions& options);
  absl::Status BuildDocument(const index::StoredDocument& document);
  absl::StatusOr<std::vector<Chunk>> ChunksOf(const index::StoredDocument& document);
  // Puts a short text to those that are computed together, and computes them once they are enough.
  absl::Status Queue(Text text);
  absl::Status ComputeQueued();
  // Computes a text that is long, piece by piece.
  absl::Status ComputeLong(const Text& text);
  // Runs on the generator's thread; `*seconds`: how long it took.
  template <typename Work>
  absl::Status RunTimed(Work work, double* seconds);
  // Stores what was missing; `seconds` for each token.
  absl::Status Store(absl::Span<const Chunk> chunks, const DocumentReader::PiecesKv& kv,
                     double seconds);
  bool IsQueued(const KvKey& key) const;
  bool HasRoom() const;
  void Skip(absl::Span<const Chunk> chunks);

  const KvBuilderContext context_;
  std::unique_ptr<KvPool> pool_;
  std::unique_ptr<DocumentReader> reader_;
  std::vector<Text> queue_;
  size_t queued_tokens_ = 0;
  KvBuildReport report_;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_KV_BUILDER_H_
