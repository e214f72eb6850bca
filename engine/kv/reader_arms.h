// The ways of answering that the reader benchmark compares.
#ifndef CAIRN_ENGINE_KV_READER_ARMS_H_
#define CAIRN_ENGINE_KV_READER_ARMS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/kv/document_reader.h"
#include "engine/kv/kv_encoding.h"
#include "engine/kv/reuse_policy.h"

namespace cairn::engine {

struct ReaderArm {
  enum class Prompt : uint8_t {
    kNoContext,  // The preface and the question.
    kComputed,   // All computed at once.
    kOwnCaches,  // From keys and values of this very prompt, stored in `encoding`: rounding alone.
    kCaches,     // From caches of `source`.
  };

  // What is done, the same for every source and share: "cacheblend kv".
  std::string method;
  Prompt prompt = Prompt::kCaches;
  std::optional<KvSource> source;      // Of kCaches.
  std::optional<KvEncoding> encoding;  // Of kOwnCaches.
  // Of KvSource::kPrompt: of so many variants of a chunk the best is taken. Each has been read in a
  // prompt of the context's chunks in a random order.
  size_t variants = 0;
  double share = -1;      // Of the chunks' tokens that are computed again; below 0: there is none.
  bool shuffled = false;  // The context's chunks in another order.
  bool reposition = true;
  bool oracle = false;  // reuse.scores are to be how wrong the cached keys and values are.
  ReuseOptions reuse;   // first_tokens is to be `share` of the chunks' mean length.

  // "document/cacheblend kv 15%"
  std::string Name() const;
};

enum class ReaderArmSet : uint8_t { kFew, kAll };

// The first answers what the others are measured by: the whole prompt computed. CacheBlend computes
// two of `layers` layers in full; to have arms of equal cost, the methods that do not are asked for
// the share that costs as much as CacheBlend's 15 %, too.
std::vector<ReaderArm> MakeReaderArms(ReaderArmSet set, size_t layers);

}  // namespace cairn::engine

#endif  // CAIRN_ENGINE_KV_READER_ARMS_H_
