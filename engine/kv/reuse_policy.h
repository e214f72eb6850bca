// Which tokens of cached chunks are computed again when a prompt is put together from them.
#ifndef CAIRN_ENGINE_KV_REUSE_POLICY_H_
#define CAIRN_ENGINE_KV_REUSE_POLICY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/kv/chunk_kv.h"

namespace cairn::engine {

// What the methods' authors found enough: the share of tokens that are computed again, and the
// layers whose attention Cache-Craft looks at.
inline constexpr double kUsualShare = 0.15;
inline constexpr size_t kCacheCraftLayers = 4;

// A chunk's place in a prompt: rows [begin, end), counted from the first token that is not there
// yet.
struct BlendChunk {
  uint32_t begin = 0;
  uint32_t end = 0;
  uint64_t hash = 0;  // Of its tokens; see ChunkAttention::before.
  const ChunkKv* kv = nullptr;
};

// A passage, whether or not anything is cached of it.
struct BlendPassage {
  uint32_t begin = 0;  // Its first row.
  uint64_t hash = 0;
};

// What is known of a prompt before anything is computed.
struct BlendShape {
  size_t layers = 0;
  size_t rows = 0;  // Of chunks and of other text.
  size_t kv_width = 0;
  absl::Span<const BlendChunk> chunks;  // In order.
  // In order too, those of `chunks` among them; before them stand those in `known`, of which keys
  // and values are there.
  absl::Span<const BlendPassage> passages;
  absl::Span<const uint64_t> known;
  // By row: what attention the question (the text behind the last chunk) pays to it when all chunks
  // are as cached, a mean over the layers of ReusePolicy::question_layers and the heads. Empty
  // where it asks for none.
  absl::Span<const float> question_attention;
};

// What is known of a layer. Spans that the policy has not asked for are empty.
struct LayerView {
  size_t layer = 0;
  absl::Span<const uint32_t> rows;  // Of chunks, those that are being computed; ascending.
  // [rows][kv_width]: keys before their rotation and values, as computed and as cached.
  absl::Span<const float> keys, values, cached_keys, cached_values;
  // As BlendShape's, in this layer of this prompt; by row of the prompt.
  absl::Span<const float> question_attention;
};

// Chooses rows for one prompt, then is done. Text that is in no chunk is always computed, and a row
// that a layer leaves out stays out: its residual stream is gone.
class ReusePolicy {
 public:
  virtual ~ReusePolicy() = default;

  // The layers whose attention Begin wants to see; costs a pass of the question. Ascending.
  virtual std::vector<size_t> question_layers(size_t /*layers*/) const { return {}; }
  // The rows of chunks to be computed from layer 0 on, ascending.
  virtual std::vector<uint32_t> Begin(const BlendShape& shape) = 0;

  // Whether Narrow wants the layer's keys and values before the rest of the layer is computed ...
  virtual bool WantsKeysAndValues(size_t /*layer*/) const { return false; }
  // ... or the question's attention behind it.
  virtual bool WantsQuestion(size_t /*layer*/) const { return false; }
  // Those of view.rows to go on with: with the rest of this layer, or behind it.
  virtual std::vector<uint32_t> Narrow(const LayerView& view) {
    return {view.rows.begin(), view.rows.end()};
  }

  // How much of what the computed rows of a chunk turned out to differ from their cached selves, in
  // the mean, is added to row `row`, which is not computed: AgentKVShift's min(d, 1). Nothing: rows
  // keep what is cached.
  virtual bool corrects_offset() const { return false; }
  virtual float OffsetShare(uint32_t /*row*/) const { return 0; }
};

enum class ReuseMethod : uint8_t {
  kFull,        // Everything is computed: what the others are measured by.
  kReposition,  // Nothing is.
  // CacheBlend (arXiv 2405.16444): layers before check_layer for all rows; from there on the share
  // of rows whose keys and values differ most from the cached ones there.
  kCacheBlend,
  kFirstTokens,        // EPIC (arXiv 2410.15332): the first tokens of each chunk.
  kCacheCraft,         // Cache-Craft (arXiv 2502.15734): as much of each chunk as its context asks.
  kQuestionAttention,  // What the question looks at (ProphetKV, QCFuse).
  kRandom,             // Chance, to measure by.
  kGiven,              // The rows with the highest ReuseOptions::scores: an oracle, to measure by.
};
// "full", "reposition", "cacheblend", "first-tokens", "cache-craft", "question-attention",
// "random", "given".
std::string_view ReuseMethodName(ReuseMethod method);
std::optional<ReuseMethod> ParseReuseMethod(std::string_view name);

struct ReuseOptions {
  ReuseMethod method = ReuseMethod::kCacheBlend;
  // Of the chunks' rows, in [0, 1]. Not of kFull, kReposition, kFirstTokens; of kCacheCraft only
  // the most.
  double share = 0.15;
  // kCacheBlend:
  uint32_t check_layer = 1;
  bool by_keys = true;  // Deviations of what.
  bool by_values = true;
  // Begins with half as much again and narrows to `share` over this many layers behind check_layer,
  // ranking anew in each. 0: chosen once.
  uint32_t gradual_layers = 0;
  uint32_t first_tokens = 16;  // kFirstTokens: of each chunk.
  double alpha = 1;            // kCacheCraft: of the fix overhead.
  // kCacheCraft: chunks that the question pays less than this share of an even attention in the
  // middle layer are computed no further. 0: all are.
  double early_stop = 0;
  bool offset = false;             // Offset correction; of kCacheBlend and kGiven with shares > 0.
  uint64_t seed = 1;               // kRandom
  std::vector<float> scores = {};  // kGiven: by row of the prompt.
};

// InvalidArgument for a share outside [0, 1] or no deviations to go by.
absl::StatusOr<std::unique_ptr<ReusePolicy>> MakeReusePolicy(const ReuseOptions& options);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_REUSE_POLICY_H_
