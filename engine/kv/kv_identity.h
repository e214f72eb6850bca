// Names of chunk KV caches: keyed hashes of everything that the numbers in them depend on.
#ifndef CAIRN_ENGINE_KV_KV_IDENTITY_H_
#define CAIRN_ENGINE_KV_KV_IDENTITY_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "engine/kv/kv_encoding.h"
#include "engine/kv/kv_source.h"
#include "index/kv_blob_files.h"

namespace cairn::engine {

// How keys are kept.
enum class KvPositions : uint8_t { kBeforeRotation = 0, kRotated = 1 };

// All that a chunk's keys and values depend on but its text.
struct KvConfiguration {
  std::string model_fingerprint;
  std::string tokenizer_fingerprint;
  KvEncoding encoding = KvEncoding::kF16;
  KvPositions positions = KvPositions::kBeforeRotation;
  KvSource source = KvSource::kIsolated;
  std::vector<uint32_t> preface;  // Token ids.
  std::string scope = {};         // Of KvSource::kPrompt: prompts of other scopes share nothing.
};

using KvConfigurationId = std::array<uint8_t, 32>;

// Where a chunk's keys and values are: a blob of a collection.
struct KvKey {
  uint32_t collection = 0;
  index::KvBlobName name;
  friend bool operator==(const KvKey&, const KvKey&) = default;
};

// A collection's names (docs/formats/kv-blob.md, "Names"): HMAC-SHA256 under a secret that no other
// collection has, so that collections share nothing and names cannot be guessed. Immutable;
// thread-safe.
class KvIdentity {
 public:
  using Secret = std::array<uint8_t, 32>;
  KvIdentity(uint32_t collection, const Secret& secret)
      : collection_(collection), secret_(secret) {}

  KvConfigurationId Configuration(const KvConfiguration& configuration) const;
  // `before`: the tokens that stood before the chunk's, of the document for KvSource::kDocument, of
  // the prompt for KvSource::kPrompt; empty otherwise.
  KvKey Key(const KvConfigurationId& configuration, absl::Span<const uint32_t> before,
            absl::Span<const uint32_t> tokens) const;

  uint32_t collection() const { return collection_; }

 private:
  const uint32_t collection_;
  const Secret secret_;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_KV_IDENTITY_H_
