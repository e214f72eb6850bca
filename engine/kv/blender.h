// Puts a prompt's keys and values together from cached chunks and from tokens computed now.
#ifndef CAIRN_ENGINE_KV_BLENDER_H_
#define CAIRN_ENGINE_KV_BLENDER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/kv/chunk_kv.h"
#include "engine/kv/chunk_kv_buffer.h"
#include "engine/kv/kv_encoding.h"
#include "engine/kv/reuse_policy.h"
#include "engine/model/decoder.h"
#include "engine/model/kv_cache.h"

namespace cairn::engine {

// A part of a prompt: text, or a chunk whose keys and values were computed before.
struct BlendPart {
  std::vector<uint32_t> tokens;
  std::shared_ptr<const ChunkKv> kv;  // Of just these tokens; null: text.
  bool passage = false;               // Text of a chunk of which nothing is cached.
  bool keep = false;                  // A passage of which BlendOptions::on_kept is to be told.
  size_t fix_rows = 0;                // Of `kv`: rows that Cache-Craft's rules would compute again.
  // Of a passage whose first tokens stand in the sequence already, and are not among `tokens`: how
  // many those are, and the hash of all.
  size_t known_tokens = 0;
  uint64_t whole_hash = 0;
};

// A passage that stands in the sequence already.
struct KnownPassage {
  uint64_t hash = 0;
  uint32_t begin = 0, end = 0;  // Slots.
};

// The hash of a chunk's tokens that ChunkAttention goes by.
uint64_t HashTokens(absl::Span<const uint32_t> tokens);

// What became of a prompt's tokens. exact + reused + recomputed + fresh is the prompt.
struct ReuseUsage {
  size_t exact_tokens = 0;       // Keys and values were there, computed behind this very beginning.
  size_t reused_tokens = 0;      // Of chunks: cached values served, in most layers at least.
  size_t recomputed_tokens = 0;  // Of chunks: computed in all layers.
  size_t fresh_tokens = 0;       // Of no cached chunk.
  // Rows computed, summed over layers, in layers * (prompt - exact tokens). A row of which keys and
  // values are computed to be compared counts as one, and once more where it is computed then.
  double charged = 0;
  uint64_t loaded_bytes = 0;   // Of cached chunks, those that were read.
  double load_seconds = 0;     // Waiting for chunks, decoding them, and putting them in place.
  double select_seconds = 0;   // Computing what the choice of rows goes by.
  double compute_seconds = 0;  // The layers.
};

struct BlendOptions {
  // Keys are turned to where their tokens stand now. false, to measure by: they stay as they were
  // computed.
  bool reposition = true;
  std::function<bool()> is_cancelled = {};  // Asked at each layer. Optional.
  // Given what was computed of each part that is to be kept, once the prompt is read. Optional.
  std::function<void(size_t part, std::shared_ptr<const ChunkKvBuffer> kv)> on_kept = {};
  KvEncoding kept_encoding = KvEncoding::kF16;
  size_t kept_attention_layers = 0;      // DocumentReaderOptions::attention_layers
  std::vector<KnownPassage> known = {};  // In order.
};

// One code path for every policy: in each layer some rows are computed, and all others' keys and
// values are taken from the cache, before anyone looks at them. Not thread-safe; uses the decoder.
class Blender {
 public:
  explicit Blender(Decoder* decoder) : decoder_(decoder) {}

  // Appends the parts to `sequence`, whose tokens count as exact, and fills logits [vocabulary]
  // with those of the last token, which must be text. The sequence is unchanged after an error:
  // InvalidArgument (no text at the end, a chunk of another model's shape or of other tokens,
  // beyond the context), ResourceExhausted (no pages), Cancelled, and what ChunkKv::Read returns:
  // `*bad_part` is the part's number then.
  absl::StatusOr<ReuseUsage> Run(absl::Span<const BlendPart> parts, ReusePolicy* policy,
                                 KvSequence* sequence, float* logits,
                                 const BlendOptions& options = {}, size_t* bad_part = nullptr);

  // The same where everything is computed: no cache is looked at.
  absl::StatusOr<ReuseUsage> RunFull(absl::Span<const BlendPart> parts, KvSequence* sequence,
                                     float* logits, const BlendOptions& options = {});

 private:
  Decoder* const decoder_;
};

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_BLENDER_H_
